# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut the object out of a frame: a square of straight alpha whose edges show no background."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..data.dataset import Pixels
from ..data.images import from_linear, to_linear
from .regions import Box, shrunk

Floats = NDArray[np.float32]

_FINEST = 4
"""Pixels per output pixel, along a side, on which edges are worked out."""
_SOLID = 0.98
_TINY = 1e-4
_FAINT = 0.02


def cut(rgb: Pixels, alpha: Pixels, window: Box, size: int, *, clean: bool) -> Pixels:
    """Return the window of a frame as RGBA uint8 [size,size,4], straight alpha, sRGB.

    Areas are averaged in linear light and weighted by alpha; what lies outside of the frame is
    transparent. Unless the edges' colours are `clean` (the object's own), they are taken from
    further inside, because there they are mixed with the background.

    Args:
        rgb: uint8 [H,W,3] or [H,W,4], whose alpha is ignored.
        alpha: uint8 [H,W].
        window: a square, in pixels of the frame.
    """
    fine = size * int(np.clip(window.side // size, 1, _FINEST))
    premultiplied, coverage = _resampled(rgb, alpha, window, fine)
    if not clean:
        step = max(1, round(2 * fine / window.side))
        premultiplied, weight = _from_inside(premultiplied, coverage, step)
    else:
        weight = coverage
    colors, weights, opacity = (_averaged(a, size) for a in (premultiplied, weight, coverage))
    if not clean:
        colors, weights = _spread(colors, weights, opacity)
    straight = np.divide(colors, np.maximum(weights, _TINY)[..., None], dtype=np.float32)
    result = np.dstack([from_linear(straight), np.round(opacity * 255).astype(np.uint8)])
    result[result[..., 3] == 0] = 0
    return result


def _resampled(rgb: Pixels, alpha: Pixels, window: Box, size: int) -> tuple[Floats, Floats]:
    """Return premultiplied linear colours [size,size,3] and coverage [size,size] of the window."""
    height, width = alpha.shape
    columns, left, right = _weights(window.left, window.right, width, size)
    rows, top, bottom = _weights(window.top, window.bottom, height, size)
    coverage = alpha[top:bottom, left:right].astype(np.float32) / 255.0
    colors = to_linear(rgb[top:bottom, left:right, :3]) * coverage[..., None]
    stack = np.concatenate([colors, coverage[..., None]], axis=2)
    # Each output pixel covers a few source pixels: most weights are 0.
    down = csr_array(rows) @ stack.reshape(bottom - top, -1)
    turned = down.reshape(size, right - left, 4).transpose(1, 0, 2).reshape(right - left, -1)
    both = (csr_array(columns) @ turned).reshape(size, size, 4).transpose(1, 0, 2)
    return np.ascontiguousarray(both[..., :3]), np.ascontiguousarray(both[..., 3])


def _weights(start: float, end: float, length: int, size: int) -> tuple[Floats, int, int]:
    """Return how much each pixel in [first, last) adds to each output pixel, [size,last-first].

    Areas of the pixels that an output pixel covers; where it is smaller than a pixel, linear
    interpolation between two.
    """
    step = (end - start) / size
    width = max(step, 1.0)
    centers = start + (np.arange(size) + 0.5) * step
    first = int(np.clip(np.floor(start - width), 0, length - 1))
    last = int(np.clip(np.ceil(end + width), first + 1, length))
    pixels = np.arange(first, last)
    low, high = (centers - width / 2)[:, None], (centers + width / 2)[:, None]
    overlap = np.minimum(high, pixels + 1) - np.maximum(low, pixels)
    weights: Floats = (np.maximum(overlap, 0.0) / width).astype(np.float32)
    return weights, first, last


def _from_inside(premultiplied: Floats, coverage: Floats, step: int) -> tuple[Floats, Floats]:
    """Return colours and their weights without the rim, `step` pixels wide.

    What reaches far from the inside, being too thin to have one, keeps its own colours.
    """
    solid = shrunk(coverage >= _SOLID, step)
    away = cv2.distanceTransform((~solid).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    # The rim is as wide again as the slope of its coverage.
    outer = ((away > 2 * step + 2) & (coverage > _FAINT)).astype(np.uint8)
    count, labels = cv2.connectedComponents(outer)
    far = np.zeros(count, bool)
    far[labels[away > 4 * step + 4]] = True
    far[0] = False
    kept = (solid | far[labels]).astype(np.float32)
    return premultiplied * kept[..., None], coverage * kept


def _averaged(values: Floats, size: int) -> Floats:
    result: Floats = cv2.resize(values, (size, size), interpolation=cv2.INTER_AREA)
    return result


def _spread(colors: Floats, weights: Floats, opacity: Floats) -> tuple[Floats, Floats]:
    """Give visible pixels without a colour the mean of those around them."""
    for sigma in (0.8, 2.0, 6.0):
        missing = (weights < 0.05) & (opacity > 0)
        if not missing.any():
            break
        near = cv2.GaussianBlur(weights, (0, 0), sigma)
        mean = cv2.GaussianBlur(colors, (0, 0), sigma)
        filled = missing & (near > 1e-3)
        colors[filled] = mean[filled] / near[filled][:, None]
        weights[filled] = 1.0
    return colors, weights
