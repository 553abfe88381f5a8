# SPDX-License-Identifier: GPL-3.0-or-later
"""How a subject that stands on legs is turned to its camera: its feet stand on level ground.

A level camera sees level ground rise towards the horizon, so that the rows of feet tell how far
apart they are in depth. An animal seen from between its front and its side shows its hind feet
higher up than its front feet, all the time; feet that are lifted in turn even out over a clip. Two
feet tell nothing: one may stand before the other, or beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..seam.cameras import Camera
from .limbs import Limb

UPRIGHT = 0.6
"""Most that a leg leans aside, of its height."""
RAISED = 0.2
"""Most that a foot is above the lowest point, of the subject's height: hands hang higher."""
FEET, SEEN = 3, 0.5
"""So many feet are seen in at least this part of a clip."""
LEAST, MOST = 0.2, 1.5
"""Slants that are believed: rows are no finer than pixels, and what is steep is hardly seen."""


def standing_slant(
    pictures: NDArray[np.uint8], found: Sequence[list[Limb]], camera: Camera
) -> float:
    """Return by how much a subject gets farther away per length to the right, 0 if none can tell.

    Of the slants of a clip's frames, uint8 [T, H, W, 4], the quartile nearer to 0 counts, and none
    where the quartiles disagree about the direction. `found` are the frames' limbs.
    """
    slants = []
    for picture, limbs in zip(pictures, found, strict=True):
        slant = _slant(_feet(picture[..., 3] > 127, limbs), camera)
        slants += [] if slant is None else [slant]
    if len(slants) < SEEN * len(found):
        return 0.0
    low, high = np.percentile(slants, [25, 75])
    slant = 0.0 if low * high <= 0 else float(min(low, high, key=abs))
    return float(np.clip(slant, -MOST, MOST)) if abs(slant) >= LEAST else 0.0


def _feet(mask: NDArray[np.bool_], limbs: Sequence[Limb]) -> NDArray[np.float64]:
    """Return where the legs of a silhouette [H, W] end: columns and rows [F, 2]."""
    rows = np.flatnonzero(mask.any(1))
    feet = []
    for limb in limbs:
        aside, down = limb.tip - limb.base
        low = limb.pixels[:, 1].max()
        reaches = low > rows[-1] + 1 - RAISED * len(rows)
        if reaches and limb.slender and abs(aside) < UPRIGHT * down:
            feet.append((limb.pixels[limb.pixels[:, 1] > low - 1.5, 0].mean(), low + 0.5))
    return np.array(feet, np.float64).reshape(-1, 2)


def _slant(feet: NDArray[np.float64], camera: Camera) -> float | None:
    """Return how depth grows to the right along feet [F, 2] on level ground, if they can tell."""
    below = feet[:, 1] - camera.K[1, 2]
    if len(feet) < FEET or below.min() <= 0:
        return None
    depth = below.max() / below  # of the nearest foot's
    right = (feet[:, 0] - camera.K[0, 2]) / camera.K[0, 0] * depth
    right -= right.mean()
    return float(right @ depth / max(right @ right, 1e-6))
