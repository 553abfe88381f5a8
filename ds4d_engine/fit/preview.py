# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fit looks so far: a small asset and a picture, for whoever waits for it."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data import Dataset
from ..seam.asset import Asset, Gaussians, Motion, write_asset
from ..seam.errors import DS4DError, EngineError
from ..seam.events import Preview
from .files import part_path, preview_paths
from .moment import Moment
from .splats import Splats, activate, composite, render_view

MOST = 20_000
"""Gaussians of a preview."""
FRAMES = 16
WIDTH = 512
"""Pixels of the whole picture, at most: source and fit, side by side."""
SHARE = 0.05
"""Of a fit's time that previews may take."""
MOST_GROWTH = 2.0
"""How much larger kept Gaussians may be drawn to cover for those left out."""


class Previewer:
    """Writes previews beside an asset while it is fitted, the first one at once."""

    def __init__(
        self, dataset: Dataset, output: Path, seconds: float, say: Callable[[Preview], None]
    ) -> None:
        """Write every `seconds`, or less often where previews would take more than `SHARE`."""
        self.dataset, self.seconds, self.say = dataset, seconds, say
        self.asset_path, self.picture_path = preview_paths(output)
        self.due = -float("inf")

    def visit(self, moment: Moment) -> None:
        """Write a preview if it is time for one.

        One that cannot be written is told on stderr and left out: it is no reason to end a fit.
        """
        started = time.monotonic()
        if started < self.due:
            return
        try:
            write_asset(self.asset_path, preview_asset(self.dataset, moment))
            picture = preview_picture(moment)
            _write_picture(self.picture_path, picture)
        except DS4DError as error:
            print(f"ds4d: no preview: {error}", file=sys.stderr, flush=True)
        else:
            files = {"asset": str(self.asset_path), "picture": str(self.picture_path)}
            psnr = _likeness(picture) if math.isnan(moment.psnr) else moment.psnr
            self.say(Preview(files, {"psnr": psnr, "step": moment.losses.state.step}))
        ended = time.monotonic()
        wait = (ended - started) * (1 - SHARE) / SHARE
        self.due = ended + max(self.seconds, wait)

    def remove(self) -> None:
        """Remove what was written."""
        for path in (self.asset_path, self.picture_path):
            with suppress(OSError):
                path.unlink(missing_ok=True)


@torch.no_grad()
def preview_asset(
    dataset: Dataset, moment: Moment, most: int = MOST, frames: int = FRAMES
) -> Asset:
    """Return the fit as it is: its most important Gaussians, at a few times of the clip.

    All of them are dynamic, so that the object that shows them keeps its build from preview to
    preview. Times that the fit has not reached show the nearest one that it has.
    """
    scene, state = moment.losses.scene, moment.losses.state
    parameters = state.parameters
    chosen, growth = _important(parameters["scales"], parameters["opacities"], most)
    motion = state.motion if moment.moving else None
    count = min(frames, scene.frame_count)
    times = np.linspace(0, 1, count) if count > 1 else np.zeros(1)
    first, last = scene.times[moment.window.low], scene.times[moment.window.high - 1]
    baked = [
        _select(activate(parameters, motion, float(time)), chosen, growth)
        for time in np.clip(times, first, last)
    ]
    means = np.stack([_array(splats.means) for splats in baked]) * scene.radius + scene.center
    moved = Motion(
        means=means.astype(np.float32),
        quats=np.stack([_array(splats.quats) for splats in baked]),
        scales=np.stack([_array(splats.scales) for splats in baked]) * np.float32(scene.radius),
        opacities=np.stack([_array(splats.opacities) for splats in baked])
        if "motion_fade" in parameters
        else None,
        sh0=np.stack([_array(splats.sh0) for splats in baked])
        if "motion_colors" in parameters
        else None,
    )
    dynamic = _canonical(baked[count // 2], moved, _array(parameters["shN"][chosen]))
    span = max(dataset.frame_count - 1, 1)
    return Asset(
        static=_none_of(dynamic),
        dynamic=dynamic,
        motion=moved,
        cameras=dataset.cameras,
        times=times,
        fps=dataset.fps * max(count - 1, 1) / span,
        frame_start=dataset.frame_start,
        blend=scene.blend,
        provenance={"preview": True, "step": state.step, "gaussians": len(parameters["means"])},
    )


@torch.no_grad()
def preview_picture(moment: Moment) -> NDArray[np.uint8]:
    """Return the source and the fit side by side [H, W, 3], at the canonical frame."""
    scene, state = moment.losses.scene, moment.losses.state
    frame, index = _shown(moment)
    background = 1.0 if scene.has_alpha else 0.0
    source = scene.target(frame, index, background)[0].cpu().numpy()
    motion = state.motion if moment.moving else None
    splats = activate(state.parameters, motion, float(scene.times[frame]))
    render = render_view(
        state.parameters,
        splats,
        scene.views[index],
        blend=scene.blend,
        backend=moment.losses.config.backend,
    )
    fitted = composite(render, background, scene.blend).cpu().numpy()
    both = np.concatenate([_shrunk(source), _shrunk(fitted)], 1)
    pixels: NDArray[np.uint8] = (both.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels


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


def _important(scales: Tensor, opacities: Tensor, most: int) -> tuple[Tensor, float]:
    """Return the rows that cover most, in this order, and how much larger they should be drawn.

    A Gaussian covers about its opacity times the area of its largest two axes.
    """
    largest = scales.topk(2, dim=-1).values.sum(-1).exp()
    covered = torch.sigmoid(opacities) * largest
    order = covered.argsort(descending=True)
    if len(order) <= most:
        return order, 1.0
    kept = order[:most]
    growth = float((covered.sum() / covered[kept].sum()).sqrt())
    return kept, min(growth, MOST_GROWTH)


def _select(splats: Splats, chosen: Tensor, growth: float) -> Splats:
    return Splats(
        splats.means[chosen],
        torch.nn.functional.normalize(splats.quats[chosen], dim=-1),
        splats.scales[chosen] * growth,
        splats.opacities[chosen],
        splats.sh0[chosen],
    )


def _canonical(splats: Splats, motion: Motion, shN: NDArray[np.float32]) -> Gaussians:
    """Return what the motion begins from: its own middle frame."""
    middle = len(motion.means) // 2
    return Gaussians(
        means=motion.means[middle],
        quats=motion.quats[middle],
        scales=motion.scales[middle],
        opacities=_array(splats.opacities),
        sh0=_array(splats.sh0),
        shN=shN,
        dynamic_scores=np.ones(len(shN), np.float32),
    )


def _none_of(gaussians: Gaussians) -> Gaussians:
    names = [field.name for field in dataclasses.fields(Gaussians)]
    return Gaussians(**{name: getattr(gaussians, name)[:0] for name in names})


def _shown(moment: Moment) -> tuple[int, int]:
    """Return a frame and a view that a camera took, the canonical frame if there is one."""
    scene = moment.losses.scene
    taken = scene.present & ~scene.generated
    frames, views = np.nonzero(taken if taken.any() else scene.present)
    nearest = int(np.abs(frames - scene.middle).argmin())
    return int(frames[nearest]), int(views[nearest])


def _shrunk(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average an image down to half of the picture's width.

    Drawn that small, Gaussians would look too large: each is widened by a part of a pixel.
    """
    height, width = image.shape[:2]
    if width <= WIDTH // 2:
        return image
    size = (WIDTH // 2, max(1, round(height * (WIDTH // 2) / width)))
    smaller: NDArray[np.float32] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return smaller


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().numpy()
    return array
