# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip that the rasteriser draws itself, of any size in a moment: splats that sway in a ball."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ds4d_engine.data import Dataset
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.photometric import decode_srgb, encode_srgb
from ds4d_engine.raster import rasterize

BALL = 0.75
"""Radius within which the splats' centres lie at rest."""
SWAY = 0.15
"""Largest way of a splat from its place at rest."""


class Clip(NamedTuple):
    """How large a clip is; `held_out` cameras stand between the `views`."""

    frames: int
    views: int
    size: int
    held_out: int = 0


def moving_splats(
    clip: Clip,
    splats: int = 600,
    seed: int = 0,
    device: str | torch.device = "cpu",
    make: Callable[[list[tuple[int, int, int, int]]], list[np.ndarray]] | None = None,
) -> Dataset:
    """Draw a clip with alpha; every third splat stays.

    `make` returns the arrays of shapes [T,H,W,4] that the pictures go to: by default main memory.
    """
    rng = torch.Generator().manual_seed(seed)
    rest = torch.randn(splats, 3, generator=rng)
    rest *= BALL * torch.rand(splats, 1, generator=rng) ** (1 / 3) / rest.norm(dim=1, keepdim=True)
    sway = SWAY * (2 * torch.rand(splats, 3, generator=rng) - 1)
    sway[::3] = 0
    phase = 2 * math.pi * torch.rand(splats, 1, generator=rng)
    shape = [
        torch.randn(splats, 4, generator=rng),
        BALL / splats ** (1 / 3) * (0.3 + 0.5 * torch.rand(splats, 3, generator=rng)),
        0.6 + 0.39 * torch.rand(splats, generator=rng),
        decode_srgb(0.1 + 0.85 * torch.rand(splats, 3, generator=rng)),
    ]
    shape = [value.to(device) for value in shape]
    cameras = _cameras(clip)
    shapes = [(clip.frames, clip.size, clip.size, 4)] * len(cameras)
    images = make(shapes) if make else [np.zeros(shape, np.uint8) for shape in shapes]
    for frame in range(clip.frames):
        turn = 2 * math.pi * frame / clip.frames
        means = (rest + sway * (torch.sin(turn + phase) - torch.sin(phase))).to(device)
        for camera, frames in zip(cameras, images, strict=True):
            image = rasterize(means, *shape, camera.viewmat, camera.K, clip.size, clip.size)
            frames[frame] = _straight(image.colors, image.alphas)
    return Dataset(
        name="moving-splats",
        cameras=cameras,
        images=images,
        present=np.ones((clip.frames, len(cameras)), bool),
        times=np.linspace(0, 1, clip.frames),
        fps=24.0,
        frame_start=1,
        has_alpha=True,
        source="transforms",
    )


def _cameras(clip: Clip) -> tuple:
    count = clip.views + clip.held_out
    every = count // clip.held_out if clip.held_out else count + 1
    return tuple(
        orbit_camera(
            f"camera_{i:03d}",
            clip.size,
            azimuth_degrees=360 * i / count,
            elevation_degrees=20 * (-1) ** i,
            radius=2.6,
            split="test" if i % every == every - 1 and i // every < clip.held_out else "train",
        )
        for i in range(count)
    )


def _straight(colors: Tensor, alphas: Tensor) -> np.ndarray:
    """Return straight alpha, encoded, uint8 [H,W,4], of premultiplied linear colours."""
    straight = encode_srgb((colors / alphas[..., None].clamp_min(1e-6)).clamp(0, 1))
    picture = torch.cat([straight, alphas[..., None]], -1)
    encoded: np.ndarray = (picture * 255 + 0.5).to(torch.uint8).cpu().numpy()
    return encoded
