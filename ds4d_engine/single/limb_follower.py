# SPDX-License-Identifier: GPL-3.0-or-later
"""Limbs followed in one direction of time, through moments at which two are one in the picture.

Limbs that meet either turn back or pass each other: they go on as they moved before. Optical flow
would see two that look alike turn back every time.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .limbs import Limb

FloatArray = NDArray[np.float64]

TOUCHING = 0.1
"""Least overlap of a limb with itself in the next frame, of the smaller of the two regions."""
RIM = 0.7
"""How far a limb may leave its place from frame to frame, of half its width."""
THICKER = 1.6
"""How much thicker or thinner a limb may become: beyond, it is another part, or two as one."""
MOMENTUM = 3
"""Most frames that tell how a limb moves."""
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class LimbFollower:
    """Follows the limbs of the first of `frames` to the others."""

    def __init__(
        self,
        found: Sequence[list[Limb]],
        frames: range,
        apart: list[dict[int, Limb]],
        met: set[tuple[int, int]],
    ) -> None:
        """Begin with `apart[frames[0]]`, limbs by their place in `found[frames[0]]`.

        What is found out is added to `apart` and `met`, as `LimbPaths` describes them.
        """
        self.found, self.frames, self.apart, self.met = found, frames, apart, met
        self.first = dict(apart[frames[0]]) if len(frames) else {}
        self.regions = {limb: limb for limb in self.first}  # limb -> region of the last frame
        self.seen = {limb: (0, limb) for limb in self.first}  # the last step apart, its region

    def run(self) -> None:
        """Follow all limbs to the last frame."""
        for step in range(1, len(self.frames)):
            self._step(step)

    def _step(self, step: int) -> None:
        after = self.found[self.frames[step]]
        overlaps = overlap(self.found[self.frames[step - 1]], after)
        following: dict[int, int] = {}
        for limbs, regions in self._groups(overlaps):
            following |= self._assign(limbs, regions, overlaps, step)
        self.regions = following
        shared = list(following.values())
        for limb, region in following.items():
            if shared.count(region) == 1 and _alike(self.first[limb], after[region]):
                self.apart[self.frames[step]][limb] = after[region]
                self.seen[limb] = (step, region)

    def _groups(self, overlaps: FloatArray) -> list[tuple[set[int], set[int]]]:
        """Return limbs, and the regions of the next frame that they may be in."""
        groups: list[tuple[set[int], set[int]]] = []
        for limb, region in self.regions.items():
            touched = overlaps[region] > TOUCHING
            if not touched.any():  # hidden by what is next to it, if anything is
                touched = overlaps[region] > 0
            joined = ({limb}, set(np.flatnonzero(touched).tolist()))
            for group in [group for group in groups if group[1] & joined[1]]:
                groups.remove(group)
                joined = (joined[0] | group[0], joined[1] | group[1])
            groups.append(joined)
        return groups

    def _assign(
        self, limbs: set[int], regions: set[int], overlaps: FloatArray, step: int
    ) -> dict[int, int]:
        """Tell in which region each limb of a group is next; what is lost is left out."""
        if not regions or len(limbs) > 2:
            return {}
        there = sorted(regions)
        shared = overlaps[[self.regions[limb] for limb in limbs]][:, there].max(0)
        largest = [there[i] for i in np.argsort(-shared)[: len(limbs)]]
        if len(limbs) == 1 or len(largest) == 1:
            return dict.fromkeys(limbs, largest[0])
        return self._part(sorted(limbs), largest, step)

    def _part(self, limbs: list[int], regions: list[int], step: int) -> dict[int, int]:
        """Tell which of two limbs goes where, by how they moved before and move after."""
        self.met.add((limbs[0], limbs[1]))
        gaps = [step - self.seen[limb][0] for limb in limbs]
        known = min(max(gaps) + 1, MOMENTUM)
        futures = [self._ends(region, step, 1, known) for region in regions]
        costs = np.zeros((2, 2))
        for row, (limb, gap) in enumerate(zip(limbs, gaps, strict=True)):
            last, region = self.seen[limb]
            past = self._ends(region, last, -1, known)
            costs[row] = [strain(past, future, gap) for future in futures]
        straight, crossed = costs.trace(), costs[::-1].trace()
        order = regions if straight <= crossed else regions[::-1]
        return dict(zip(limbs, order, strict=True))

    def _ends(self, region: int, step: int, direction: int, most: int) -> FloatArray:
        """Return where tip and base of what is in a region are [F, 4] in up to `most` frames.

        They begin with the step's; `direction` is 1 for later steps and -1 for earlier ones.
        """
        frame, ends = self.frames[step], []
        while True:
            limb = self.found[frame][region]
            ends.append(np.concatenate([limb.tip, limb.base]))
            frame += direction * self.frames.step
            if len(ends) == most or not 0 <= frame < len(self.found):
                break
            shared = overlap([limb], self.found[frame])[0]
            if shared.max(initial=0.0) <= TOUCHING:
                break
            region = int(shared.argmax())
        return np.array(ends, np.float64)


def strain(past: FloatArray, future: FloatArray, gap: int) -> float:
    """Return how little a future [F, D], `gap` frames on, continues a past [F, D], pixels squared.

    Both begin with what is nearest to the gap.
    """
    reached = past[0] + gap * _speed(past)
    begun = future[0] + gap * _speed(future)
    return float(np.square(reached - future[0]).sum() + np.square(begun - past[0]).sum())


def _speed(places: FloatArray) -> FloatArray:
    """Return the mean step towards the gap that places [F, D] begin with."""
    steps = len(places) - 1
    return (places[0] - places[-1]) / steps if steps else np.zeros_like(places[0])


def overlap(first: Sequence[Limb], second: Sequence[Limb]) -> FloatArray:
    """Return what every two regions share [A, B], the first with a rim, of the smaller's size."""
    shared = np.zeros((len(first), len(second)))
    for i, one in enumerate(first):
        rim = max(1, round(RIM * one.half_width))
        grown = cv2.dilate(one.region.astype(np.uint8), CROSS, iterations=rim)
        for j, other in enumerate(second):
            smaller = min(len(one.pixels), len(other.pixels))
            shared[i, j] = np.count_nonzero(grown & other.region) / smaller
    return shared


def _alike(limb: Limb, then: Limb) -> bool:
    """Tell whether what is found is about as thick as the limb that is followed."""
    return 1 / THICKER < then.half_width / limb.half_width < THICKER
