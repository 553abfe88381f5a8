# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny clip: a coloured blob slides along x beside one that stays, seen by a ring of cameras."""

from __future__ import annotations

import numpy as np
import torch

from ds4d_engine.data import Dataset
from ds4d_engine.photometric import decode_srgb, encode_srgb
from ds4d_engine.raster import rasterize
from ds4d_engine.seam.cameras import Camera


def ring_cameras(count: int, size: int, distance: float = 4.0) -> tuple[Camera, ...]:
    """Return cameras on a circle that look at the origin; the last one is held out."""
    focal = size * 1.4
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    cameras = []
    for index in range(count):
        angle = 2 * np.pi * index / count
        position = distance * np.array([np.cos(angle), np.sin(angle), 0.35])
        forward = -position / np.linalg.norm(position)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        viewmat = np.eye(4)
        viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ position
        split = "test" if index == count - 1 else "train"
        cameras.append(Camera(f"cam{index}", K, viewmat, size, size, split))
    return tuple(cameras)


def blob_positions(frames: int) -> np.ndarray:
    """Return the moving blob's centre at every frame [T, 3]."""
    return np.stack([[0.8 * (t / (frames - 1)) - 0.4, 0.45, 0.1] for t in range(frames)])


def moving_blob(frames: int = 5, views: int = 5, size: int = 32) -> Dataset:
    """Render the clip as a dataset with alpha."""
    cameras = ring_cameras(views, size)
    still = torch.tensor([[0.0, -0.5, -0.1], [0.1, -0.55, 0.15]])
    images = np.zeros((views, frames, size, size, 4), np.uint8)
    for frame, position in enumerate(blob_positions(frames)):
        means = torch.cat([torch.tensor(position[None], dtype=torch.float32), still])
        for index, camera in enumerate(cameras):
            render = rasterize(
                means,
                torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1),
                torch.tensor([[0.18, 0.18, 0.18], [0.2, 0.2, 0.12], [0.1, 0.1, 0.2]]),
                torch.full((3,), 0.98),
                decode_srgb(torch.tensor([[0.9, 0.3, 0.1], [0.2, 0.5, 0.9], [0.9, 0.9, 0.3]])),
                camera.viewmat,
                camera.K,
                size,
                size,
            )
            alpha = render.alphas[..., None]
            straight = encode_srgb((render.colors / alpha.clamp_min(1e-6)).clamp(0, 1))
            picture = torch.cat([straight, alpha], -1)
            images[index, frame] = (picture * 255 + 0.5).to(torch.uint8).numpy()
    return Dataset(
        name="moving-blob",
        cameras=cameras,
        images=list(images),
        present=np.ones((frames, views), bool),
        times=np.linspace(0, 1, frames),
        fps=12.0,
        frame_start=0,
        has_alpha=True,
        source="moving-blob",
    )
