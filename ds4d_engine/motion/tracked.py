# SPDX-License-Identifier: GPL-3.0-or-later
"""How motion nodes move and turn in the picture plane, as the tracks of their Gaussians say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..single.tracks import Tracks

FloatArray = NDArray[np.float32]
Points = NDArray[np.floating]

LITTLE = 0.1
"""Confidence, added up over a node's Gaussians, up to which a node rather rests."""


def tracked_motion(
    tracks: Tracks,
    rows: NDArray[np.int64],
    ids: NDArray[np.int64],
    weights: FloatArray,
    nodes: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the steps [T, M, 2] in pixels and angles [T, M] of nodes at pixels [M, 2].

    Angles are in radians, from right to down. Nodes rest where all tracks are lost.

    Args:
        tracks: of the key frame.
        rows: [N] the track of each Gaussian.
        ids: [N, 4] the nodes that it hangs on.
        weights: [N, 4] its shares in them.
    """
    count = len(nodes)

    def gathered(shares: FloatArray, values: FloatArray) -> FloatArray:
        summed = np.bincount(ids.ravel(), (shares * values[:, None]).ravel(), count)
        return summed.astype(np.float32)

    pixels, one = tracks.pixels[rows], np.ones(len(rows), np.float32)
    steps = np.zeros((len(tracks.places), count, 2), np.float32)
    angles = np.zeros((len(tracks.places), count), np.float32)
    for frame, places in enumerate(tracks.places[:, rows]):
        shares = weights * tracks.confidence[frame, rows, None]
        total = gathered(shares, one)
        divisor = np.maximum(total, 1e-6)
        start, end = (
            np.stack([gathered(shares, points[:, axis]) / divisor for axis in (0, 1)], 1)
            for points in (pixels, places)
        )
        # about their means: the mean product of two points less the product of their means
        cross = gathered(shares, _cross(pixels, places)) / divisor - _cross(start, end)
        dot = gathered(shares, (pixels * places).sum(1)) / divisor - (start * end).sum(1)
        angle = np.arctan2(cross, dot).astype(np.float32)
        belief = total / (total + LITTLE)
        steps[frame] = belief[:, None] * (end + _turned(nodes - start, angle) - nodes)
        angles[frame] = belief * angle
    return steps, angles


def _cross(first: Points, second: Points) -> Points:
    """Return the cross products [P] of vectors [P, 2]."""
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def _turned(points: Points, angles: FloatArray) -> Points:
    """Turn points [M, 2] by angles [M], from right to down, about the origin."""
    cosine, sine = np.cos(angles), np.sin(angles)
    x, y = points.T
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], 1)
