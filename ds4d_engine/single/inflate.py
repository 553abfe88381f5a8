# SPDX-License-Identifier: GPL-3.0-or-later
"""How thick a subject is behind its silhouette, guessed from the silhouette alone.

Every point of the silhouette's medial axis carries the largest disc that fits in there; turned into
balls, the discs together are a closed shape. Arms come out as tubes, heads as balls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_THICKNESS = 0.7
"""Half the thickness of the thinnest parts, in grid cells."""


def half_thickness(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return half the thickness [H, W], in grid cells, of the union of a mask's maximal balls."""
    from skimage.morphology import medial_axis

    axis, radius = medial_axis(np.pad(mask, 1), return_distance=True, rng=0)
    axis, radius = axis[1:-1, 1:-1], radius[1:-1, 1:-1]
    squared = np.zeros(mask.shape, np.float32)
    height, width = mask.shape
    for y, x in zip(*np.nonzero(axis & mask), strict=True):
        r = float(radius[y, x])
        reach = int(r) + 1
        rows = np.arange(max(0, y - reach), min(height, y + reach + 1))
        columns = np.arange(max(0, x - reach), min(width, x + reach + 1))
        ball = r * r - ((rows - y) ** 2)[:, None] - ((columns - x) ** 2)[None]
        window = np.ix_(rows, columns)
        squared[window] = np.maximum(squared[window], ball)
    thickness = np.sqrt(np.maximum(squared, 0.0))
    return np.where(mask, np.maximum(thickness, LEAST_THICKNESS), 0.0).astype(np.float32)
