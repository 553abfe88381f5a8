# SPDX-License-Identifier: GPL-3.0-or-later
"""A single clip, and pictures of a solid body from any camera, for tests of generated views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ds4d_engine.data import Dataset
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.seam.cameras import Camera

SIZE = 64
QUADRUPED = (
    ((0.0, 0.0, 0.1), (0.6, 0.2, 0.2)),
    ((-0.4, -0.12, -0.3), (0.09, 0.09, 0.35)),
    ((-0.4, 0.12, -0.3), (0.09, 0.09, 0.35)),
    ((0.4, -0.12, -0.3), (0.09, 0.09, 0.35)),
    ((0.4, 0.12, -0.3), (0.09, 0.09, 0.35)),
    ((0.65, 0.0, 0.4), (0.2, 0.12, 0.15)),
)
"""Centres and half axes of ellipsoids: a body, four legs and a head, seen from its side."""


def single_clip(alphas: Sequence[np.ndarray[Any, Any]]) -> Dataset:
    """A clip of one input camera with the given alphas [S,S], white under the object."""
    size = alphas[0].shape[0]
    images = np.full((len(alphas), size, size, 4), 255, np.uint8)
    images[..., 3] = np.stack(alphas)
    return Dataset(
        name="clip",
        cameras=(orbit_camera("input", size),),
        images=[images],
        present=np.ones((len(alphas), 1), bool),
        times=np.linspace(0, 1, len(alphas)) if len(alphas) > 1 else np.zeros(1),
        fps=12.0,
        frame_start=1,
        has_alpha=True,
        source="clip",
    )


def disc(size: int, column: float, row: float, radius: float) -> np.ndarray[Any, Any]:
    """Alpha [S,S] of a disc, centre and radius in shares of the side."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    return np.where((x - column) ** 2 + (y - row) ** 2 < radius**2, 255, 0).astype(np.uint8)


def silhouette(camera: Camera, parts: Any, stretch: float = 1.0) -> np.ndarray[Any, Any]:
    """Alpha [H,W] of ellipsoids (centre, half axes), their size times `stretch`: exact outlines."""
    alpha = np.zeros((camera.height, camera.width), np.uint8)
    rng = np.random.default_rng(0)
    around = rng.normal(size=(3000, 3))
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    for centre, axes in parts:
        points = (np.array(centre) + around * axes) * stretch
        local = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        pixels = local @ camera.K.T
        outline = cv2.convexHull((pixels[:, :2] / pixels[:, 2:]).astype(np.float32))
        cv2.fillConvexPoly(alpha, np.round(outline - 0.5).astype(np.int32), 255)
    return alpha
