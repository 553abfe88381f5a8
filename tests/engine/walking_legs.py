# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip of a body on two legs that swing past each other, and where their feet are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE, FRAMES = 96, 24
HIP, LENGTH = (48.0, 44.0), 34.0
HALF_WIDTHS = (3.6, 3.0)  # of the near leg and of the far one
COLORS = ((200, 120, 60), (150, 90, 50), (110, 110, 160))  # of both, and of the body
SWING_DEGREES = 34.0
FINE = 8  # times the size at which a picture is painted


def feet(frame: int, *, passing: bool = True) -> NDArray[np.float64]:
    """Return the ends [2, 2] of the near and of the far leg, in pixels."""
    swing = np.sin(2 * np.pi * (frame + 3) / FRAMES)
    swing = swing if passing else 0.6 + 0.4 * swing  # else they never meet
    angles = np.radians(SWING_DEGREES) * swing * np.array([1.0, -1.0])
    lengths = LENGTH * np.array([1.0, 0.96])  # the far foot stands higher in the picture
    return np.array(HIP) + lengths[:, None] * np.stack([np.sin(angles), np.cos(angles)], 1)


def picture(frame: int, *, passing: bool = True) -> NDArray[np.uint8]:
    """Paint a frame [H, W, 4]: the far leg, the body over it, the near leg over both."""
    fine = np.zeros((SIZE * FINE, SIZE * FINE, 4), np.uint8)
    near, far = feet(frame, passing=passing)
    _leg(fine, far, HALF_WIDTHS[1], COLORS[1])
    corners = [(round(x * FINE), round(y * FINE)) for x, y in ((14, 22), (78, 46))]
    cv2.rectangle(fine, *corners, (*COLORS[2], 255), -1)
    _leg(fine, near, HALF_WIDTHS[0], COLORS[0])
    return cv2.resize(fine, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def clip(*, passing: bool = True) -> NDArray[np.uint8]:
    """Paint all frames [T, H, W, 4]."""
    return np.stack([picture(frame, passing=passing) for frame in range(FRAMES)])


def _leg(
    fine: NDArray[np.uint8], foot: NDArray[np.float64], half: float, color: tuple[int, int, int]
) -> None:
    ends = [tuple(round(float(v) * FINE) for v in point) for point in (HIP, foot)]
    cv2.line(fine, ends[0], ends[1], (*color, 255), round(2 * half * FINE))
