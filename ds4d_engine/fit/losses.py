# SPDX-License-Identifier: GPL-3.0-or-later
"""What one step of a fit minimises."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..photometric import photometric_loss
from ..raster import Render
from .checkpoint import FitState
from .config import FitConfig
from .guidance import Guidance
from .scene import Scene, TargetCache
from .schedule import Draw, Window
from .splats import Splats, activate, render_view
from .views import DOUBT_FROM


class StepLoss(NamedTuple):
    """The loss of one step."""

    total: Tensor  # scalar, with a gradient
    photometric: Tensor  # scalar, without one
    render: Render  # whose `means2d` keeps its gradient
    target: Tensor  # [H, W, 3] encoded, over the look's background


class Losses:
    """Renders what a step looks at and compares it with its picture and with priors."""

    def __init__(
        self, scene: Scene, state: FitState, config: FitConfig, guidance: Guidance
    ) -> None:
        self.scene, self.state, self.config, self.guidance = scene, state, config, guidance
        self._targets = TargetCache(scene, config.picture_memory << 20)

    def of(self, look: Draw, window: Window, part: float) -> StepLoss:
        """Return the loss of a look at a part 0..1 of the fit."""
        state, config, views = self.state, self.config, self.state.views
        parameters, step = state.parameters, state.step
        splats = activate(
            parameters, state.motion if look.moving else None, float(self.scene.times[look.frame])
        )
        shown = views.corrected(splats, look.view) if look.moving else splats
        view = self.scene.views[look.view]
        render = render_view(parameters, shown, view, blend=config.blend, backend=config.backend)
        render.means2d.retain_grad()
        target, coverage = self._targets.target(look.frame, look.view, look.background)
        whole = part >= DOUBT_FROM and window.high - window.low == self.scene.frame_count
        believed, coverage = views.judge(
            look.view, render, target, coverage, look.background, settled=whole
        )
        photometric = photometric_loss(
            render.colors,
            render.alphas,
            believed,
            look.background,
            blend=config.blend,
            ssim_weight=config.ssim_weight,
        )
        loss = photometric
        if config.alpha_weight:
            loss = loss + config.alpha_weight * (render.alphas - coverage).abs().mean()
        likeness = self.guidance.likeness(step, look.view, render, target, look.background)
        if likeness is not None:
            loss = loss + likeness
        loss = loss * views.confidence(look.view)
        loss = loss + _pulls(splats, config)
        imagined = self.guidance.imagined(step, parameters, splats, look.frame, state.rng, part)
        if imagined is not None:
            loss = loss + imagined.to(loss.device)
        if look.moving:
            loss = loss + state.motion.regularisation(parameters, config.prior_final**part)
            prior = views.prior(look.view)
            loss = loss if prior is None else loss + prior
        return StepLoss(loss, photometric.detach(), render, target)


def _pulls(splats: Splats, config: FitConfig) -> Tensor:
    """Return the pulls on opacity and scale."""
    total = splats.opacities.new_zeros(())
    if config.opacity_weight:
        total = total + config.opacity_weight * splats.opacities.mean()
    if config.scale_weight:
        total = total + config.scale_weight * splats.scales.mean()
    return total
