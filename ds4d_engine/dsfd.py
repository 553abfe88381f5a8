# SPDX-License-Identifier: GPL-3.0-or-later
"""Dynamic-static feature decoupling (DSFD): what of a token does its reference not explain?

Each token is split into the part along a reference, taken from the middle frame and the mean over
all frames, and the rest. Nothing is learned. Source: DS4D (arXiv 2502.08377), section on DSFD; how
middle and mean are combined is not published, so it is a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ds4d_engine.seam.errors import ConfigError

Reference = Literal["both", "middle", "mean", "gram-schmidt"]
"""What counts as static: (middle + mean) / 2, one of them, or the plane both span."""

NEGLIGIBLE = 1e-5
"""A reference shorter than this share of the mean token length has no direction."""


@dataclass(frozen=True, eq=False)
class Decoupled:
    """Tokens split into a static and a dynamic part, each [T, P, C]; their sum is the token."""

    static: Tensor
    dynamic: Tensor
    scores: Tensor
    """[T, P]: |dynamic| / (|token| + mean |token|), 0 for a token its reference explains."""

    @property
    def features(self) -> Tensor:
        """The decoupled features concat(token, dynamic) [T, P, 2C]."""
        return torch.cat([self.static + self.dynamic, self.dynamic], -1)


def decouple(tokens: Tensor, middle: int, reference: Reference = "both") -> Decoupled:
    """Split tokens [T, P, C] against the reference of the clip whose middle frame is `middle`.

    A token whose reference vanishes is all dynamic. The mean length in the denominator of the
    scores keeps nearly empty tokens from scoring high. Raises ConfigError for unknown references.
    """
    if reference not in get_args(Reference):
        raise ConfigError(
            f"Unknown reference '{reference}'; choose one of {', '.join(get_args(Reference))}."
        )
    lengths = tokens.norm(dim=-1)
    typical = lengths.mean()
    static = torch.zeros_like(tokens)
    for direction in _directions(tokens, middle, reference, NEGLIGIBLE * typical):
        static += (tokens * direction).sum(-1, keepdim=True) * direction
    dynamic = tokens - static
    tiny = torch.finfo(tokens.dtype).tiny
    scores = dynamic.norm(dim=-1) / (lengths + typical).clamp_min(tiny)
    return Decoupled(static, dynamic, scores)


def _directions(
    tokens: Tensor, middle: int, reference: Reference, negligible: Tensor
) -> list[Tensor]:
    """Give orthonormal directions [P, C] of what is static; zero where there is none."""
    at_middle, mean = tokens[middle], tokens.mean(0)
    if reference == "middle":
        return [_unit(at_middle, negligible)]
    if reference == "mean":
        return [_unit(mean, negligible)]
    if reference == "both":
        return [_unit((at_middle + mean) / 2, negligible)]
    first = _unit(at_middle, negligible)
    rest = mean - (mean * first).sum(-1, keepdim=True) * first
    second = _unit(rest, negligible)
    # Where mean and middle are nearly parallel the rest is mostly rounding: project once more.
    second = _unit(second - (second * first).sum(-1, keepdim=True) * first, negligible)
    return [first, second]


def _unit(vectors: Tensor, negligible: Tensor) -> Tensor:
    lengths = vectors.norm(dim=-1, keepdim=True)
    return torch.where(lengths > negligible, vectors / lengths.clamp_min(1e-30), 0.0)
