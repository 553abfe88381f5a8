# SPDX-License-Identifier: GPL-3.0-or-later
"""From where a subject is seen: from its side, or from its front or back.

Most subjects are symmetric to a plane. Seen from the front that plane is upright in the picture,
and the outline nearly its own mirror image. Seen from the side it is the picture plane itself: the
far side then looks like the near one, and the subject is thinner than its outline is wide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ASYMMETRIC = 0.6
"""Largest overlap of an outline with its mirror image when seen from the side."""
LENGTHY = 1.1
"""Least width, of the height, of what is seen from the side."""


def seen_from_side(mask: NDArray[np.bool_]) -> bool:
    """Tell whether a silhouette [H, W] is that of something longish seen from its side."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return False
    lengthy = np.ptp(columns) + 1 > LENGTHY * (np.ptp(rows) + 1)
    return bool(lengthy) and mirror_overlap(mask) < ASYMMETRIC


def mirror_overlap(mask: NDArray[np.bool_]) -> float:
    """Return the largest IoU 0..1 of a silhouette with its left-right mirror image."""
    columns = np.flatnonzero(mask.any(0))
    width = mask.shape[1]
    best = 0.0
    for twice_axis in range(2 * columns[0], 2 * columns[-1] + 1):
        source = twice_axis - np.arange(width)
        inside = (source >= 0) & (source < width)
        mirrored = np.zeros_like(mask)
        mirrored[:, inside] = mask[:, source[inside]]
        best = max(best, float((mirrored & mask).sum() / (mirrored | mask).sum()))
    return best
