# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking motion away from Gaussians that turned out not to move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from . import Deltas, Motion

STILL_SCORE = 0.1  # from this dynamic score on, motion is believed without doubt
SCORE_FLOOR = 0.02  # under this a score is codec or render noise
VISIBLE_CHANGE = 0.02  # of a colour, in units of SH (1.4 of 255), or of an opacity


@torch.no_grad()
def mean_deltas(motion: Motion, parameters: Mapping[str, Tensor], times: Sequence[float]) -> Deltas:
    """Return the mean over the times of what the motion adds to every Gaussian."""
    sums: list[Tensor | None] = list(motion(parameters, float(times[0])))
    for time in times[1:]:
        pairs = zip(sums, motion(parameters, float(time)), strict=True)
        sums = [None if a is None or b is None else a + b for a, b in pairs]
    means = [None if total is None else total / len(times) for total in sums]
    return Deltas(*means)  # type: ignore[arg-type]


@torch.no_grad()
def close_still_gates(
    motion: Motion,
    parameters: Mapping[str, Tensor],
    times: Iterable[float],
    reach: float,
    rest: Deltas,
) -> None:
    """Set `motion_gate` to 0 where a Gaussian moves less than `reach` (world units) in the clip.

    The lower its dynamic score (the first of `motion_features`), the more it takes to be believed.
    Motion is measured from the canonical Gaussian plus `rest`, which what is still takes over.
    """
    largest = torch.zeros(len(parameters["means"]), device=parameters["means"].device)
    changes = torch.zeros_like(largest)
    size = parameters["scales"].exp().amax(1)
    unit = F.normalize(parameters["quats"] + rest.d_quats, dim=-1)
    colors = 0.0 if rest.d_sh0 is None else rest.d_sh0
    logits = parameters["opacities"] + (0.0 if rest.d_opacities is None else rest.d_opacities)
    for time in times:
        deltas = motion(parameters, float(time))
        turned = F.normalize(parameters["quats"] + deltas.d_quats, dim=-1)
        turn = 2 * (1 - (turned * unit).sum(-1).abs().clamp(max=1) ** 2).sqrt()
        moved = (deltas.d_means - rest.d_means).norm(dim=-1)
        largest = torch.maximum(largest, moved + turn * size)
        if deltas.d_sh0 is not None:
            changes = torch.maximum(changes, (deltas.d_sh0 - colors)[:, 0].abs().amax(-1))
        if deltas.d_opacities is not None:
            after = (parameters["opacities"] + deltas.d_opacities).sigmoid()
            changes = torch.maximum(changes, (after - logits.sigmoid()).abs())
    score = parameters["motion_features"][:, 0]
    doubt = STILL_SCORE / score.clamp_min(SCORE_FLOOR)
    still = (largest < reach * doubt) & (changes < VISIBLE_CHANGE * doubt)
    still &= parameters["motion_gate"] > 0
    parameters["motion_gate"][still] = 0
    names = ("means", "quats", "scales", "sh0", "opacities")
    for name, offset in zip(names, rest, strict=True):
        if offset is not None:
            parameters[name][still] += offset[still]
