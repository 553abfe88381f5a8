# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which splats are kept when fewer are drawn: every beginning of it looks whole.

Splats lie side by side along a Morton curve, each as long as its weight. Points are dropped onto
that line by bisection (1/2, 1/4, 3/4, 1/8, ...: van der Corput 1935), which spreads any number of
them evenly; the first point that hits a splat decides its place. So each region gets its share at
any density, and within it weighty splats come first.

The weight is opacity alone: drawing enlarges what is kept, the small ones most, and a large splat
that stands for its neighbors only blurs them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GROWTH = 0.43
"""Splats that are kept grow by (density ** -GROWTH - 1) times the mean size: small ones most."""

_EMPHASIS = 0.75  # of opacity: at 1 faint regions thin out first, at 0 faint splats count fully
_LINE_BITS = 40  # of the place on the line
_CELL_BITS = 21  # of a Morton cell along each axis
# Spreads the bits of a 21-bit number three apart: shift, then mask.
_SPREAD = (
    (32, 0x1F00000000FFFF),
    (16, 0x1F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)


def density_ranks(
    means: NDArray[np.float32], opacities: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return each splat's place in the order, evenly spaced in 0..1: those below d are kept.

    Args:
        means: [N,3] centers.
        opacities: [N] 0..1.
    """
    count = len(means)
    ranks = np.empty(count, np.float32)
    along = np.argsort(_morton(means), kind="stable")
    # Never quite 0, so that every splat has a place.
    weights = np.maximum(opacities[along].astype(np.float64), 1e-4) ** _EMPHASIS
    hits = _first_hits(weights)
    ranks[along[np.argsort(hits, kind="stable")]] = np.arange(count) / max(count, 1)
    return ranks


def _morton(means: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return the cell of each point [N] on a Morton curve through their bounding cube."""
    low = means.min(axis=0, initial=np.inf)
    extent = max(float((means - low).max(initial=0.0)), 1e-30)
    cells = ((means - low) * ((2**_CELL_BITS - 1) / extent)).astype(np.uint64)
    for shift, mask in _SPREAD:
        cells = (cells | (cells << np.uint64(shift))) & np.uint64(mask)
    return cells[:, 0] | (cells[:, 1] << np.uint64(1)) | (cells[:, 2] << np.uint64(2))


def _first_hits(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the first point of the bisection to fall on each interval [N]."""
    ends = np.cumsum(weights)
    ends = (ends * (2.0**_LINE_BITS / ends[-1:])).astype(np.int64)
    starts = np.concatenate([[0], ends[:-1]])
    ends = np.maximum(ends, starts + 1)
    # The roundest place in an interval keeps the highest bit in which its bounds differ, and
    # those above; its number in the sequence is the place with its bits reversed.
    dropped = np.frexp((starts ^ ends).astype(np.float64))[1] - 1
    places = (ends >> dropped) << dropped
    numbers = np.zeros_like(places)
    for bit in range(_LINE_BITS + 1):
        numbers |= ((places >> bit) & 1) << (_LINE_BITS - bit)
    return numbers
