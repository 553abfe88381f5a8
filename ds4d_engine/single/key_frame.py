# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frame of a clip shows the subject's parts best apart."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .tracks import reach

CENTRAL = (0.3, 0.7)
"""Part of the clip a key frame is taken from: tracks grow longer, and worse, towards its ends."""
CANDIDATES = 5
TARGETS = 8
"""Frames to which flow should lead from a key frame."""
WORTH = 1.15
"""How much better than the middle frame another must be."""


def choose_key_frame(pictures: NDArray[np.uint8], suited: Sequence[int] = ()) -> int:
    """Return the frame near the middle of a clip, uint8 [T, H, W, 4], to build a shape from.

    Its outline should be long, since arms that hang free of a body and legs apart make it long,
    and each such part then gets a shape of its own; and optical flow should lead from it to the
    frames of the clip. The frame nearest to the middle is kept unless another is clearly better.
    `suited` are the candidates that may be chosen, by default all.
    """
    frames = len(pictures)
    candidates = [frame for frame in candidate_frames(frames) if not suited or frame in suited]
    targets = np.linspace(0, frames - 1, TARGETS).round().astype(int)
    reached = reach(pictures, candidates, [int(frame) for frame in targets])
    scores = [
        outline_length(pictures[frame, ..., 3]) * trust
        for frame, trust in zip(candidates, reached, strict=True)
    ]
    best = int(np.argmax(scores))
    return candidates[best] if scores[best] > WORTH * scores[0] else candidates[0]


def candidate_frames(frames: int) -> list[int]:
    """Return which of so many frames may become the key frame, the nearest to the middle first."""
    low, high = CENTRAL[0] * (frames - 1), CENTRAL[1] * (frames - 1)
    spread = np.linspace(low, high, CANDIDATES).round().astype(int)
    middle = frames // 2
    return sorted({middle, *(int(frame) for frame in spread)}, key=lambda at: abs(at - middle))


def outline_length(alpha: NDArray[np.uint8]) -> float:
    """Return the length in pixels of a silhouette's outlines, holes included."""
    mask = (alpha > 127).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return float(sum(cv2.arcLength(outline, True) for outline in outlines))
