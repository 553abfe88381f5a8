# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn a fit's parameters into an asset in the dataset's world, sampled at uniform frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data import Dataset
from ..motion import Motion
from ..seam.asset import Asset, Gaussians
from ..seam.asset import Motion as BakedMotion
from .scene import Scene
from .splats import Splats, activate


class Told(NamedTuple):
    """What the asset tells of every Gaussian beside its looks."""

    scores: Tensor  # [N] dynamic score, 0..1
    observed: Tensor  # [N] 1 where a source picture shows it, else 0


@torch.no_grad()
def export_asset(
    dataset: Dataset,
    scene: Scene,
    parameters: Mapping[str, Tensor],
    motion: Motion,
    told: Told,
    provenance: dict[str, Any],
) -> Asset:
    """Bake the motion at every frame.

    Returns:
        The asset; Gaussians whose `motion_gate` is 0 are its static part.
    """
    gate = parameters.get("motion_gate")
    moving = torch.ones_like(told.scores, dtype=torch.bool) if gate is None else gate > 0
    frame_count = scene.frame_count
    at_middle = activate(parameters, motion, float(scene.times[scene.middle]))
    canonical = _gaussians(parameters, at_middle, told, scene)
    times = np.linspace(0, 1, frame_count) if frame_count > 1 else np.zeros(1)
    baked = [
        _placed(activate(parameters, motion, float(time)), scene, moving.cpu()) for time in times
    ]
    still = (~moving).cpu().numpy()
    fading = "motion_fade" in parameters
    colored = "motion_colors" in parameters  # else every frame has the canonical colours
    return Asset(
        static=_select(canonical, still),
        dynamic=_select(canonical, ~still),
        motion=BakedMotion(
            means=np.stack([frame[0] for frame in baked]),
            quats=unless_constant(np.stack([frame[1] for frame in baked])),
            scales=unless_constant(np.stack([frame[2] for frame in baked])),
            opacities=np.stack([frame[4] for frame in baked]) if fading else None,
            sh0=np.stack([frame[3] for frame in baked]) if colored else None,
        ),
        cameras=dataset.cameras,
        times=times,
        fps=dataset.fps,
        frame_start=dataset.frame_start,
        blend=scene.blend,
        provenance=provenance,
    )


def unless_constant(values: np.ndarray) -> np.ndarray | None:
    """Return values [T, ...], or None where they are the same at all times."""
    return None if (values == values[:1]).all() else values


def _placed(splats: Splats, scene: Scene, moving: Tensor) -> tuple[np.ndarray, ...]:
    """Return means, unit quats, scales, colours and opacities in the dataset's world."""
    means = splats.means.cpu()[moving].numpy() * scene.radius + scene.center
    quats = torch.nn.functional.normalize(splats.quats.cpu()[moving], dim=-1).numpy()
    scales = splats.scales.cpu()[moving].numpy() * scene.radius
    colors = splats.sh0.cpu()[moving].numpy()
    opacities = splats.opacities.cpu()[moving].numpy()
    return means.astype(np.float32), quats, scales.astype(np.float32), colors, opacities


def _gaussians(
    parameters: Mapping[str, Tensor], splats: Splats, told: Told, scene: Scene
) -> Gaussians:
    everything = torch.ones(len(splats.means), dtype=torch.bool)
    means, quats, scales, sh0, opacities = _placed(splats, scene, everything)
    return Gaussians(
        means=means,
        quats=quats,
        scales=scales,
        opacities=opacities,
        sh0=sh0,
        shN=parameters["shN"].cpu().numpy(),
        dynamic_scores=told.scores.cpu().numpy().astype(np.float32),
        observed=told.observed.cpu().numpy().astype(np.float32),
    )


def _select(gaussians: Gaussians, chosen: np.ndarray) -> Gaussians:
    return Gaussians(
        **{name: getattr(gaussians, name)[chosen] for name in Gaussians.__dataclass_fields__}
    )
