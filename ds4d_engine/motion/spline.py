# SPDX-License-Identifier: GPL-3.0-or-later
"""Explicit motion: a cubic B-spline in time for every Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ds4d_engine.motion import Clip, Deltas, Motion
from ds4d_engine.seam.errors import ConfigError

NEIGHBOUR_ROWS = 1024
"""Rows of the distance matrix held at once while neighbours are searched."""


class SplineMotion(Motion):
    """Give every Gaussian its own uniform cubic B-spline.

    The value at the middle time is subtracted from the basis, so the canonical frame is exactly
    the middle frame and zero coefficients are the identity.
    """

    name: ClassVar[str] = "spline"

    def __init__(
        self,
        clip: Clip,
        *,
        knots: int | None = None,
        scales: bool = False,
        learning_rate: float = 7e-3,
        rigidity: float = 0.0,
        neighbours: int = 4,
    ) -> None:
        """Set up the basis.

        `knots` is the number K of coefficients per channel, by default half the frames and at
        least 4. `scales` adds coefficients for the log-scales. `rigidity` weighs the difference
        between the translations of each Gaussian and of its nearest `neighbours`.
        """
        super().__init__()
        self.knots = max(4, clip.frame_count // 2) if knots is None else knots
        if self.knots < 4:
            raise ConfigError(f"A cubic spline needs at least 4 knots, not {self.knots}.")
        if rigidity < 0 or neighbours < 1:
            raise ConfigError("Rigidity must be 0 or more, with at least one neighbour.")
        self.scales = scales
        self.learning_rate = learning_rate
        self.rigidity = rigidity
        self.neighbours = neighbours
        self.refresh_interval = 300 if rigidity > 0 else 0
        self._middle = bspline_basis(self.knots, clip.middle_time)
        self._near: Tensor | None = None

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
        """Evaluate the K basis functions at `time`, minus their values at the middle time."""
        basis = bspline_basis(self.knots, time)
        return [now - middle for now, middle in zip(basis, self._middle, strict=True)]

    def forward(self, splats: Mapping[str, Tensor], time: float) -> Deltas:
        """Evaluate the splines at a time in 0..1 (clamped)."""
        means = splats["means"]
        weights = means.new_tensor(self.weights(time))
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

    def refresh(self, splats: Mapping[str, Tensor], visible: Tensor | None) -> None:
        """Search the neighbours that rigidity compares; `visible` is not used."""
        if self.rigidity > 0:
            self._near = nearest(splats["means"].detach(), self.neighbours)

    def regularisation(self, splats: Mapping[str, Tensor]) -> Tensor:
        """Penalise neighbours that move apart: rigidity x mean |difference of coefficients|."""
        coefficients = splats["motion_means"]
        near = self._near
        if self.rigidity == 0 or near is None or near.shape[0] != len(coefficients):
            return coefficients.new_zeros(())
        # A random subset keeps the cost constant; every Gaussian gets its turn.
        rows = torch.randint(len(coefficients), (min(1500, len(coefficients)),))
        difference = coefficients[rows, None] - coefficients[near[rows]]
        lengths = difference.square().sum((2, 3)).add(1e-8).sqrt()
        return self.rigidity * lengths.mean()


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


def contract(coefficients: Tensor, weights: Tensor) -> Tensor:
    """Sum `coefficients` [N, K, C] over K with `weights` [K] -> [N, C].

    Written as one product with a [K*C, C] matrix: forward and backward together take a third of
    the time of a batched or broadcast product on a CPU.
    """
    count, knots, channels = coefficients.shape
    identity = torch.eye(channels, dtype=weights.dtype, device=weights.device)
    matrix = torch.kron(weights[:, None], identity)  # [K*C, C]
    return coefficients.reshape(count, knots * channels) @ matrix


def nearest(points: Tensor, neighbours: int) -> Tensor:
    """Find the `neighbours` nearest other points of each point [N, 3] -> indices [N, k]."""
    k = min(neighbours, len(points) - 1)
    found = [
        torch.cdist(rows, points).topk(k + 1, largest=False).indices[:, 1:]
        for rows in points.split(NEIGHBOUR_ROWS)
    ]
    return torch.cat(found)
