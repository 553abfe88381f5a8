# SPDX-License-Identifier: GPL-3.0-or-later
"""A subject that turns about an upright axis: how far in every frame, and whether at all.

Seen from its side, a body that turns shows it in one way: the nearer a point lies to the camera,
the faster it moves to one side. Its outline may stay as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from .inflate import half_thickness
from .tracks import follow_steps

FloatArray = NDArray[np.float64]

STEPS = 32
"""At most so many steps from frame to frame are looked at."""
SIDE = 64
"""Pixels of a picture's longer side at which its outline is inflated."""
LEAST_TURN = math.radians(150)
"""What is a good part of a circle; flow is right to about a third."""
SMOOTHING = 0.1
"""Part of the clip over which speeds are averaged: single frames say little."""
STEADY = 0.8
"""Part of all turning, back and forth, that must go one way."""


@dataclass(frozen=True, eq=False)
class Turn:
    """How a subject turns over a clip of T frames."""

    angles: FloatArray
    """[T] radians against the key frame, counter-clockwise seen from `up`."""
    axis: FloatArray
    """[T, 3] world, where the axis stands in every frame."""
    center: FloatArray
    """[3] world, where it stands in the key frame, whose angle is 0."""
    up: FloatArray
    """[3] unit, where the axis points: a camera above the subject sees it lean."""
    kept: float = 1.0
    """Part 0..1 of all frames in whose outlines a point of the subject lies: parts move, too."""

    @property
    def degrees(self) -> float:
        """By how much the subject turns from the first frame to the last."""
        return math.degrees(self.angles[-1] - self.angles[0])

    def at(self, place: float) -> tuple[FloatArray, FloatArray]:
        """Return the matrix [3, 3] and offset [3] that carry the key frame to frame `place`."""
        frames = np.arange(len(self.angles))
        angle = float(np.interp(place, frames, self.angles))
        stands = np.array([np.interp(place, frames, self.axis[:, i]) for i in range(3)])
        matrix: FloatArray = Rotation.from_rotvec(angle * self.up).as_matrix()
        return matrix, stands - matrix @ self.center


class Flowing(NamedTuple):
    """What optical flow says about a turn, by and large."""

    angles: FloatArray
    """[T] radians against the first frame, counter-clockwise from above: their shape over time
    and their sign hold, their size is right to a third."""
    sure: bool
    """Whether the subject turns, beyond doubt, a good part of a circle."""

    @property
    def total(self) -> float:
        """Radians from the first frame to the last."""
        return float(self.angles[-1])


def turning_by_flow(pictures: NDArray[np.uint8]) -> Flowing:
    """Estimate how far the subject of a clip, uint8 [T, H, W, 4], turns by optical flow."""
    steps = len(pictures) - 1
    if steps < 2:
        return Flowing(np.zeros(len(pictures)), False)
    chosen = sorted({int(i) for i in np.linspace(0, steps - 1, min(steps, STEPS)).round()})
    speeds = []
    for frame, (start, moved, trust) in zip(chosen, follow_steps(pictures, chosen), strict=True):
        depth = _bulge(pictures[frame, ..., 3] > 127, start)
        speeds.append(_slope(depth, moved[:, 0] - start[:, 0], trust))
        smooth = gaussian_filter1d(speeds, SMOOTHING * len(speeds), mode="nearest")
    every = np.interp(np.arange(steps), chosen, smooth)
    angles = np.concatenate([[0.0], np.cumsum(every)])
    steady = abs(np.sum(speeds)) > STEADY * np.abs(speeds).sum()
    return Flowing(angles, bool(steady and abs(angles[-1]) > LEAST_TURN))


def _bulge(mask: NDArray[np.bool_], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far [P] the guessed shape of an outline bulges at pixels [P, 2] of it."""
    height, width = mask.shape
    shrink = max(1.0, max(mask.shape) / SIDE)
    size = (round(width / shrink), round(height / shrink))
    small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    columns, rows = (pixels / shrink).astype(int).T
    depth: NDArray[np.float32] = half_thickness(small)[
        rows.clip(0, size[1] - 1), columns.clip(0, size[0] - 1)
    ]
    return depth * np.float32(shrink)


def _slope(
    depth: NDArray[np.float32], moved: NDArray[np.float32], trust: NDArray[np.float32]
) -> float:
    """Return by how much motion grows with depth, weighted."""
    total = trust.sum() + 1e-6
    depth = depth - (trust * depth).sum() / total
    moved = moved - (trust * moved).sum() / total
    return float((trust * depth * moved).sum() / max((trust * depth**2).sum(), 1e-6))
