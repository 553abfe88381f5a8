# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes how a fit looks so far, now and then, for whoever waits for it."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..seam.asset import Asset, write_asset
from ..seam.errors import DS4DError, EngineError
from ..seam.events import Preview
from .config import FitConfig
from .files import part_path, preview_paths
from .moment import Moment
from .preview import preview_asset, preview_picture, start_asset, start_picture
from .scene import Scene
from .start import Start

SHARE = 0.05
"""Of a fit's time that previews may take."""


class Previewer:
    """Writes previews beside an asset while it is fitted, the first one at once."""

    def __init__(
        self, dataset: Dataset, output: Path, seconds: float, say: Callable[[Preview], None]
    ) -> None:
        """Write every `seconds`, or less often where previews would take more than `SHARE`."""
        self.dataset, self.seconds, self.say = dataset, seconds, say
        self.asset_path, self.picture_path = preview_paths(output)
        self.due = -float("inf")

    def begin(self, scene: Scene, start: Start, config: FitConfig) -> None:
        """Write what a fit starts from."""
        self._write(
            lambda: start_asset(self.dataset, scene, start, config),
            lambda: start_picture(scene, start, config),
            {"psnr": math.nan, "step": 0},
        )

    def visit(self, moment: Moment) -> None:
        """Write a preview if it is time for one."""
        if time.monotonic() < self.due:
            return
        self._write(
            lambda: preview_asset(self.dataset, moment),
            lambda: preview_picture(moment),
            {"psnr": moment.psnr, "step": moment.losses.state.step},
        )

    def _write(
        self,
        asset: Callable[[], Asset],
        picture: Callable[[], NDArray[np.uint8]],
        values: dict[str, float],
    ) -> None:
        """Write both files and tell of them; where no PSNR is known yet, tell the picture's own.

        What cannot be written is told on stderr and left out: it is no reason to end a fit.
        """
        started = time.monotonic()
        try:
            write_asset(self.asset_path, asset())
            pixels = picture()
            _write_picture(self.picture_path, pixels)
        except DS4DError as error:
            print(f"ds4d: no preview: {error}", file=sys.stderr, flush=True)
        else:
            files = {"asset": str(self.asset_path), "picture": str(self.picture_path)}
            if math.isnan(values["psnr"]):
                values["psnr"] = _likeness(pixels)
            self.say(Preview(files, values))
        ended = time.monotonic()
        wait = (ended - started) * (1 - SHARE) / SHARE
        self.due = ended + max(self.seconds, wait)

    def remove(self) -> None:
        """Remove what was written."""
        for path in (self.asset_path, self.picture_path):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _likeness(picture: NDArray[np.uint8]) -> float:
    """Return the PSNR between the halves of a picture."""
    source, fitted = np.split(picture.astype(np.float32) / 255, 2, axis=1)
    return -10 * math.log10(max(float(np.square(source - fitted).mean()), 1e-10))


def _write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    part = part_path(path)
    _, encoded = cv2.imencode(".png", pixels[..., ::-1])
    try:
        part.write_bytes(encoded.tobytes())
        os.replace(part, path)
    except OSError as error:
        raise EngineError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
