# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of masks over time belong to one thing."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from .regions import Bools, closed, grown, without_specks

_CLOSE_PARTS = 0.25
_NEAR = 4
_APART = 10
_PAUSE = 4


def largest_over_time(objects: Bools) -> Bools:
    """Keep of masks [T,h,w] the parts connected in space and time with the largest, or near it."""
    labels, count = ndimage.label(_lasting(objects), structure=np.ones((3, 3, 3)))
    if count < 2:
        return objects
    volumes = np.bincount(labels.ravel())
    volumes[0] = 0
    main = int(volumes.argmax())
    near = np.stack([grown(mask, _NEAR) for mask in labels == main])
    touching = np.unique(labels[near])
    kept = np.zeros(len(volumes), bool)
    kept[touching] = True
    kept[0] = False
    kept &= volumes < _CLOSE_PARTS * volumes[main]
    kept[main] = True
    return kept[labels] & objects


def in_one_place(mask: Bools) -> Bools:
    """Return a mask's largest part and those close to it; shadows and reflections lie apart."""
    main = without_specks(mask, 1.0)
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    kept = np.zeros(labels.max() + 1, bool)
    kept[labels[grown(main, _APART)]] = True
    kept[0] = False
    return closed(kept[labels], 1)


def _lasting(objects: Bools) -> Bools:
    """Return masks [T,h,w] that also hold what they held a few frames before and after.

    What moves may stop for a moment.
    """
    return ndimage.maximum_filter1d(objects, 2 * _PAUSE + 1, axis=0)
