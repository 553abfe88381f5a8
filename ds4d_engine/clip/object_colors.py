# SPDX-License-Identifier: GPL-3.0-or-later
"""The colours of an object and of what surrounds it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..data.dataset import Pixels
from .regions import Bools, closed, grown, mask_box, shrunk, without_specks

Floats = NDArray[np.float32]

FAR = 26.0
"""Differences from the background above this are surely the object, in 8-bit values."""
_SAMPLED = 8
_CELL = 16
_COMPONENTS = 5 * 13  # doubles in one of OpenCV's colour models
_MIN_COLORS = 40
_MAX_COLORS = 20000


@dataclass(eq=False)
class Colors:
    """The colours of object and background: OpenCV's mixtures, and tables of their logarithms."""

    models: tuple[NDArray[np.float64], NDArray[np.float64]]
    table: Floats

    @classmethod
    def learnt(
        cls, frames: Pixels, differences: Floats, known: Bools, objects: Bools
    ) -> Colors | None:
        """Learn from frames spread over the clip at once; None where there is too little.

        What never changes within the object's reach counts for neither: it may be either.
        """
        chosen = np.unique(np.linspace(0, len(frames) - 1, _SAMPLED).round().astype(int))
        ever: Bools = np.asarray(objects.any(0))
        size = max(ever.shape)
        around = grown(ever, max(8, size // 6))
        outside = around & ~reach_of(ever)
        inside = np.stack([shrunk(mask, 1) for mask in objects[chosen]])
        inside &= (differences[chosen] > FAR) & known[chosen]
        of_object = _thinned(frames[chosen][inside])
        of_background = _thinned(frames[chosen][np.broadcast_to(outside, inside.shape)])
        if min(len(of_object), len(of_background)) < _MIN_COLORS:
            return None
        picture = np.concatenate([of_background, of_object])[None]
        labels = np.full(picture.shape[:2], cv2.GC_FGD, np.uint8)
        labels[:, : len(of_background)] = cv2.GC_BGD
        models = (np.zeros((1, _COMPONENTS)), np.zeros((1, _COMPONENTS)))
        cv2.setRNGSeed(0)  # the same clip, the same masks
        cv2.grabCut(picture, labels, None, *models, 1, cv2.GC_INIT_WITH_MASK)
        return cls(models, np.log(_histogram(of_object) / _histogram(of_background)))

    def likeness(self, colors: Floats) -> Floats:
        """Return how much more colours [h,w,3] are the object's: logarithms [h,w]."""
        cells = np.clip(colors, 0, 255).astype(np.int64) // _CELL
        result: Floats = self.table[cells[..., 0], cells[..., 1], cells[..., 2]]
        return result

    def cut(self, frame: Pixels, labels: Pixels) -> Bools:
        """Return the object in a frame, decided by GrabCut where its `labels` are uncertain."""
        box = mask_box(labels != cv2.GC_BGD)
        result = np.zeros(labels.shape, bool)
        if box is None:
            return result
        top, bottom = max(0, int(box.top) - 4), int(box.bottom) + 4
        left, right = max(0, int(box.left) - 4), int(box.right) + 4
        window = (slice(top, bottom), slice(left, right))
        part = np.ascontiguousarray(labels[window])
        background, object_ = (model.copy() for model in self.models)
        picture = np.ascontiguousarray(frame[window])
        cv2.grabCut(picture, part, None, background, object_, 1, cv2.GC_EVAL_FREEZE_MODEL)
        found = (part == cv2.GC_FGD) | (part == cv2.GC_PR_FGD)
        result[window] = closed(found, 1)
        return without_specks(result, 0.02)


def reach_of(ever: Bools) -> Bools:
    """Return what an object may cover that is ever seen in `ever` [h,w], its gaps filled."""
    gap = max(4, round(0.08 * max(ever.shape)))
    filled: Bools = ndimage.binary_fill_holes(closed(grown(ever, 2), gap))
    return filled


def _histogram(colors: Pixels) -> Floats:
    """Return how frequent colours are, per cell of a cube, smoothed and never 0."""
    bins = 256 // _CELL
    counts, _ = np.histogramdd(colors, bins=bins, range=[(0, 256)] * 3)
    smooth = ndimage.gaussian_filter(counts / len(colors), 0.7)
    result: Floats = (smooth + 1e-5).astype(np.float32)
    return result


def _thinned(colors: Pixels) -> Pixels:
    return colors[:: max(1, len(colors) // _MAX_COLORS)]
