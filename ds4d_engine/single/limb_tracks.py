# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks of limbs that pass each other: where optical flow loses them, the limbs tell."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .limb_paths import LimbPaths
from .tracks import Tracks

AGREEING = 0.7
"""Gap between flow and limb up to which flow is believed, of half a width: it sees more detail."""
ALONG_TRUST = 0.5
"""Confidence in a place found along a limb alone."""
BRIDGED_TRUST = 0.1
"""Confidence in a place between those before and after two limbs were one."""


def follow_along_limbs(tracks: Tracks, paths: LimbPaths, key: int) -> Tracks:
    """Return tracks of frame `key` that stay on their limb where limbs pass each other."""
    places, confidence = tracks.places.copy(), tracks.confidence.copy()
    followed = Tracks(tracks.pixels, places, confidence, led=True)
    for number in sorted({limb for pair in paths.passing() for limb in pair}):
        _follow(followed, paths, key, number)
    return followed


def _follow(tracks: Tracks, paths: LimbPaths, key: int, number: int) -> None:
    """Lead the tracks of one limb along it, in place."""
    limb, places, confidence = paths.apart[key][number], tracks.places, tracks.confidence
    columns, rows = tracks.pixels.astype(np.int64).T
    mine = np.flatnonzero(limb.region[rows, columns])  # as sorted as the limb's own pixels
    seen = [frame for frame, at in enumerate(paths.apart) if number in at]
    for frame in seen:
        if frame == key:
            continue
        found, known = paths.apart[frame][number].place(limb.along, limb.aside)
        gap = np.linalg.norm(places[frame, mine] - found, axis=1)
        flows = (gap < AGREEING * limb.half_width) & (confidence[frame, mine] > ALONG_TRUST)
        places[frame, mine[~flows]] = found[~flows]
        confidence[frame, mine[~flows]] = ALONG_TRUST * known[~flows]
    for before, after in pairwise(seen):
        for frame in range(before + 1, after):
            part = (frame - before) / (after - before)
            between = places[before, mine] * (1 - part) + places[after, mine] * part
            places[frame, mine] = between
            confidence[frame, mine] = BRIDGED_TRUST
    lost: NDArray[np.int64] = np.r_[: seen[0], seen[-1] + 1 : len(places)]
    confidence[np.ix_(lost, mine)] = 0.0  # their neighbours carry them
