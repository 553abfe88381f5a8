# SPDX-License-Identifier: GPL-3.0-or-later
"""Where to cut a clip: a square window that holds the object and moves smoothly or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Pixels
from ..data.orbit import INPUT_FOVY_DEGREES, INPUT_RADIUS
from .regions import Box, mask_box

OBJECT_LENGTH = 1.4
"""The object's longest side in world units; source: STAG4D's normalised objects."""
FILL = OBJECT_LENGTH / (2 * INPUT_RADIUS * math.tan(math.radians(INPUT_FOVY_DEGREES) / 2))
"""The share of the window that the object's longest side fills."""
FIXED_UP_TO = 1.35
"""A window stands still while the box of all frames is no longer than this times the largest."""
VISIBLE_FROM = 64
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Crop:
    """A square window of `side` source pixels around `centers` [T,2] (x, y; source pixels)."""

    centers: Floats
    side: float

    @property
    def moves(self) -> bool:
        """Whether the window follows the object."""
        return bool(np.ptp(self.centers, axis=0).max() > 0)

    def window(self, t: int) -> Box:
        """Return the window of a frame; it may stick out of the picture."""
        x, y = self.centers[t]
        half = self.side / 2
        return Box(x - half, y - half, x + half, y + half)


def plan_crop(masks: Pixels, scale: tuple[float, float]) -> Crop:
    """Return the window for masks [T,h,w] of `scale` mask pixels per source pixel.

    One scale for the whole clip. At least one mask must hold something.
    """
    visible = min(VISIBLE_FROM, int(masks.max()) // 2)
    boxes = [mask_box(mask >= visible) for mask in masks]
    across, down = scale
    found = {
        t: Box(box.left / across, box.top / down, box.right / across, box.bottom / down)
        for t, box in enumerate(boxes)
        if box is not None
    }
    union = next(iter(found.values()))
    for box in found.values():
        union = union.joined(box)
    largest = max(box.side for box in found.values())
    if union.side <= FIXED_UP_TO * largest:
        return Crop(np.tile(union.center, (len(masks), 1)), union.side / FILL)
    side = largest / FILL
    return Crop(_path(found, len(masks), side), side)


def square_crop(width: int, height: int, count: int) -> Crop:
    """Return the largest centred square of a picture, for `count` frames."""
    return Crop(np.tile((width / 2, height / 2), (count, 1)), float(min(width, height)))


def _path(boxes: dict[int, Box], count: int, side: float) -> Floats:
    """Return the smoothest centres [T,2] from which each frame's box lies within the window."""
    frames = list(boxes)
    raw = np.array([boxes[t].center for t in frames])
    half = np.array([[b.right - b.left, b.bottom - b.top] for b in boxes.values()]) / 2
    room = side / 2 - half
    path = np.stack([np.interp(np.arange(count), frames, raw[:, axis]) for axis in (0, 1)], 1)
    sigma = count / 2
    while sigma > 0.3:
        smooth = _smoothed(path, sigma)
        if (np.abs(smooth[frames] - raw) <= room).all():
            return smooth
        sigma *= 0.8
    return path


def _smoothed(path: Floats, sigma: float) -> Floats:
    """Return a path [T,2] low-passed by a Gaussian over time; its ends keep their direction."""
    reach = max(1, math.ceil(3 * sigma))
    steps = np.arange(1, reach + 1)
    # Odd reflection, so that a steady move stays one up to the ends.
    index = np.minimum(steps, len(path) - 1)
    before, after = 2 * path[0] - path[index], 2 * path[-1] - path[-1 - index]
    padded = np.concatenate([before[::-1], path, after])
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    result: Floats = cv2.filter2D(
        padded, cv2.CV_64F, kernel[:, None], borderType=cv2.BORDER_REPLICATE
    )[reach:-reach]
    return result
