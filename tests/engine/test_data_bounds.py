# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math

import numpy as np
import pytest

from ds4d_engine.data import Dataset, scene_bounds
from ds4d_engine.seam import Camera, DatasetError

CENTER = np.array([0.5, -1.0, 2.0])


def look_at(name: str, position: np.ndarray, target: np.ndarray, split: str = "train") -> Camera:
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = R, -R @ position
    K = np.array([[90.0, 0, 32], [0, 90.0, 32], [0, 0, 1]])
    return Camera(name, K, viewmat, 64, 64, split)


def ring(count: int, target: np.ndarray, distance: float = 4.0) -> list[Camera]:
    positions = [
        CENTER + distance * np.array([math.cos(a) * 0.9, math.sin(a) * 0.9, 0.43])
        for a in np.linspace(0, 2 * np.pi, count, endpoint=False)
    ]
    return [look_at(f"c{i}", p, target) for i, p in enumerate(positions)]


def ball_alpha(camera: Camera, center: np.ndarray, radius: float) -> np.ndarray:
    y, x = np.mgrid[:64, :64] + 0.5
    rays = np.stack([(x - 32) / 90, (y - 32) / 90, np.ones_like(x)], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    local = (camera.viewmat @ [*center, 1.0])[:3]
    along = rays @ local
    return ((local @ local - along**2) <= radius**2) * np.uint8(255)


def dataset_of(cameras: list[Camera], alphas: list[np.ndarray] | None = None) -> Dataset:
    images = [np.full((1, c.height, c.width, 4), 255, np.uint8) for c in cameras]
    for image, alpha in zip(images, alphas or [], strict=bool(alphas)):
        image[0, ..., 3] = alpha
    return Dataset(
        name="clip",
        cameras=tuple(cameras),
        images=images,
        present=np.ones((1, len(cameras)), bool),
        times=np.zeros(1),
        fps=24.0,
        frame_start=1,
        has_alpha=alphas is not None,
        source="transforms",
    )


def test_silhouettes_give_a_tight_sphere_around_a_ball_off_the_axes() -> None:
    cameras = ring(7, CENTER)
    ball = CENTER + np.array([0.3, 0.2, -0.1])
    center, radius = scene_bounds(dataset_of(cameras, [ball_alpha(c, ball, 0.5) for c in cameras]))
    offset = float(np.linalg.norm(center - ball))
    assert offset < 0.05
    assert 0.5 + offset <= radius < 0.65


def test_without_alpha_the_axes_give_the_centre_and_the_frusta_the_radius() -> None:
    center, radius = scene_bounds(dataset_of(ring(5, CENTER)))
    np.testing.assert_allclose(center, CENTER, atol=1e-9)
    distance = 4.0 * math.hypot(0.9, 0.43)
    assert radius == pytest.approx(distance * math.sin(math.atan(32 / 90)))


def test_held_out_cameras_are_not_asked() -> None:
    aside = CENTER + np.array([9.0, 0, 0])
    astray = look_at("held", aside, aside + np.array([0, 5.0, 0]), "test")
    center, _ = scene_bounds(dataset_of([*ring(5, CENTER), astray]))
    np.testing.assert_allclose(center, CENTER, atol=1e-9)


def test_parallel_cameras_are_refused() -> None:
    cameras = [
        look_at(f"c{i}", np.array([0.1 * i, 0, 0]), np.array([0.1 * i, 5.0, 0])) for i in range(3)
    ]
    with pytest.raises(DatasetError, match="nearly parallel"):
        scene_bounds(dataset_of(cameras))


def test_a_camera_that_looks_away_is_named() -> None:
    away = CENTER + np.array([4.0, 0.3, 0.2])
    cameras = [*ring(6, CENTER), look_at("stray", away, 2 * away - CENTER)]
    with pytest.raises(DatasetError, match="'stray' of clip looks away"):
        scene_bounds(dataset_of(cameras))


def test_masks_that_are_empty_everywhere_are_refused() -> None:
    cameras = ring(3, CENTER)
    with pytest.raises(DatasetError, match="opaque"):
        scene_bounds(dataset_of(cameras, [np.zeros((64, 64), np.uint8)] * 3))
