# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated views disagree: with the clip, with each other, with their own cameras.

Three remedies, each a setting, none for pictures that a camera took:

- `view_confidence`: a view's losses are weighted by the median of all views' mean residuals over
  its own. If residuals follow a Laplace distribution, for which L1 is the likelihood, its scale is
  their mean and the likelihood's weight one over the scale: a running estimate of what a learned
  variance per view would converge to, without another learning rate. No view counts more than the
  clip, and none less than `LEAST_CONFIDENCE`, so that it can win back its weight.
- `view_robust`: where the render misses a view by several times the views' mean residual, the
  render itself takes the target's place, so that the pixel pulls at nothing (truncated L1, and
  SSIM windows that see no difference there). Only from a third of the fit on, once the window spans
  the clip: before, a large residual is motion or detail that was not found yet.
- `camera_correction`: a small rigid motion per view, six numbers starting at zero. A rasteriser
  gives no gradient for cameras, so the Gaussians are moved instead, about the subject's centre,
  before this view is rendered. The clip's own camera is never corrected, but it does not see how
  far away things are: what all views would be moved by alike (their median) is not applied. The
  prior grows with a correction's length, not its square: views that are right get none at all.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..raster import Render
from ..raster.oracle import rotation_matrices
from .config import FitConfig
from .scene import Scene
from .splats import Splats, composite

LEAST_CONFIDENCE = 0.1
MEMORY = 100
"""Looks at a view over which its residual is averaged."""
OUTLIER = 2.5
"""Residuals beyond so many times the mean are not believed."""
SMALLEST_OUTLIER = 0.05
"""Of 1: smaller residuals are always believed."""
DOUBT_FROM = 0.35
"""Part of the fit from which on outliers are looked for."""
POSE_RATE = 6e-3
"""Adam's learning rate of corrections, in radians and radii."""
POSE_PRIOR = 0.05
"""Weight of a correction's length, in radians and radii, against a photometric loss of 0.01."""


class GeneratedViews(nn.Module):
    """What the fit has learned of every view of a scene; views of real cameras are left alone."""

    residuals: Tensor
    counts: Tensor

    def __init__(self, scene: Scene, config: FitConfig) -> None:
        super().__init__()
        self.config, self.generated = config, [bool(made) for made in scene.generated]
        self.names = [view.camera.name for view in scene.views]
        count = len(self.generated)
        self.register_buffer("residuals", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(count, dtype=torch.int64))
        poses = sum(self.generated) if config.camera_correction else 0
        self.poses = nn.ParameterList(nn.Parameter(torch.zeros(6)) for _ in range(poses))
        self._place = {view: i for i, view in enumerate(v for v in range(count) if self._made(v))}

    def _made(self, view: int) -> bool:
        return self.generated[view]

    def optimizer(self) -> torch.optim.Optimizer | None:
        """Return Adam over the corrections; one without a gradient keeps its place."""
        if not len(self.poses):
            return None
        return torch.optim.Adam(self.poses.parameters(), lr=POSE_RATE, eps=1e-12, fused=True)

    # ------------------------------------------------------------------ confidence, robustness

    def confidence(self, view: int) -> float:
        """Return the weight of a view's losses, `LEAST_CONFIDENCE` to 1."""
        if not (self.config.view_confidence and self._made(view)) or not self.counts[view]:
            return 1.0
        share = float(self._median() / self.residuals[view].clamp_min(1e-9))
        return min(max(share, LEAST_CONFIDENCE), 1.0)

    @torch.no_grad()
    def judge(
        self,
        view: int,
        render: Render,
        target: Tensor,
        coverage: Tensor,
        background: float,
        *,
        settled: bool,
    ) -> tuple[Tensor, Tensor]:
        """Note how far a render is from a view, and return what of the view to believe.

        Args:
            target: [H, W, 3] encoded, over the background.
            coverage: [H, W].
            settled: whether the fit has seen every frame, so that what it misses is a
                contradiction.

        Returns:
            Target and coverage, with the render in the place of what is not believed.
        """
        if not self._made(view) or not (self.config.view_confidence or self.config.view_robust):
            return target, coverage
        image = composite(render, background, self.config.blend)
        residual = (image - target).abs().amax(-1)  # [H, W]
        subject = torch.maximum(coverage, render.alphas.detach())
        self._note(view, float((residual * subject).sum() / subject.sum().clamp_min(1)))
        if not (self.config.view_robust and settled):
            return target, coverage
        doubted = residual > max(SMALLEST_OUTLIER, OUTLIER * float(self._median()))
        believed = torch.where(doubted[..., None], image, target)
        return believed, torch.where(doubted, render.alphas.detach(), coverage)

    def _note(self, view: int, residual: float) -> None:
        self.counts[view] += 1
        weight = 1 / min(int(self.counts[view]), MEMORY)
        self.residuals[view] += weight * (residual - float(self.residuals[view]))

    def _median(self) -> Tensor:
        """Return the median of the residuals of the views that were looked at."""
        return self.residuals[self.counts > 0].quantile(0.5)

    # ------------------------------------------------------------------ cameras

    def corrected(self, splats: Splats, view: int) -> Splats:
        """Return the Gaussians as a view's corrected camera sees them from its old place."""
        pose = self._pose(view)
        if pose is None:
            return splats
        turn = _quaternion(pose[:3])
        means = splats.means @ rotation_matrices(turn[None])[0].T + pose[3:]
        return splats._replace(means=means, quats=splats.quats @ _left_product(turn).T)

    def prior(self, view: int) -> Tensor | None:
        """Return the penalty of a view's correction; None for a view that has none."""
        pose = self._pose(view)
        return None if pose is None else POSE_PRIOR * (pose.square().sum() + 1e-5).sqrt()

    def _pose(self, view: int) -> Tensor | None:
        if not len(self.poses) or not self._made(view):
            return None
        shift = torch.stack([other.detach()[3:] for other in self.poses]).median(0).values
        pose = self.poses[self._place[view]]
        return torch.cat([pose[:3], pose[3:] - shift])

    def summary(self) -> dict[str, Any]:
        """Return confidence and correction of every generated view, by name."""
        found: dict[str, Any] = {}
        for view, name in enumerate(self.names):
            if not self._made(view):
                continue
            entry = {"confidence": round(self.confidence(view), 3)}
            pose = self._pose(view)
            if pose is not None:
                pose = pose.detach()
                entry["turned_degrees"] = round(math.degrees(float(pose[:3].norm())), 2)
                entry["moved_radii"] = round(float(pose[3:].norm()), 4)
            found[name] = entry
        return found


def _quaternion(turn: Tensor) -> Tensor:
    """Return the wxyz quaternion [4] of a rotation vector [3] in radians."""
    angle = (turn.square().sum() + 1e-16).sqrt()
    return torch.cat([torch.cos(angle / 2)[None], turn * (torch.sin(angle / 2) / angle)])


def _left_product(quaternion: Tensor) -> Tensor:
    """Return the matrix [4, 4] that multiplies quaternions from the left."""
    w, x, y, z = quaternion.unbind()
    rows = [
        torch.stack([w, -x, -y, -z]),
        torch.stack([x, w, -z, y]),
        torch.stack([y, z, w, -x]),
        torch.stack([z, -y, x, w]),
    ]
    return torch.stack(rows)
