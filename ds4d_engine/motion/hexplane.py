# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion as a network: a HexPlane over space and time feeds a deformation MLP.

The defaults are sized for a CPU; `networks` holds what others published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ds4d_engine.motion import Clip, Deltas, Motion
from ds4d_engine.seam.errors import ConfigError
from ds4d_engine.sending import sent

SPACE_PAIRS = ((0, 1), (0, 2), (1, 2))
"""Axes of the three planes of space."""


class HexPlane(nn.Module):
    """Features of space-time points: the product of six planes, at one or more resolutions."""

    def __init__(
        self,
        *,
        bound: float,
        resolution: int,
        time_resolution: int,
        channels: int,
        scales: tuple[int, ...],
    ) -> None:
        """Create the planes; `scales` multiply the resolution of space, not that of time."""
        super().__init__()
        self.bound = bound
        self.channels = channels * len(scales)
        # Starts without influence of time: planes of time are one, so the motion is learned.
        self.space = nn.ParameterList(
            nn.Parameter(
                torch.empty(3, channels, s * resolution, s * resolution).uniform_(0.1, 0.5)
            )
            for s in scales
        )
        self.time = nn.ParameterList(
            nn.Parameter(torch.ones(3, channels, time_resolution, s * resolution)) for s in scales
        )

    def forward(self, means: Tensor, time: float) -> Tensor:
        """Look up `means` [N, 3] at a time in 0..1 -> [N, channels * scales].

        Points beyond the bound take the border's values.
        """
        place = means / self.bound
        clock = torch.full_like(place[:, 0], 2 * time - 1)
        space = torch.stack([place[:, pair] for pair in SPACE_PAIRS])[:, None]  # [3, 1, N, 2]
        course = torch.stack([torch.stack([place[:, a], clock], 1) for a in range(3)])[:, None]
        features = [
            _lookup(planes, space).prod(0) * _lookup(courses, course).prod(0)
            for planes, courses in zip(self.space, self.time, strict=True)
        ]
        return torch.cat(features).T


class DeformationField(nn.Module):
    """The MLP that turns a place, a time and optional point features into deltas."""

    def __init__(
        self,
        extra: int = 0,
        *,
        bound: float = 1.1,
        resolution: int = 32,
        time_resolution: int = 12,
        channels: int = 8,
        scales: tuple[int, ...] = (1,),
        width: int = 64,
        frequencies: int = 3,
    ) -> None:
        """Set up the field.

        `extra` is the number of point features joined to the plane features. `bound` is half the
        side of the cube that the planes cover, in world units; `resolution` the samples along an
        axis of space at the first of `scales`, `time_resolution` those along time; `channels` the
        features of each plane; `width` the hidden units. `frequencies` adds that many octaves of
        sines of place, and of time one more; 0 adds neither, as published.
        """
        super().__init__()
        if min(resolution, time_resolution, channels, width, *scales) < 1 or bound <= 0:
            raise ConfigError("Every size of a deformation field must be positive.")
        self.planes = HexPlane(
            bound=bound,
            resolution=resolution,
            time_resolution=time_resolution,
            channels=channels,
            scales=scales,
        )
        self.frequencies = frequencies
        encoded = 6 * frequencies + 3 + 2 * (frequencies + 1) + 1 if frequencies else 0
        self.join = nn.Linear(self.planes.channels + encoded + extra, width)
        self.heads = nn.ModuleDict(
            {"d_means": _head(width, 3), "d_quats": _head(width, 4), "d_scales": _head(width, 3)}
        )

    def forward(self, means: Tensor, time: float, extra: Tensor | None = None) -> Deltas:
        """Deform `means` [N, 3] at a time, given point features `extra` [N, E]."""
        parts = [self.planes(means, time)]
        if self.frequencies:
            parts += [encode(means, time, self.frequencies)]
        if extra is not None:
            parts += [extra]
        hidden = self.join(torch.cat(parts, 1))
        return Deltas(**{name: head(hidden) for name, head in self.heads.items()})


class HexPlaneMotion(Motion):
    """Motion from place and time alone: no features, no per-Gaussian state."""

    name: ClassVar[str] = "hexplane"

    def __init__(
        self,
        clip: Clip,
        *,
        learning_rate: float = 2e-3,
        grid_learning_rate: float = 2e-2,
        space_curvature: float = 0.0,
        time_curvature: float = 0.0,
        time_share: float = 0.0,
        **sizes: Any,
    ) -> None:
        """Set up the field; `sizes` are those of `DeformationField`.

        A `time_resolution` of 0 is half the frames. The last three weigh `PlanePenalty`'s terms.
        """
        super().__init__()
        self.learning_rate = learning_rate
        self.grid_learning_rate = grid_learning_rate
        self.penalty = PlanePenalty(space_curvature, time_curvature, time_share)
        self.field = DeformationField(**sizes_for(clip, sizes))

    def network_groups(self) -> list[dict[str, Any]]:
        """Give the planes and the MLP their own learning rates."""
        return field_groups(self.field, self.learning_rate, self.grid_learning_rate)

    def forward(self, splats: Mapping[str, Tensor], time: float) -> Deltas:
        """Deform the canonical means, which the field reads without moving them."""
        deltas: Deltas = self.field(splats["means"].detach(), time)
        return deltas

    def regularisation(self, splats: Mapping[str, Tensor], fade: float = 1.0) -> Tensor:
        """Penalise rough planes."""
        return self.penalty.of(self.field.planes)


class PlanePenalty(NamedTuple):
    """Weights of what keeps planes smooth, as in 4DGaussians; all zero: nothing does."""

    space_curvature: float
    """Of the squared second differences of the planes of space, along their second axis."""
    time_curvature: float
    """Of those of the planes of time, along time."""
    time_share: float
    """Of how far planes of time are from 1, where they have no influence."""

    def of(self, planes: HexPlane) -> Tensor:
        """Return the penalty, a scalar."""
        total = planes.space[0].new_zeros(())
        if not any(self):
            return total
        for space, time in zip(planes.space, planes.time, strict=True):
            # The mean over three stacked planes is a third of the sum of their means.
            total = total + 3 * self.space_curvature * _curvature(space)
            total = total + 3 * self.time_curvature * _curvature(time)
            total = total + 3 * self.time_share * (1 - time).abs().mean()
        return total


def sizes_for(clip: Clip, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `sizes` with a time resolution of 0 replaced by half the clip's frames."""
    if sizes.get("time_resolution") == 0:
        return {**sizes, "time_resolution": max(2, clip.frame_count // 2)}
    return dict(sizes)


def field_groups(
    field: DeformationField, learning_rate: float, grid_learning_rate: float
) -> list[dict[str, Any]]:
    """Split a field into the Adam groups "planes" and "network"."""
    planes = list(field.planes.parameters())
    network = [*field.join.parameters(), *field.heads.parameters()]
    return [
        {"name": "planes", "params": planes, "lr": grid_learning_rate},
        {"name": "network", "params": network, "lr": learning_rate},
    ]


def encode(means: Tensor, time: float, frequencies: int) -> Tensor:
    """Encode place [N, 3] and time by octaves of sines -> [N, 3 + 6F + 1 + 2(F + 1)]."""
    octaves = math.pi * 2.0 ** torch.arange(frequencies, device=means.device, dtype=means.dtype)
    angles = (means[:, :, None] * octaves).flatten(1)
    clock = [time]
    for harmonic in range(1, frequencies + 2):
        angle = 2 * math.pi * harmonic * time
        clock += [math.sin(angle), math.cos(angle)]
    return torch.cat(
        [means, angles.sin(), angles.cos(), sent(clock, means).expand(len(means), -1)], 1
    )


def _curvature(planes: Tensor) -> Tensor:
    """Return the mean squared second difference of planes [3, C, h, w] along h."""
    if planes.shape[-2] < 3:
        return planes.new_zeros(())
    return planes.diff(n=2, dim=-2).square().mean()


def _head(width: int, size: int) -> nn.Sequential:
    """Build a head whose last layer is zero, so that the deformation starts as the identity."""
    last = nn.Linear(width, size)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), last)


def _lookup(planes: Tensor, places: Tensor) -> Tensor:
    """Sample [3, C, h, w] at [3, 1, N, 2] in -1..1 -> [3, C, N]."""
    return F.grid_sample(planes, places, align_corners=True, padding_mode="border")[:, :, 0]
