# SPDX-License-Identifier: GPL-3.0-or-later
"""A painted body of two ellipsoids that turns about the upright axis before the standard camera."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ds4d_engine.data.orbit import orbit_camera

Floats = NDArray[np.float64]
BODY = ((np.zeros(3), np.array([0.5, 0.28, 0.4])), (np.array([0.3, 0.1, 0.45]), np.full(3, 0.2)))
"""Centres and radii."""
FINER = 2


def inside_body(points: Floats) -> NDArray[np.bool_]:
    """Return which points [N, 3] lie inside the body before it turned."""
    return np.any([(((points - c) / r) ** 2).sum(1) < 1 for c, r in BODY], axis=0)


def body_picture(
    angle: float, size: int, axis: float = 0.0, azimuth: float = 0.0, elevation: float = 0.0
) -> NDArray[np.uint8]:
    """Return [S, S, 4] of the body turned by `angle` radians about x = `axis`."""
    fine = FINER * size
    camera = orbit_camera("input", fine, azimuth_degrees=azimuth, elevation_degrees=elevation)
    columns, rows = np.meshgrid(np.arange(fine) + 0.5, np.arange(fine) + 0.5)
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(fine * fine)])
    turn = Rotation.from_rotvec([0, 0, angle]).as_matrix()
    rays = (np.linalg.inv(camera.K) @ pixels).T @ camera.viewmat[:3, :3] @ turn
    eye = (camera.position - [axis, 0, 0]) @ turn
    nearest = np.full(len(rays), np.inf)
    for center, radii in BODY:
        nearest = np.minimum(nearest, _meet((eye - center) / radii, rays / radii))
    hit = np.isfinite(nearest)
    places = eye + rays * np.where(hit, nearest, 0)[:, None]
    colors = np.where(hit[:, None], _paint(places), 0)
    light = np.concatenate([colors, hit[:, None]], 1).reshape(fine, fine, 4)
    small = cv2.resize(light, (size, size), interpolation=cv2.INTER_AREA)
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return np.round(small * 255).astype(np.uint8)


def turning_clip(angles: Floats, size: int = 48, **settings: float) -> NDArray[np.uint8]:
    """Return [T, S, S, 4] of the body turned by `angles` [T], radians, ccw from above."""
    return np.stack([body_picture(float(angle), size, **settings) for angle in angles])


def _meet(eye: Floats, rays: Floats) -> Floats:
    """Return how far along rays [N, 3] they first meet the unit ball; inf where they do not."""
    a, b, c = (rays**2).sum(1), rays @ eye, (eye**2).sum() - 1
    root = b**2 - a * c
    return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)


def _paint(places: Floats) -> Floats:
    waves = np.array([[9.0, 4.0, 6.0], [-5.0, 8.0, 7.0], [6.0, -7.0, 9.0]])
    return 0.5 + 0.4 * np.sin(places @ waves.T + [0.3, 1.0, 2.0])
