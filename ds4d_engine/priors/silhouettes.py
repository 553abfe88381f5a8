# SPDX-License-Identifier: GPL-3.0-or-later
"""How well projected points cover a picture's subject, and how well their colours agree."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..seam.errors import DatasetError

OPAQUE = 128
MARGIN = 0.15
"""Of the subject's longer side, on each side of it: how far points may miss it and still count."""
SPECK = 0.02
"""A piece of the mask smaller than this share of the largest one is an error of the mask."""
DEEPER = 0.06
"""Points this much further than a cell's nearest one, in units of their extent, are hidden."""

Floats = NDArray[np.float64]


class Silhouette:
    """The subject of a picture on a grid of `cells` x `cells`, to compare projected points with."""

    def __init__(self, picture: NDArray[np.uint8], cells: int) -> None:
        """Read a straight-alpha picture [H, W, 4]; raise DatasetError where nothing is opaque."""
        opaque = without_specks(picture[..., 3])
        rows, columns = np.flatnonzero(opaque.any(1)), np.flatnonzero(opaque.any(0))
        if not len(rows):
            raise DatasetError(
                "The middle frame shows no subject to align the geometry with; check its mask."
            )
        self.low = np.array([columns[0], rows[0]], np.float64)
        """Upper left corner [2] of the subject's box in pixels."""
        self.high = np.array([columns[-1] + 1, rows[-1] + 1], np.float64)
        """Lower right corner [2]."""
        self.cells = cells
        self.cell = float((self.high - self.low).max()) * (1 + 2 * MARGIN) / cells
        """Side of a cell in pixels."""
        self.corner = (self.low + self.high - self.cell * cells) / 2
        fine = self._sample(picture, opaque)
        touched = (fine[..., 3] > 0.5).reshape(cells, 4, cells, 4)
        self.mask = np.asarray(touched.any((1, 3)), np.uint8)
        """Cells that the subject touches, uint8 [G, G]."""
        half = fine.reshape(cells // 2, 8, cells // 2, 8, 4).mean((1, 3)).reshape(-1, 4).T
        self.known = half[3] > 0.25
        """Which cells of half the grid have a colour, [G/2 G/2]."""
        self.colors = half[:3].astype(np.float64) / np.maximum(half[3], 1e-6)
        """Mean colours [3, G/2 G/2] of those cells."""
        self.soft = _soften(self.mask)

    def cover(self, pixels: Floats) -> NDArray[np.uint8]:
        """Mark the cells [G, G] that points at `pixels` [2, N] cover, small gaps closed."""
        index, inside = self._locate(pixels, self.cells)
        covered = np.zeros(self.cells**2, np.uint8)
        covered[index[inside]] = 1
        square = np.ones((3, 3), np.uint8)
        return cv2.morphologyEx(covered.reshape(self.cells, self.cells), cv2.MORPH_CLOSE, square)

    def overlap(self, pixels: Floats) -> float:
        """Return intersection over union with softened edges, which small moves change a little."""
        soft = _soften(self.cover(pixels))
        return float(np.minimum(soft, self.soft).sum() / np.maximum(soft, self.soft).sum())

    def iou(self, pixels: Floats) -> float:
        """Return intersection over union in cells, gaps inside either closed."""
        covered = self.cover(pixels)
        return float((covered & self.mask).sum() / (covered | self.mask).sum())

    def color_distance(self, pixels: Floats, depth: Floats, colors: Floats) -> float:
        """Return the mean difference, 0..1, of the nearest points' colours [3, N] to the picture's.

        One tint over everything does not count: reconstructions are often lighter or darker.
        """
        side = self.cells // 2
        index, inside = self._locate(pixels, side)
        index, depth, colors = index[inside], depth[inside], colors[:, inside]
        if not len(index):
            return 1.0
        nearest = np.full(side * side, np.inf)
        np.minimum.at(nearest, index, depth)
        seen = depth <= nearest[index] + DEEPER * np.ptp(depth)
        index, colors = index[seen], colors[:, seen]
        count = np.bincount(index, minlength=side * side)
        total = np.stack([np.bincount(index, row, minlength=side * side) for row in colors])
        both = (count > 0) & self.known
        if not both.any():
            return 1.0
        difference = total[:, both] / count[both] - self.colors[:, both]
        return float(np.abs(difference - difference.mean(1, keepdims=True)).mean())

    def _locate(self, pixels: Floats, cells: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the flat cell index of pixels [2, N] on a grid, and which lie on it."""
        x, y = (pixels - self.corner[:, None]) * (cells / (self.cells * self.cell))
        inside = (x >= 0) & (x < cells) & (y >= 0) & (y < cells)
        index = np.where(inside, np.floor(y) * cells + np.floor(x), 0)
        return index.astype(np.int64), inside

    def _sample(self, picture: NDArray[np.uint8], opaque: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Sample premultiplied colour and mask at 4 x 4 places per cell -> [4G, 4G, 4]."""
        # Pixel centres lie at +0.5 here and at 0 in OpenCV.
        along = (np.arange(4 * self.cells) + 0.5) * self.cell / 4 - 0.5
        x, y = np.meshgrid(along + self.corner[0], along + self.corner[1])
        layers = np.dstack([picture[..., :3] / 255.0 * opaque[..., None], opaque])
        sampled: NDArray[np.float32] = cv2.remap(
            layers.astype(np.float32), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR
        )
        return sampled


def without_specks(alpha: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return what is opaque [H, W], without pieces that are tiny beside the largest one."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        (alpha >= OPAQUE).astype(np.uint8)
    )
    if count < 2:
        return np.zeros(alpha.shape, bool)
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    kept: NDArray[np.bool_] = (areas > SPECK * areas.max())[labels]
    return kept


def _soften(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    soft: NDArray[np.float32] = cv2.GaussianBlur(mask.astype(np.float32), (5, 5), 0)
    return soft
