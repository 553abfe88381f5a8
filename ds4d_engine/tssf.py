# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporal-spatial similarity fusion (TSSF): one feature per Gaussian from those of all views.

Source: DS4D (arXiv 2502.08377), section on TSSF. The use of visibility, and how distance becomes
a weight, are not published; docs/method.md gives our reading.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ds4d_engine.seam.errors import ConfigError

Fuse = Literal["ga", "da", "mean", "off"]
"""Global awareness, distance awareness, the mean of visible views, or the front view alone."""


class TSSF(nn.Module):
    """Fuse point features over the views that see a Gaussian. View 0 is the front view.

    - "ga": a linear layer scores each view; softmax; weighted sum.
    - "da": the other views are weighted by softmax(-sharpness * L1 distance to the front view's
      feature) and summed; a linear layer joins that sum and the front feature. Where the front
      view does not see the Gaussian, the mean of the views that do stands in for its feature;
      where only the front view does, its feature stands in for the sum.
    - "mean": the average of the visible views.
    - "off": the front view's feature, zero where it does not see the Gaussian.
    """

    def __init__(self, channels: int, fuse: Fuse = "ga", *, sharpness: float = 4.0) -> None:
        """Set up for features of `channels`; `sharpness` scales the mean L1 distance of "da"."""
        super().__init__()
        if fuse not in get_args(Fuse):
            raise ConfigError(
                f"Unknown fusion '{fuse}'; choose one of {', '.join(get_args(Fuse))}."
            )
        self.fuse = fuse
        self.sharpness = sharpness
        # A bias would be the same for all views, and softmax does not see it.
        self.score = nn.Linear(channels, 1, bias=False) if fuse == "ga" else None
        self.join = nn.Linear(2 * channels, channels) if fuse == "da" else None

    def forward(self, point_features: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse `point_features` [V, N, C], of which `visible` [V, N] count.

        Returns the fused features [N, C] and the share of each view [V, N]. Shares sum to 1 over
        the views that see a Gaussian; where none does, shares and features are zero. For "da" a
        share is the mean of the view's weights in the two joined features.
        """
        if self.score is not None:
            weights = masked_softmax(self.score(point_features)[..., 0], visible)
        elif self.join is not None:
            return self._fuse_by_distance(self.join, point_features, visible)
        elif self.fuse == "mean":
            weights = masked_mean(visible, point_features.dtype)
        else:
            weights = _front_only(visible, point_features.dtype)
        return _weighted(weights, point_features), weights

    def _fuse_by_distance(
        self, join: nn.Linear, point_features: Tensor, visible: Tensor
    ) -> tuple[Tensor, Tensor]:
        dtype = point_features.dtype
        front = _front_only(visible, dtype)
        others = visible.clone()
        others[0] = False
        reference_weights = torch.where(visible[0], front, masked_mean(visible, dtype))
        reference = _weighted(reference_weights, point_features)
        distance = (point_features - reference).abs().mean(-1)
        near_weights = masked_softmax(-self.sharpness * distance, others)
        near_weights = torch.where(others.any(0), near_weights, front)
        joined: Tensor = join(torch.cat([reference, _weighted(near_weights, point_features)], -1))
        seen = visible.any(0)[:, None]
        return joined * seen, (reference_weights + near_weights) / 2


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Take the softmax over the first axis where `mask`; zero elsewhere and in empty columns."""
    finite = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return finite.softmax(0) * mask


def masked_mean(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Give equal weights over the first axis where `mask`; zero in empty columns."""
    weights = mask.to(dtype)
    return weights / weights.sum(0).clamp_min(1)


def _front_only(visible: Tensor, dtype: torch.dtype) -> Tensor:
    weights = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    weights[0] = visible[0].to(dtype)
    return weights


def _weighted(weights: Tensor, point_features: Tensor) -> Tensor:
    return (weights[..., None] * point_features).sum(0)
