# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frame of a clip shows the subject's parts best apart."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CENTRAL = (0.25, 0.75)
"""Part of the clip a key frame is taken from: tracks grow longer, and worse, towards its ends."""
WORTH = 1.03
"""How much longer than the middle frame's the best outline must be."""


def choose_key_frame(alphas: NDArray[np.uint8]) -> int:
    """Return the frame in the middle half of a clip, [T, H, W], whose outline is longest.

    Arms that hang free of a body, and legs apart, make an outline long; each such part then gets
    a shape of its own. The middle frame is kept unless another is clearly better.
    """
    frames = len(alphas)
    middle = frames // 2
    low, high = round(CENTRAL[0] * (frames - 1)), round(CENTRAL[1] * (frames - 1))
    lengths = {frame: outline_length(alphas[frame]) for frame in range(low, high + 1)}
    best = max(lengths, key=lambda frame: (lengths[frame], -abs(frame - middle)))
    return best if lengths[best] > WORTH * lengths.get(middle, 0.0) else middle


def outline_length(alpha: NDArray[np.uint8]) -> float:
    """Return the length in pixels of a silhouette's outlines, holes included."""
    mask = (alpha > 127).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return float(sum(cv2.arcLength(outline, True) for outline in outlines))
