# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells the object from the background: working masks, and alpha at full size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from ..data.dataset import Pixels
from .footage import WORKING_SIDE, Footage
from .masks import GivenMasks
from .regions import Bools, Box, mask_box

OPAQUE_FROM = 250
_MARGIN = 0.06
Refine = Callable[[Pixels, Bools], Pixels]
"""(rgb [h,w,3], coarse mask [h,w]) to alpha uint8 [h,w], on the object's surroundings alone."""


class Matte(Protocol):
    """The object in every chosen frame; ``masks`` is uint8 [T,h,w] at the working size."""

    @property
    def name(self) -> str:
        """As ClipOptions.matte names it."""

    @property
    def masks(self) -> Pixels: ...

    def cutouts(self, footage: Footage) -> Iterator[tuple[Pixels, Pixels, bool]]:
        """Yield per frame: RGBA [H,W,4], alpha [H,W], and whether the edges' colours are clean."""


@dataclass(eq=False)
class AlphaMatte:
    """The clip's own alpha channel; values from ``top`` on are opaque."""

    masks: Pixels
    top: int
    hidden_colors: bool
    name: str = "alpha"

    @classmethod
    def of(cls, footage: Footage) -> AlphaMatte | None:
        """Return the clip's alpha, or None where it is opaque everywhere."""
        alpha = footage.small[..., 3]
        if alpha.min() >= OPAQUE_FROM:
            return None
        top = int(alpha.max())
        # Some mattes call 253 opaque. Much less than that is meant to be translucent.
        top = top if top >= 200 else 255
        masks = _stretched(alpha, top)
        return cls(masks, top, _hides_colors(footage))

    def cutouts(self, footage: Footage) -> Iterator[tuple[Pixels, Pixels, bool]]:
        for rgba in footage.frames():
            alpha = _stretched(rgba[..., 3], self.top)
            hard = not ((alpha > 5) & (alpha < 250)).any()
            yield rgba, alpha, not (hard or self.hidden_colors)


@dataclass(eq=False)
class MaskMatte:
    """Masks that the user has."""

    masks: Pixels
    given: GivenMasks
    name: str = "masks"

    def cutouts(self, footage: Footage) -> Iterator[tuple[Pixels, Pixels, bool]]:
        size = (footage.width, footage.height)
        masks = self.given.frames(footage.indices, size)
        for rgba, mask in zip(footage.frames(), masks, strict=True):
            yield rgba, mask, False


@dataclass(eq=False)
class FoundMatte:
    """Masks found in the pictures, and how to make them finer around the object."""

    name: str
    masks: Pixels
    refine: Refine | None = None

    def cutouts(self, footage: Footage) -> Iterator[tuple[Pixels, Pixels, bool]]:
        for mask, rgba in zip(self.masks, footage.frames(), strict=True):
            yield rgba, self._full_size(mask, rgba), False

    def _full_size(self, mask: Pixels, rgba: Pixels) -> Pixels:
        """Return alpha [H,W], worked out on the object's box with no side over WORKING_SIDE."""
        height, width = rgba.shape[:2]
        box = _surroundings(mask, width, height)
        result = np.zeros((height, width), np.uint8)
        if box is None:
            return result
        left, top, right, bottom = (int(edge) for edge in box)
        shrink = min(1.0, WORKING_SIDE / box.side)
        size = (max(1, round((right - left) * shrink)), max(1, round((bottom - top) * shrink)))
        coarse = _magnified(mask, box, (width, height), size)
        if self.refine is not None:
            picture = np.ascontiguousarray(rgba[top:bottom, left:right, :3])
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            coarse = self.refine(picture, coarse >= 128)
        whole = (right - left, bottom - top)
        result[top:bottom, left:right] = cv2.resize(coarse, whole, interpolation=cv2.INTER_LINEAR)
        return result


@dataclass(eq=False)
class NoMatte:
    """Every pixel is opaque: nothing tells the object apart."""

    masks: Pixels
    name: str = "none"

    def cutouts(self, footage: Footage) -> Iterator[tuple[Pixels, Pixels, bool]]:
        for rgba in footage.frames():
            yield rgba, np.full(rgba.shape[:2], 255, np.uint8), True


def _stretched(alpha: Pixels, top: int) -> Pixels:
    if top == 255:
        return alpha
    table = np.minimum(np.arange(256) * 255 / max(top, 1), 255).round().astype(np.uint8)
    return table[alpha]


def _hides_colors(footage: Footage) -> bool:
    """Whether a picture lies under the transparent part: then the edges are mixed with it."""
    step = max(1, len(footage.small) // 8)
    sample = footage.small[::step]
    hidden = sample[..., :3][sample[..., 3] == 0]
    return bool(len(hidden) and hidden.std(axis=0).max() > 4.0)


def _surroundings(mask: Pixels, width: int, height: int) -> Box | None:
    """Return the box of a working mask with a margin, in whole pixels of the full size."""
    box = mask_box(mask >= 128)
    if box is None:
        return None
    across, down = width / mask.shape[1], height / mask.shape[0]
    margin = max(8.0, _MARGIN * box.side)
    return Box(
        max(0, np.floor((box.left - margin) * across)),
        max(0, np.floor((box.top - margin) * down)),
        min(width, np.ceil((box.right + margin) * across)),
        min(height, np.ceil((box.bottom + margin) * down)),
    )


def _magnified(mask: Pixels, box: Box, whole: tuple[int, int], size: tuple[int, int]) -> Pixels:
    """Return the part of a working mask that a box of full-size pixels shows, [h,w] of `size`."""
    across, down = mask.shape[1] / whole[0], mask.shape[0] / whole[1]
    step_x = (box.right - box.left) * across / size[0]
    step_y = (box.bottom - box.top) * down / size[1]
    matrix = np.array(
        [
            [step_x, 0, box.left * across + 0.5 * step_x - 0.5],
            [0, step_y, box.top * down + 0.5 * step_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(mask, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
