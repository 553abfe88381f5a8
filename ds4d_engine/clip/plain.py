# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects before a plain background: white, black, or any other flat colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Pixels
from .channels import largest_channel
from .regions import Bools, closed, grown, open_to_border, shrunk, without_specks

FloatArray = NDArray[np.float32]

TOLERANCE = 12
"""Differences in 8-bit values, in the worst channel, that codecs make on a flat background."""
MIN_SHARE = 0.45
MIN_CLEAN_SIDE = 0.95
MAX_NOISE = 4.0
_CELL = 16
_SAMPLED = 16
# A background seen through the object has the very colour of the one around it, and white paint
# is shaded. Codecs ring in small holes (medians up to 5 were seen; 8 to 12 in white faces).
_HOLE_MIN_PIXELS = 24
_HOLE_MEDIAN = 5.0
# A larger region is rather paint of exactly that colour: a drawn face, a shirt.
_HOLE_MAX_SHARE = 0.15
_EDGE = 3
_CONTRAST = 40.0


@dataclass(frozen=True)
class Background:
    """A flat colour (RGB, 0..255) and the usual difference from it, in 8-bit values."""

    color: tuple[float, float, float]
    noise: float

    @property
    def threshold(self) -> float:
        """Differences above this are the object."""
        return float(np.clip(6.0 * self.noise, TOLERANCE, 2 * TOLERANCE))


def plain_background(frames: Pixels) -> Background | None:
    """Return the flat background of frames [T,h,w,3 or 4], or None where they have none.

    It must fill `MIN_SHARE` of the border of the pictures, and one side almost whole, so that an
    object cut by up to three sides is not taken for it.
    """
    step = max(1, len(frames) // _SAMPLED)
    sides = [_sides(frame[..., :3]) for frame in frames[::step]]
    border = np.concatenate([side for four in sides for side in four])
    middle = np.concatenate([_middle(frame[..., :3]) for frame in frames[::step]])
    color = max(_common(border), key=lambda c: _share(border, c) - 0.5 * _share(middle, c))
    difference = largest_channel(np.abs(border - color))
    flat = difference <= TOLERANCE
    if flat.mean() < MIN_SHARE:
        return None
    clean = [
        max(float((largest_channel(np.abs(side - color)) <= TOLERANCE).mean()) for side in four)
        for four in sides
    ]
    noise = float(difference[flat].mean())
    if np.median(clean) < MIN_CLEAN_SIDE or noise > MAX_NOISE:
        return None
    return Background((float(color[0]), float(color[1]), float(color[2])), noise)


def key(rgb: Pixels, background: Background) -> Bools:
    """Return what is not background [H,W]: what is unlike it, and what that encloses.

    A region of the background's colour within the object stays object (a white face on white),
    unless it is small and of the background's very colour (what is seen through a bent arm).
    """
    difference = distance(rgb, background)
    # Thin gaps in outlines would let the background run into a white face.
    object_ = closed(difference > background.threshold, 2)
    outside = open_to_border(~object_)
    return without_specks(~outside & ~_seen_through(difference, outside, background))


def distance(rgb: Pixels, background: Background) -> FloatArray:
    """Return the difference from the background [H,W], 0..255, in the worst channel."""
    color = np.asarray(background.color, np.float32)
    return largest_channel(np.abs(rgb.astype(np.float32) - color))


def soft_edge(rgb: Pixels, mask: Bools, background: Background) -> Pixels:
    """Return alpha [H,W]: the mask, with its rim unmixed from the background's colour.

    A rim pixel C of an object of colour F before B has alpha (C - B).(F - B) / |F - B|^2; F is the
    colour a little further inside. Where F hardly differs from B the mask's own edge stays.
    """
    inside = shrunk(mask, _EDGE + 1).astype(np.float32)
    color = np.asarray(background.color, np.float32)
    offset = rgb.astype(np.float32) - color
    weight = cv2.GaussianBlur(inside, (0, 0), _EDGE + 1)
    expected = cv2.GaussianBlur(offset * inside[..., None], (0, 0), _EDGE + 1)
    expected /= np.maximum(weight, 1e-4)[..., None]
    strength = (expected**2).sum(2)
    mixed = (offset * expected).sum(2) / np.maximum(strength, 1.0)
    rim = grown(mask, 1) & ~shrunk(mask, _EDGE)
    known = rim & (weight > 1e-3) & (strength > _CONTRAST**2)
    alpha = np.where(known, np.clip(mixed, 0.0, 1.0), mask)
    return np.round(alpha * 255).astype(np.uint8)


def _seen_through(difference: FloatArray, outside: Bools, background: Background) -> Bools:
    """Return the enclosed regions that show the background itself."""
    enclosed = ~outside & (difference <= background.threshold)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        enclosed.astype(np.uint8), connectivity=4
    )
    result = np.zeros(outside.shape, bool)
    core = shrunk(enclosed, 1)
    most = _HOLE_MAX_SHARE * (~outside).sum()
    for label in range(1, count):
        if not _HOLE_MIN_PIXELS <= stats[label, cv2.CC_STAT_AREA] <= most:
            continue
        left, top, width, height = stats[label, :4]
        window = (slice(top, top + height), slice(left, left + width))
        region = labels[window] == label
        middle = region & core[window]
        if middle.sum() < _HOLE_MIN_PIXELS // 2:
            continue
        if np.median(difference[window][middle]) <= background.noise + _HOLE_MEDIAN:
            result[window] |= region
    return result


def _sides(rgb: Pixels) -> list[FloatArray]:
    """Return the pixels of the four sides, two deep, each [n,3]."""
    sides = (rgb[:2], rgb[-2:], rgb[:, :2], rgb[:, -2:])
    return [side.reshape(-1, 3).astype(np.float32) for side in sides]


def _middle(rgb: Pixels) -> FloatArray:
    """Return every few pixels of the middle of a picture, [n,3]."""
    height, width = rgb.shape[:2]
    part = rgb[height // 3 : -(height // 3) or None : 4, width // 3 : -(width // 3) or None : 4]
    return part.reshape(-1, 3).astype(np.float32)


def _common(colors: FloatArray) -> list[FloatArray]:
    """Return the two colours that most pixels [n,3] are near to."""
    found: list[FloatArray] = []
    left = colors
    while len(found) < 2 and len(left):
        cells = (left / _CELL).astype(np.int64)
        codes = (cells[:, 0] * 16 + cells[:, 1]) * 16 + cells[:, 2]
        center = np.median(left[codes == np.bincount(codes).argmax()], axis=0)
        # The cell's borders may cut the cluster; look again around what was found.
        for _ in range(2):
            near = largest_channel(np.abs(left - center)) <= TOLERANCE
            center = np.median(left[near], axis=0)
        found.append(center.astype(np.float32))
        left = left[largest_channel(np.abs(left - center)) > 2 * TOLERANCE]
    return found


def _share(colors: FloatArray, color: FloatArray) -> float:
    return float((largest_channel(np.abs(colors - color)) <= TOLERANCE).mean())
