# SPDX-License-Identifier: GPL-3.0-or-later
"""How a camera moved during a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Pixels
from .regions import Bools

Affine = NDArray[np.float64]
"""[3,3]: from pixels of the first frame to those of another."""

STILL = 1.5
"""A camera whose picture's corners move less than this many pixels over a clip stands still."""
_STEP = 0.6
_MAX_CANVAS = 2.5  # times the picture


def frame_motions(frames: Pixels, report: Callable[[float], None]) -> list[Affine]:
    """Return the camera's motion, T of [3,3], over frames uint8 [T,h,w,3].

    `report` is told the share that is done.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    flow_of = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    motions: list[Affine] = [np.eye(3)]
    for t in range(len(grey) - 1):
        motions.append(_global_motion(flow_of.calc(grey[t], grey[t + 1], None)) @ motions[-1])
        report((t + 1) / (len(grey) - 1))
    return motions


def moving(motions: list[Affine], shape: tuple[int, ...]) -> bool:
    """Tell whether the camera moved during a clip of frames [T,h,w,3]."""
    return max(_shift(motion, shape) for motion in motions) > STILL


def reach(motions: list[Affine], t: int, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the first and last frame that still show most of what frame t shows."""
    most = 0.3 * min(shape[1], shape[2])
    back = np.linalg.inv(motions[t])
    first = last = t
    while first > 0 and _shift(motions[first - 1] @ back, shape) < most:
        first -= 1
    while last < len(motions) - 1 and _shift(motions[last + 1] @ back, shape) < most:
        last += 1
    return first, last


def warped(picture: Pixels, motion: Affine) -> Pixels:
    """Return a picture moved by [3,3]; what it does not show is 0."""
    if np.abs(motion - np.eye(3)).max() < 1e-9:
        return picture
    height, width = picture.shape[:2]
    return cv2.warpAffine(picture, motion[:2], (width, height), flags=cv2.INTER_LINEAR)


@dataclass(frozen=True, eq=False)
class Canvas:
    """Frames moved so that the camera stands still, on a picture that holds all of them.

    ``frames`` is uint8 [T,H,W,3], ``seen`` [T,H,W] where a frame shows something, ``motions``
    lead from a frame's pixels to the canvas.
    """

    frames: Pixels
    seen: Bools
    motions: list[Affine]

    @classmethod
    def of(cls, frames: Pixels, motions: list[Affine]) -> Canvas | None:
        """Lay out frames [T,h,w,3]; None where the camera moves too far for one picture."""
        count, height, width, _ = frames.shape
        if not moving(motions, frames.shape):
            return cls(frames, np.ones((count, height, width), bool), [np.eye(3)] * count)
        inverse = [np.linalg.inv(motion) for motion in motions]
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]).T
        points = np.concatenate([(move @ corners)[:2] for move in inverse], axis=1)
        low, high = np.floor(points.min(1)), np.ceil(points.max(1))
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        if size[0] * size[1] > _MAX_CANVAS * width * height:
            return None
        shift = np.array([[1.0, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
        moves = [shift @ move for move in inverse]
        whole = np.full((height, width), 255, np.uint8)
        laid = [cv2.warpAffine(f, m[:2], size) for f, m in zip(frames, moves, strict=True)]
        seen = [cv2.warpAffine(whole, m[:2], size) == 255 for m in moves]
        return cls(np.stack(laid), np.stack(seen), moves)

    def back(self, t: int, mask: Bools, width: int, height: int) -> Pixels:
        """Return a mask [H,W] of frame t as the frame shows it, uint8 0..255 [height,width]."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        move = self.motions[t][:2]
        return cv2.warpAffine(mask.astype(np.uint8) * 255, move, (width, height), flags=flags)


def _global_motion(flow: NDArray[np.float32]) -> Affine:
    """Return the motion [3,3] that most of a flow field [h,w,2] agrees with."""
    height, width = flow.shape[:2]
    step = max(4, min(height, width) // 24)
    ys, xs = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    start = np.stack([xs, ys], -1).reshape(-1, 2).astype(np.float32)
    end = start + flow[ys, xs].reshape(-1, 2)
    if float(np.median(np.linalg.norm(end - start, axis=1))) < 0.1:
        return np.eye(3)
    found, _ = cv2.estimateAffinePartial2D(start, end, ransacReprojThreshold=_STEP)
    return np.eye(3) if found is None else np.vstack([found, [0.0, 0.0, 1.0]])


def _shift(motion: Affine, shape: tuple[int, ...]) -> float:
    """Return how far a motion moves the corners of frames [T,h,w,3], in pixels."""
    height, width = shape[1:3]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]).T
    return float(np.linalg.norm((motion @ corners - corners)[:2], axis=0).max())
