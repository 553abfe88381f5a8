# SPDX-License-Identifier: GPL-3.0-or-later
"""A textured square that travels and turns before the standard camera, beside one that rests."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ds4d_engine.data import Dataset
from ds4d_engine.data.orbit import orbit_camera

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Columns from, to; rows from, to."""


def textured(size: int, box: Box, seed: int = 3) -> Pixels:
    """Return smooth random colours in a box, opaque, elsewhere nothing [size, size, 4]."""
    noise = np.random.default_rng(seed).uniform(0, 255, (size, size, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), size / 40)
    colors = np.clip((blurred - blurred.mean()) * 60 / blurred.std() + 128, 0, 255)
    left, right, top, bottom = box
    picture = np.zeros((size, size, 4), np.uint8)
    picture[top:bottom, left:right, :3] = colors[top:bottom, left:right]
    picture[top:bottom, left:right, 3] = 255
    return picture


def motion_matrix(
    middle: tuple[float, float], shift: tuple[float, float], turn_degrees: float
) -> NDArray[np.float64]:
    """Return [2, 3] that turns pixels about `middle`, then shifts them; centres at +0.5."""
    angle = math.radians(turn_degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    offset = np.array(middle) - turn @ np.array(middle) + np.array(shift)
    return np.concatenate([turn, offset[:, None]], 1)


def moved(picture: Pixels, matrix: NDArray[np.float64]) -> Pixels:
    """Return an RGBA picture under a motion of its pixels."""
    half = np.full(2, 0.5)  # OpenCV counts pixel centres from 0
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ half - half
    premultiplied = picture.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / 255
    turned = cv2.warpAffine(premultiplied, shifted, picture.shape[1::-1], flags=cv2.INTER_LINEAR)
    turned[..., :3] /= np.maximum(turned[..., 3:] / 255, 1e-3)
    return np.clip(np.round(turned), 0, 255).astype(np.uint8)


def over(front: Pixels, behind: Pixels) -> Pixels:
    """Lay one RGBA picture over another."""
    alpha = front[..., 3:] / 255
    rest = behind[..., 3:] / 255 * (1 - alpha)
    total = alpha + rest
    colors = (front[..., :3] * alpha + behind[..., :3] * rest) / np.maximum(total, 1e-3)
    return np.round(np.concatenate([colors, total * 255], -1)).astype(np.uint8)


def square_clip(
    frames: int = 7,
    size: int = 40,
    step: tuple[float, float] = (1.5, -0.5),
    turn_degrees: float = 4.0,
) -> Pixels:
    """Return [T, S, S, 4]: a square moves by `step` and turns each frame, one below it rests.

    In the middle frame, T // 2, nothing is interpolated.
    """
    low, high = size // 4, size * 11 // 20
    mover = textured(size, (size * 3 // 8, size * 27 // 40, low, high))
    resting = textured(size, (size // 4, size * 3 // 4, size * 29 // 40, size * 37 // 40), seed=8)
    middle = ((size * 3 // 8 + size * 27 // 40) / 2, (low + high) / 2)
    clip = []
    for frame in range(frames):
        away = frame - frames // 2
        matrix = motion_matrix(middle, (step[0] * away, step[1] * away), turn_degrees * away)
        clip.append(over(moved(mover, matrix), resting))
    return np.stack(clip)


def as_dataset(clip: Pixels, name: str = "square") -> Dataset:
    """Return a clip as `load_clip` would: one standard camera, straight alpha."""
    frames, size = clip.shape[:2]
    return Dataset(
        name=name,
        cameras=(orbit_camera("input", size),),
        images=[clip],
        present=np.ones((frames, 1), bool),
        times=np.linspace(0, 1, frames),
        fps=12.0,
        frame_start=1,
        has_alpha=True,
        source="clip",
    )
