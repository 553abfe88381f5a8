# SPDX-License-Identifier: GPL-3.0-or-later
"""Densification: gsplat's DefaultStrategy, growing to a budget instead of past a threshold."""

from __future__ import annotations

from typing import Any

import torch
from gsplat.strategy import DefaultStrategy
from torch import Tensor
from torch.nn import Parameter

from ..raster import Render
from .config import FitConfig
from .scene import View

PACE = 1.3  # growth is front-loaded: a Gaussian born early has more steps to settle


class Densifier:
    """Grow and prune Gaussians a fixed number of times over a stretch of the fit.

    gsplat clones, splits and prunes parameters together with their Adam state; which Gaussians
    grow is ours: those with the largest mean image gradient, as many as the budget allows. On a
    CPU an absolute threshold, which depends on image size and loss, would leave the cost open.
    """

    def __init__(self, config: FitConfig) -> None:
        self.config = config
        self.strategy = DefaultStrategy(
            prune_opa=config.prune_opacity,
            grow_scale3d=0.02,
            prune_scale3d=0.5,
            refine_stop_iter=1 << 62,
            reset_every=1 << 62,
        )
        self.state: dict[str, Any] = self.strategy.initialize_state(scene_scale=1.0)
        self.done = 0

    def observe(self, render: Render, view: View) -> None:
        """Add one backward pass's image gradients to the running mean, as gsplat does."""
        if not self.config.densify_times:
            return
        gradient = render.means2d.grad
        assert gradient is not None
        # no tensor of the size: copied to a device at every step, it would make the host wait
        scaled = torch.stack([gradient[:, 0] * view.width, gradient[:, 1] * view.height], 1) / 2
        seen = (render.radii > 0).all(-1)
        length = scaled.norm(dim=-1) * seen
        if self.state["grad2d"] is None:
            self.state["grad2d"] = torch.zeros_like(length)
            self.state["count"] = torch.zeros_like(length)
        self.state["grad2d"] += length
        self.state["count"] += seen

    def due(self, part: float) -> bool:
        """Tell whether the part of the fit that has passed calls for another growth."""
        config = self.config
        span = config.densify_stop - config.densify_start
        if self.done >= config.densify_times or part < config.densify_start:
            return False
        return part >= config.densify_start + span * self.done / max(config.densify_times, 1)

    @torch.no_grad()
    def grow_and_prune(
        self,
        parameters: dict[str, Parameter],
        optimizers: dict[str, torch.optim.Optimizer],
        weights: Tensor | None = None,
    ) -> None:
        """Clone small and split large Gaussians of high gradient; prune the transparent.

        Args:
            weights: [N] factor on each Gaussian's gradient, or None for equal weights.
        """
        self.done += 1
        if self.state["grad2d"] is None:
            return
        gradient = self.state["grad2d"] / self.state["count"].clamp_min(1)
        if weights is not None:
            gradient = gradient * weights
        alive = torch.sigmoid(parameters["opacities"]) >= self.config.prune_opacity
        room = self.config.max_gaussians - int(alive.sum())
        left = max(self.config.densify_times - self.done + 1, 1)
        births = min(room, int(PACE * room / left) + 1, len(gradient) // 4)
        if births > 0:
            ranked = torch.where(alive, gradient, torch.zeros_like(gradient))
            threshold = ranked.topk(births).values[-1]
            self.strategy.grow_grad2d = float(threshold)
            self.state["grad2d"] = ranked * self.state["count"].clamp_min(1)
            self.strategy._grow_gs(parameters, optimizers, self.state, 0)
        self.strategy._prune_gs(parameters, optimizers, self.state, 0)
        self.state["grad2d"].zero_()
        self.state["count"].zero_()
