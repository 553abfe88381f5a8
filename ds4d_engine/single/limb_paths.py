# SPDX-License-Identifier: GPL-3.0-or-later
"""Which limb is which over a clip, and which of them pass each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .limb_follower import LimbFollower
from .limbs import Limb, find_limbs

SEEN = 1 / 3
"""Least part of a clip in which a limb stands apart: what lies between is guessed."""
LOWER = 0.03
"""How much lower the nearer of two feet comes at least, of the limb's length."""


@dataclass(frozen=True, eq=False)
class LimbPaths:
    """The limbs of one frame, followed to all others."""

    apart: list[dict[int, Limb]]
    """For each frame, the limbs that stand apart there, by their number in the first one."""
    met: set[tuple[int, int]] = field(default_factory=set)
    """Limbs that were one region, or side by side, at some time."""

    def passing(self) -> list[tuple[int, int]]:
        """Return the pairs of limbs that pass each other, the nearer one first.

        A camera stands above the ground: of two feet on it, the one that is lower in the picture
        is nearer. Pairs in which neither comes clearly lower, or one is seldom seen, are left out.
        """
        pairs = []
        for pair in sorted(self.met):
            first, second = ([at[limb] for at in self.apart if limb in at] for limb in pair)
            seen = min(len(first), len(second)) >= SEEN * len(self.apart)
            if seen and self._change_sides(*pair):
                gap = _lowest(first) - _lowest(second)
                if abs(gap) > LOWER * float(np.median([limb.length for limb in first])):
                    pairs.append(pair if gap > 0 else pair[::-1])
        return pairs

    def clear(self, frame: int) -> bool:
        """Tell whether all limbs that pass each other hang clearly apart in a frame."""
        at = self.apart[frame]
        return all(a in at and b in at and _clear(at[a], at[b]) for a, b in self.passing())

    def _change_sides(self, first: int, second: int) -> bool:
        """Tell whether two tips are at times a limb's width to either side of each other."""
        pairs = [(at[first], at[second]) for at in self.apart if first in at and second in at]
        if not pairs:
            return False
        outward = np.sum([limb.tip - limb.base for pair in pairs for limb in pair], 0)
        across = np.array([-outward[1], outward[0]]) / max(float(np.linalg.norm(outward)), 1e-6)
        sides = [float((one.tip - other.tip) @ across) for one, other in pairs]
        width = 2 * float(np.median([limb.half_width for pair in pairs for limb in pair]))
        return min(sides) < -width and max(sides) > width


def passing_limbs(found: Sequence[list[Limb]], keys: Sequence[int]) -> dict[int, LimbPaths]:
    """Return the paths from those of the frames `keys` from which most limbs pass each other.

    Those limbs hang clearly apart there. Empty where none pass. `found` are all frames' limbs.
    """
    paths = {key: follow_limbs(found, key) for key in keys}
    counts = {key: len(paths[key].passing()) * paths[key].clear(key) for key in keys}
    most = max(counts.values(), default=0)
    return {key: paths[key] for key in keys if most and counts[key] == most}


def limbs_of_clip(pictures: NDArray[np.uint8]) -> list[list[Limb]]:
    """Return the limbs of every frame of a clip, uint8 [T, H, W, 4]."""
    return [find_limbs(picture[..., 3] > 127) for picture in pictures]


def follow_limbs(found: Sequence[list[Limb]], key: int) -> LimbPaths:
    """Follow the limbs of frame `key` through a clip, given all frames' limbs."""
    paths = LimbPaths([{} for _ in found])
    paths.apart[key].update({i: limb for i, limb in enumerate(found[key]) if limb.slender})
    for frames in (range(key, len(found)), range(key, -1, -1)):
        LimbFollower(found, frames, paths.apart, paths.met).run()
    return paths


def _lowest(limbs: Sequence[Limb]) -> float:
    """Return the row that a limb comes down to over its frames, but for a few."""
    return float(np.percentile([limb.pixels[:, 1].max() for limb in limbs], 90))


def _clear(first: Limb, second: Limb) -> bool:
    """Tell whether the tips of two limbs are twice the limbs' width apart."""
    gap = float(np.linalg.norm(first.tip - second.tip))
    return gap > 2 * (first.half_width + second.half_width)
