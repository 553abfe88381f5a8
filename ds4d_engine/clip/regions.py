# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes in masks: discs, boxes, connected regions, and what touches the border."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Pixels

Bools = NDArray[np.bool_]
MIN_PART = 0.005
"""Parts of a mask smaller than this share of its largest part are specks."""


class Box(NamedTuple):
    """A rectangle of pixels: [left, right) by [top, bottom)."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def center(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def side(self) -> float:
        """The longer of width and height."""
        return max(self.right - self.left, self.bottom - self.top)

    def joined(self, other: Box) -> Box:
        """Return the smallest box around both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def mask_box(mask: Bools) -> Box | None:
    """Return the box of a mask [H,W], or None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def disc(radius: int) -> Pixels:
    """Return a round structuring element of (2 radius + 1)^2 pixels."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)


def grown(mask: Bools, radius: int) -> Bools:
    """Return a mask grown by `radius` pixels."""
    return cv2.dilate(mask.astype(np.uint8), disc(radius)).astype(bool)


def shrunk(mask: Bools, radius: int) -> Bools:
    """Return a mask shrunk by `radius` pixels; the picture's border does not eat into it."""
    border = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 1}
    return cv2.erode(mask.astype(np.uint8), disc(radius), **border).astype(bool)


def closed(mask: Bools, radius: int) -> Bools:
    """Return a mask whose gaps narrower than about 2 radius pixels are filled."""
    return shrunk(grown(mask, radius), radius)


def open_to_border(mask: Bools) -> Bools:
    """Return the regions of a mask that touch the border of the picture."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    touching = np.zeros(labels.max() + 1, bool)
    touching[edge] = True
    touching[0] = False
    return touching[labels]


def without_specks(mask: Bools, min_part: float = MIN_PART) -> Bools:
    """Drop the parts of a mask smaller than `min_part` of its largest one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= max(4, min_part * areas[1:].max())
    kept[0] = False
    return kept[labels]
