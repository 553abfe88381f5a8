# SPDX-License-Identifier: GPL-3.0-or-later
"""Limbs that pass each other stand at different depths: one in front, one behind the middle."""

from __future__ import annotations

import cv2
import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from .limb_paths import LimbPaths

FloatArray = NDArray[np.float32]
Layers = NDArray[np.int16]
"""[H, W]: 1 + a limb's number where it stands in front of the middle, minus that behind, or 0."""

SPREAD = 0.85
"""How far apart limbs stand in a side view, against the body's depth: shoulders are round."""
HIP = 0.5
"""How far a limb reaches into the body, of its own width."""


def layers_of(paths: LimbPaths, key: int, shape: tuple[int, int]) -> Layers:
    """Return the layers of frame `key`, pictures [H, W], of the limbs that pass each other."""
    layers = np.zeros(shape, np.int16)
    for near, far in paths.passing():
        layers[paths.apart[key][near].region] = near + 1
        layers[paths.apart[key][far].region] = -far - 1
    return layers


def depth_bounds(half: FloatArray, layers: Layers, side: bool) -> tuple[FloatArray, FloatArray]:
    """Return where a shape begins and ends behind each pixel [H, W], from the middle plane.

    Args:
        half: [H, W] half the depth of the shape if nothing stood in front or behind.
        layers: [h, w] of the same picture at any size.
        side: whether the subject is seen from its side: its limbs then stand nearly as far
            apart as the body is deep, else just far enough to pass each other.
    """
    height, width = half.shape
    layers = cv2.resize(layers, (width, height), interpolation=cv2.INTER_NEAREST)
    inside = half > 0
    body = inside & (layers == 0)
    near, far = -half, half.copy()
    widths = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    for layer in np.unique(layers[inside & (layers != 0)]):
        limb = inside & (layers == layer)
        away = ndi.distance_transform_edt(~limb)
        around = body & (away <= widths.max())
        own = float(np.median(half[limb][half[limb] > 0.7 * half[limb].max()]))
        body_half = float(half[around].max(initial=0.0))
        shift = max(own, SPREAD * (body_half - own)) if side else own
        hip = body & (away <= HIP * 2 * np.percentile(widths[limb], 90))
        if layer > 0:
            near[limb], far[limb] = -half[limb] - shift, half[limb] - shift
            near[hip] = np.minimum(near[hip], -shift - own)
        else:
            near[limb], far[limb] = shift - half[limb], shift + half[limb]
            far[hip] = np.maximum(far[hip], shift + own)
    return near, far
