# SPDX-License-Identifier: GPL-3.0-or-later
"""DS4D as published: decoupled, fused image features join a HexPlane in a deformation MLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ds4d_engine.dsfd import Reference, decouple
from ds4d_engine.motion import Clip, Deltas, Motion
from ds4d_engine.motion.hexplane import DeformationField, PlanePenalty, field_groups, sizes_for
from ds4d_engine.sampling import TokenSampler
from ds4d_engine.seam.errors import ConfigError, EngineError
from ds4d_engine.tssf import TSSF, Fuse

LEAST_DEVIATION = 0.01
"""Of the mean deviation of channels: what changes less is noise."""


class PaperMotion(Motion):
    """The network of DS4D: HexPlane plus TSSF of DSFD features -> deformation MLP.

    The tokens of a frame are projected to few channels before they are sampled at the canonical
    centres, which is the same as projecting the samples, and cheaper.
    """

    name: ClassVar[str] = "ds4d-paper"
    needs_visibility = True
    tokens: Tensor
    """[T, P, C] what is projected and sampled: decoupled features or plain tokens."""

    def __init__(
        self,
        clip: Clip,
        *,
        reference: Reference = "both",
        decoupled: bool = True,
        fuse: Fuse = "ga",
        point_channels: int = 16,
        learning_rate: float = 2e-3,
        grid_learning_rate: float = 2e-2,
        space_curvature: float = 0.0,
        time_curvature: float = 0.0,
        time_share: float = 0.0,
        **sizes: Any,
    ) -> None:
        """Set up the network.

        `reference` is DSFD's; `decoupled` off takes the tokens as they are. `fuse` is TSSF's
        fusion; `point_channels` the channels that features keep. The rest is as in
        `HexPlaneMotion`.
        """
        super().__init__()
        if clip.features is None:
            raise ConfigError("The published DS4D motion needs image features; extract them first.")
        if len(clip.features.tokens) != clip.frame_count:
            raise ConfigError(
                f"The features cover {len(clip.features.tokens)} frames but the clip has "
                f"{clip.frame_count}; extract them from the same frames."
            )
        self.learning_rate = learning_rate
        self.grid_learning_rate = grid_learning_rate
        self.penalty = PlanePenalty(space_curvature, time_curvature, time_share)
        self.refresh_interval = 300
        self.times = tuple(float(time) for time in clip.times)
        self.cameras, self.grids = clip.features.cameras, clip.features.grids
        tokens = clip.features.tokens
        if decoupled:
            tokens = decouple(tokens, clip.middle, reference).features
        # Not saved with the module: they come from the images.
        self.register_buffer("tokens", of_unit_size(tokens), persistent=False)
        self.project = nn.Linear(tokens.shape[2], point_channels)
        self.fusion = TSSF(point_channels, fuse)
        self.field = DeformationField(point_channels, **sizes_for(clip, sizes))
        self._sampler: TokenSampler | None = None
        self._visible: Tensor | None = None

    def network_groups(self) -> list[dict[str, Any]]:
        """Give the planes their own learning rate, and all layers another."""
        groups = field_groups(self.field, self.learning_rate, self.grid_learning_rate)
        groups[1]["params"] += [*self.project.parameters(), *self.fusion.parameters()]
        return groups

    def refresh(self, splats: Mapping[str, Tensor], visible: Tensor | None) -> None:
        """Project the canonical centres anew; `visible` [V, N] says which views see them."""
        if visible is None:
            raise EngineError("The published DS4D motion needs to know which views see what.")
        self._sampler = TokenSampler(splats["means"], self.cameras, self.grids)
        self._visible = visible

    def point_features(self, time: float) -> tuple[Tensor, Tensor]:
        """Fuse the features at a time -> features [N, C] and shares of the views [V, N].

        Between frames, the tokens of the two frames are interpolated.
        """
        if self._sampler is None or self._visible is None:
            raise EngineError("Refresh the motion model before it is evaluated.")
        first, second, share = bracket(self.times, time)
        tokens = self.tokens[first]
        if share > 0:
            tokens = torch.lerp(tokens, self.tokens[second], share)
        sampled = self._sampler.sample(self.project(tokens))
        fused: tuple[Tensor, Tensor] = self.fusion(sampled, self._visible)
        return fused

    def forward(self, splats: Mapping[str, Tensor], time: float) -> Deltas:
        """Deform the canonical means; raises EngineError if `refresh` is due."""
        means = splats["means"].detach()
        fused, _ = self.point_features(time)
        if len(fused) != len(means):
            raise EngineError(
                f"The motion model was refreshed for {len(fused)} Gaussians but got {len(means)}; "
                "refresh it after every change of their number."
            )
        deltas: Deltas = self.field(means, time, fused)
        return deltas

    def regularisation(self, splats: Mapping[str, Tensor], fade: float = 1.0) -> Tensor:
        """Penalise rough planes."""
        return self.penalty.of(self.field.planes)


def of_unit_size(tokens: Tensor) -> Tensor:
    """Divide each channel of [T, P, C] by its deviation over the clip.

    Tokens have a length of about 1, so their channels are small beside the planes' and sines that
    they join, and what DSFD calls dynamic is smaller still: a network would notice it last.
    A channel that hardly changes stays small.
    """
    deviation = tokens.flatten(0, 1).std(0, correction=0)
    return tokens / deviation.clamp_min(LEAST_DEVIATION * deviation.mean()).clamp_min(1e-12)


def bracket(times: tuple[float, ...], time: float) -> tuple[int, int, float]:
    """Find the frames around a time and the second one's share; clamped to the clip."""
    if time <= times[0]:
        return 0, 0, 0.0
    for second in range(1, len(times)):
        if time <= times[second]:
            first = second - 1
            share = (time - times[first]) / (times[second] - times[first])
            # Times that differ by rounding are the frame itself.
            if share < 1e-6:
                return first, first, 0.0
            return (second, second, 0.0) if share > 1 - 1e-6 else (first, second, share)
    return len(times) - 1, len(times) - 1, 0.0
