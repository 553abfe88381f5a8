# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks whose edges follow those of the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Pixels
from .regions import Bools, grown, shrunk

Floats = NDArray[np.float32]

_WINDOW = (7, 7)
_SMOOTH = 1e-3
_REACH = 6


def follow_edges(rgb: Pixels, coarse: Bools) -> Pixels:
    """Return alpha [H,W]: a coarse mask whose edges follow those of the picture.

    A guided filter with a colour guide; source: He, Sun, Tang, "Guided Image Filtering" (2010),
    its coefficients computed at half size.
    """
    height, width = coarse.shape
    half = (max(1, width // 2), max(1, height // 2))
    guide = cv2.resize(rgb, half, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    mask = cv2.resize(coarse.astype(np.float32), half, interpolation=cv2.INTER_AREA)
    center, level = _mean(guide), _mean(mask)
    products = guide[..., :, None] * guide[..., None, :]
    covariance = _mean(products.reshape(*mask.shape, 9)).reshape(*mask.shape, 3, 3)
    covariance -= center[..., :, None] * center[..., None, :]
    covariance += _SMOOTH * np.eye(3, dtype=np.float32)
    joint = _mean(guide * mask[..., None]) - center * level[..., None]
    slope = np.linalg.solve(covariance, joint[..., None])[..., 0].astype(np.float32)
    offset = level - (slope * center).sum(2)
    whole = (width, height)
    slope, offset = (cv2.resize(_mean(v), whole) for v in (slope, offset))
    filtered = (slope * (rgb.astype(np.float32) / 255.0)).sum(2) + offset
    # Steeper, so that the filter's faint halo is neither object nor background.
    alpha = np.clip((filtered - 0.5) * 2.0 + 0.5, 0.0, 1.0)
    alpha[~grown(coarse, _REACH)] = 0.0
    alpha[shrunk(coarse, _REACH)] = 1.0
    return np.round(alpha * 255).astype(np.uint8)


def _mean(values: Floats) -> Floats:
    result: Floats = cv2.blur(values, _WINDOW)
    return result
