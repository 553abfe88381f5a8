# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking motion away from Gaussians that turned out not to move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from . import Motion

STILL_SCORE = 0.1  # from this dynamic score on, motion is believed without doubt
SCORE_FLOOR = 0.02  # under this a score is codec or render noise
VISIBLE_CHANGE = 0.02  # of a colour, in units of SH (1.4 of 255), or of an opacity


@torch.no_grad()
def close_still_gates(
    motion: Motion,
    parameters: Mapping[str, Tensor],
    times: Iterable[float],
    reach: float,
    rest: Tensor | None = None,
) -> None:
    """Set `motion_gate` to 0 where a Gaussian moves less than `reach` (world units) in the clip.

    The lower its dynamic score (the first of `motion_features`), the more it takes to be believed.
    Motion is measured from the canonical place plus `rest` [N, 3], and what is still goes there.
    """
    largest = torch.zeros(len(parameters["means"]), device=parameters["means"].device)
    changes = torch.zeros_like(largest)
    size = parameters["scales"].exp().amax(1)
    rest = torch.zeros_like(parameters["means"]) if rest is None else rest
    unit = F.normalize(parameters["quats"], dim=-1)
    for time in times:
        deltas = motion(parameters, float(time))
        turned = F.normalize(parameters["quats"] + deltas.d_quats, dim=-1)
        turn = 2 * (1 - (turned * unit).sum(-1).abs().clamp(max=1) ** 2).sqrt()
        largest = torch.maximum(largest, (deltas.d_means - rest).norm(dim=-1) + turn * size)
        if deltas.d_sh0 is not None:
            changes = torch.maximum(changes, deltas.d_sh0[:, 0].abs().amax(-1))
        if deltas.d_opacities is not None:
            before = parameters["opacities"].sigmoid()
            after = (parameters["opacities"] + deltas.d_opacities).sigmoid()
            changes = torch.maximum(changes, (after - before).abs())
    score = parameters["motion_features"][:, 0]
    doubt = STILL_SCORE / score.clamp_min(SCORE_FLOOR)
    still = (largest < reach * doubt) & (changes < VISIBLE_CHANGE * doubt)
    still &= parameters["motion_gate"] > 0
    parameters["motion_gate"][still] = 0
    parameters["means"][still] += rest[still]
