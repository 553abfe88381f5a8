# SPDX-License-Identifier: GPL-3.0-or-later
"""The chosen frames of a clip, small enough to lie in memory together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ..data.dataset import Pixels
from ..seam.errors import DatasetError
from ..seam.events import Listener, Stage
from .options import SEQUENCE_FPS, ClipOptions
from .sources import Source

WORKING_SIDE = 512


@dataclass(eq=False)
class Footage:
    """The T chosen frames (source indices ``indices``) and their working copies.

    ``small`` is uint8 [T,h,w,4] RGBA with straight alpha, no side longer than WORKING_SIDE;
    ``width`` and ``height`` are the source's pixels. ``fps`` is that of the chosen frames.
    """

    source: Source
    indices: list[int]
    fps: float
    width: int
    height: int
    small: Pixels

    @property
    def name(self) -> str:
        """The clip's file or folder, as a person would name it."""
        return str(self.source.path)

    @property
    def scale(self) -> tuple[float, float]:
        """Working pixels per source pixel, across and down."""
        return self.small.shape[2] / self.width, self.small.shape[1] / self.height

    def frames(self) -> Iterator[Pixels]:
        """Decode the chosen frames again, at full size: RGBA uint8 [H,W,4]."""
        yield from self.source.frames(self.indices)


def read_footage(source: Source, options: ClipOptions, listener: Listener) -> Footage:
    """Choose the frames of a source and read their working copies.

    Raises:
        DatasetError: too few or too many frames are chosen, or one cannot be read.
    """
    source_fps = options.source_fps or source.fps or SEQUENCE_FPS
    name = str(source.path)
    # Refuse what is far too long by its stated length, before anything is decoded.
    options.frames(source.count, source_fps, name)
    source = source.counted()
    indices = options.frames(source.count, source_fps, name)
    stage = Stage(listener, "read clip", len(indices))
    small: Pixels | None = None
    width = height = 0
    for t, frame in enumerate(source.frames(indices)):
        if small is None:
            height, width = frame.shape[:2]
            shrink = min(1.0, WORKING_SIDE / max(width, height))
            size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
            small = np.empty((len(indices), *size, 4), np.uint8)
        small[t] = shrink_rgba(frame, small.shape[2], small.shape[1])
        stage.update(t + 1)
    if small is None:
        raise DatasetError(f"{name} holds no frame that can be decoded; convert it again.")
    return Footage(source, indices, options.taken_fps(source_fps), width, height, small)


def shrink_rgba(rgba: Pixels, width: int, height: int) -> Pixels:
    """Average a picture's four channels, each by itself, into a smaller one."""
    if rgba.shape[:2] == (height, width):
        return rgba
    return cv2.resize(rgba, (width, height), interpolation=cv2.INTER_AREA)
