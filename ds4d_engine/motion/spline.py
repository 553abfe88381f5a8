# SPDX-License-Identifier: GPL-3.0-or-later
"""Explicit motion: a cubic B-spline in time for every Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ds4d_engine.motion import Clip, Deltas, Motion
from ds4d_engine.motion.knots import contract
from ds4d_engine.seam.errors import ConfigError

PLACES = ("motion_means", "motion_quats", "motion_scales")


class SplineMotion(Motion):
    """Give every Gaussian its own uniform cubic B-spline.

    Zero coefficients are the identity. The canonical frame is the middle frame at first; later it
    is free, as every frame is: tied to the canonical Gaussians, which all frames pull at, the
    middle frame would come out worst.
    """

    name: ClassVar[str] = "spline"
    _reached: Tensor
    knot_names: tuple[str, ...] = PLACES

    def __init__(
        self,
        clip: Clip,
        *,
        knots: int | None = None,
        scales: bool = False,
        learning_rate: float = 7e-3,
        damping: float = 0.0,
    ) -> None:
        """Set up the basis.

        `knots` is the number K of coefficients per channel, by default one a frame and at
        least 4. `scales` adds coefficients for the log-scales. `damping` is `KnotAdam`'s.
        """
        super().__init__()
        self.knots = max(4, clip.frame_count) if knots is None else knots
        if self.knots < 4:
            raise ConfigError(f"A cubic spline needs at least 4 knots, not {self.knots}.")
        self.scales = scales
        self.learning_rate = learning_rate
        self.knot_damping = dict.fromkeys(PLACES, damping)
        start = min(int(clip.middle_time * (self.knots - 3)), self.knots - 4)
        # first and last knot with a share in the time window; a buffer, so that checkpoints have it
        self.register_buffer("_reached", torch.tensor([start, start + 3]))

    def per_gaussian(self, count: int) -> dict[str, Tensor]:
        """Create zeros: `motion_means` [N,K,3], `motion_quats` [N,K,4], `motion_scales` if on."""
        state = {
            "motion_means": torch.zeros(count, self.knots, 3),
            "motion_quats": torch.zeros(count, self.knots, 4),
        }
        if self.scales:
            state["motion_scales"] = torch.zeros(count, self.knots, 3)
        return state

    def per_gaussian_lr(self) -> dict[str, float]:
        """Give one learning rate for all coefficients."""
        return dict.fromkeys(self.per_gaussian(0), self.learning_rate)

    def weights(self, time: float) -> list[float]:
        """Evaluate the K basis functions at `time`."""
        return bspline_basis(self.knots, time)

    @torch.no_grad()
    def extend(self, parameters: Mapping[str, Tensor], first: float, last: float) -> None:
        """Continue the motion into knots that the window reaches for the first time.

        A new knot starts where its two inner neighbours point to, half as fast: left at zero it
        would pull the new frames back to the canonical pose.
        """
        low = min(int(first * (self.knots - 3)), self.knots - 4)
        high = min(int(last * (self.knots - 3)), self.knots - 4) + 3
        before, after = (int(knot) for knot in self._reached)
        for name in PLACES:
            if name in parameters:
                for knot in range(after + 1, high + 1):
                    _continue(parameters[name], knot, -1)
                for knot in range(before - 1, low - 1, -1):
                    _continue(parameters[name], knot, 1)
        self._reached.copy_(torch.tensor([min(low, before), max(high, after)]))

    def forward(self, splats: Mapping[str, Tensor], time: float) -> Deltas:
        """Evaluate the splines at a time in 0..1 (clamped)."""
        means, weights = splats["means"], self.weights(time)
        d_scales = (
            contract(splats["motion_scales"], weights)
            if self.scales
            else torch.zeros_like(means, requires_grad=False)
        )
        return Deltas(
            contract(splats["motion_means"], weights),
            contract(splats["motion_quats"], weights),
            d_scales,
        )


def _continue(coefficients: Tensor, knot: int, inward: int) -> None:
    """Extrapolate one knot of [N, K, C] from the two beside it in direction `inward` (+1 or -1)."""
    near, far = coefficients[:, knot + inward], coefficients[:, knot + 2 * inward]
    coefficients[:, knot] = near + 0.5 * (near - far)


def bspline_basis(knots: int, time: float) -> list[float]:
    """Evaluate the `knots` uniform cubic B-splines on 0..1; 4 are non-zero and they sum to 1."""
    position = min(max(time, 0.0), 1.0) * (knots - 3)
    first = min(int(position), knots - 4)
    u = position - first
    values = [0.0] * knots
    values[first] = (1 - u) ** 3 / 6
    values[first + 1] = (3 * u**3 - 6 * u**2 + 4) / 6
    values[first + 2] = (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6
    values[first + 3] = u**3 / 6
    return values
