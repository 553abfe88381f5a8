# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras on a sphere around the origin: where a single clip and generated views are seen from.

World: +Z up, lengths in units of half the distance of the input camera. Azimuth 0 looks along +Y,
as Blender's front view does; a camera of positive azimuth stands to the right of it (+X), one of
positive elevation above it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..seam.cameras import Camera

INPUT_RADIUS = 2.0
INPUT_FOVY_DEGREES = 49.1
"""Source: STAG4D and Consistent4D place the input camera so; docs/method.md."""


def orbit_camera(
    name: str,
    size: int,
    *,
    azimuth_degrees: float = 0.0,
    elevation_degrees: float = 0.0,
    radius: float = INPUT_RADIUS,
    fovy_degrees: float = INPUT_FOVY_DEGREES,
    split: str = "train",
) -> Camera:
    """Return a camera of `size` x `size` pixels that looks at the origin, +Z upwards in it."""
    viewmat = np.eye(4)
    viewmat[:3, :3] = orbit_rotation(azimuth_degrees, elevation_degrees)
    viewmat[2, 3] = radius
    focal = 0.5 * size / math.tan(math.radians(fovy_degrees) / 2)
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return Camera(name, K, viewmat, size, size, split)


def orbit_rotation(azimuth_degrees: float, elevation_degrees: float) -> NDArray[np.float64]:
    """Return the rotation [3, 3], world to camera (OpenCV), of a camera that faces the centre."""
    azimuth, elevation = math.radians(azimuth_degrees), math.radians(elevation_degrees)
    forward = np.array(
        [
            -math.cos(elevation) * math.sin(azimuth),
            math.cos(elevation) * math.cos(azimuth),
            -math.sin(elevation),
        ]
    )
    right = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    return np.stack([right, np.cross(forward, right), forward])
