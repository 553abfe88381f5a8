# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks that do not flicker."""

from __future__ import annotations

import numpy as np

from ..data.dataset import Pixels

MAX_JUMP = 1.8
"""A mask this many times larger or smaller than those around it is a mistake."""
_REACH = 3


def steadied(masks: Pixels) -> tuple[Pixels, list[int]]:
    """Replace masks [T,h,w] whose area jumps absurdly by what their neighbours agree on.

    Returns the masks and the frames replaced. A change that lasts is no mistake.
    """
    areas = (masks >= 128).sum((1, 2)).astype(np.float64)
    usual = np.array(
        [np.median(areas[max(0, t - _REACH) : t + _REACH + 1]) for t in range(len(masks))]
    )
    wrong = (areas > MAX_JUMP * usual) | (areas * MAX_JUMP < usual)
    if not wrong.any() or wrong.all():
        return masks, []
    good = np.flatnonzero(~wrong)
    result = masks.copy()
    for t in np.flatnonzero(wrong):
        before, after = good[good < t], good[good > t]
        near = masks[before[-1]] if len(before) else masks[after[0]]
        far = masks[after[0]] if len(after) else near
        result[t] = np.median(np.stack([near, masks[t], far]), axis=0).astype(np.uint8)
    return result, [int(t) for t in np.flatnonzero(wrong)]
