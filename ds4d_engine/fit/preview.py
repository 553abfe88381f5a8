# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fit looks so far: a small asset, and a picture beside its source."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data import Dataset
from ..seam.asset import Asset, Gaussians, Motion
from ..spherical_harmonics import SH_C0
from .config import FitConfig
from .export import unless_constant
from .moment import Moment
from .scene import Scene
from .splats import Splats, activate, composite, render_view
from .start import Start

MOST = 20_000
"""Gaussians of a preview."""
FRAMES = 16
WIDTH = 512
"""Pixels of the whole picture, at most: source and fit, side by side."""
MOST_GROWTH = 2.0
"""How much larger kept Gaussians may be drawn to cover for those left out."""


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
    motion = state.motion if moment.moving else None
    middle = activate(parameters, motion, float(scene.times[scene.middle]))
    chosen, growth = _important(middle, most)
    first, last = scene.times[moment.window.low], scene.times[moment.window.high - 1]
    baked = [
        _select(activate(parameters, motion, float(time)), chosen, growth)
        for time in np.clip(_times(scene, frames), first, last)
    ]
    shown = _Shown(baked, _array(parameters["shN"][chosen]), "motion_colors" in parameters)
    told = {"preview": True, "step": state.step, "gaussians": len(parameters["means"])}
    return _asset(dataset, scene, shown, told)


@torch.no_grad()
def start_asset(
    dataset: Dataset, scene: Scene, start: Start, config: FitConfig, frames: int = FRAMES
) -> Asset:
    """Return what a fit starts from, as a preview in which nothing moves yet."""
    splats, shN = _start_splats(start, config)
    chosen, growth = _important(splats, MOST)
    still = _select(splats, chosen, growth)
    baked = [still] * len(_times(scene, frames))
    # as in later previews
    shown = _Shown(baked, _array(shN[chosen]), config.looks_change)
    return _asset(dataset, scene, shown, {"preview": True, "step": 0, "gaussians": len(shN)})


@torch.no_grad()
def preview_picture(moment: Moment) -> NDArray[np.uint8]:
    """Return the source and the fit side by side [H, W, 3], at the canonical frame."""
    losses = moment.losses
    scene, state = losses.scene, losses.state
    motion = state.motion if moment.moving else None
    splats = activate(state.parameters, motion, float(scene.times[_shown_look(scene)[0]]))
    return _side_by_side(scene, splats, state.parameters["shN"], losses.config.backend)


def start_picture(scene: Scene, start: Start, config: FitConfig) -> NDArray[np.uint8]:
    """Return the source and what a fit starts from, as `preview_picture` does."""
    return _side_by_side(scene, *_start_splats(start, config), config.backend)


class _Shown(NamedTuple):
    """Gaussians of a preview, in the normalised world."""

    baked: list[Splats]  # at its frames
    shN: NDArray[np.float32]
    colored: bool  # whether colours and opacities change over time


def _asset(dataset: Dataset, scene: Scene, shown: _Shown, told: dict[str, Any]) -> Asset:
    baked, times = shown.baked, _times(scene, len(shown.baked))
    middle = len(baked) // 2
    means = np.stack([_array(splats.means) for splats in baked]) * scene.radius + scene.center
    scales = np.stack([_array(splats.scales) for splats in baked]) * np.float32(scene.radius)
    quats = np.stack([_array(splats.quats) for splats in baked])
    dynamic = Gaussians(
        means=means[middle],
        quats=quats[middle],
        scales=scales[middle],
        opacities=_array(baked[middle].opacities),
        sh0=_array(baked[middle].sh0),
        shN=shown.shN,
        dynamic_scores=np.ones(len(shown.shN), np.float32),
    )
    moved = Motion(
        means=means.astype(np.float32),
        quats=unless_constant(quats),
        scales=unless_constant(scales),
        opacities=np.stack([_array(splats.opacities) for splats in baked])
        if shown.colored
        else None,
        sh0=np.stack([_array(splats.sh0) for splats in baked]) if shown.colored else None,
    )
    span = max(dataset.frame_count - 1, 1)
    return Asset(
        static=_none_of(dynamic),
        dynamic=dynamic,
        motion=moved,
        cameras=dataset.cameras,
        times=times,
        fps=dataset.fps * max(len(baked) - 1, 1) / span,
        frame_start=dataset.frame_start,
        blend=scene.blend,
        provenance=told,
    )


def _times(scene: Scene, frames: int) -> NDArray[np.float64]:
    count = min(frames, scene.frame_count)
    return np.linspace(0, 1, count) if count > 1 else np.zeros(1)


def _start_splats(start: Start, config: FitConfig) -> tuple[Splats, Tensor]:
    """Return the Gaussians of a start and their higher spherical harmonics, none."""
    count = len(start.means)
    splats = Splats(
        start.means,
        start.means.new_tensor([1.0, 0, 0, 0]).repeat(count, 1),
        start.sigmas[:, None].repeat(1, 3),
        start.means.new_full((count,), start.opacity),
        ((start.colors - 0.5) / SH_C0)[:, None],
    )
    return splats, start.means.new_zeros(count, (config.sh_degree + 1) ** 2 - 1, 3)


@torch.no_grad()
def _side_by_side(scene: Scene, splats: Splats, shN: Tensor, backend: str) -> NDArray[np.uint8]:
    frame, index = _shown_look(scene)
    background = 1.0 if scene.has_alpha else 0.0
    source = scene.target(frame, index, background)[0].cpu().numpy()
    render = render_view(
        {"shN": shN},
        splats,
        scene.views[index],
        blend=scene.blend,
        backend=backend,
    )
    fitted = composite(render, background, scene.blend).cpu().numpy()
    both = np.concatenate([_shrunk(source), _shrunk(fitted)], 1)
    pixels: NDArray[np.uint8] = (both.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels


def _important(splats: Splats, most: int) -> tuple[Tensor, float]:
    """Return the rows that cover most, in this order, and how much larger they should be drawn.

    A Gaussian covers about its opacity times the area of its largest two axes.
    """
    covered = splats.opacities * splats.scales.topk(2, dim=-1).values.prod(-1)
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


def _none_of(gaussians: Gaussians) -> Gaussians:
    names = [field.name for field in dataclasses.fields(Gaussians)]
    return Gaussians(**{name: getattr(gaussians, name)[:0] for name in names})


def _shown_look(scene: Scene) -> tuple[int, int]:
    """Return a frame and a view that a camera took, the canonical frame if there is one."""
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
