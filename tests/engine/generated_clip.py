# SPDX-License-Identifier: GPL-3.0-or-later
"""One clip of a lumpy figure that waves, with six views around it as a model would generate them.

The views can be wrong on purpose: taken from another place than their cameras say, or repainted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ds4d_engine.data import Dataset
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.photometric import decode_srgb, encode_srgb
from ds4d_engine.raster import rasterize
from ds4d_engine.seam.cameras import Camera

AZIMUTHS = (30.0, 90.0, 150.0, 210.0, 270.0, 330.0)
ELEVATIONS = (20.0, -10.0) * 3
LUMPS = 24


def figure(frame: int, frames: int) -> tuple[torch.Tensor, ...]:
    """Means, quats, scales, opacities and linear colours of the figure; three lumps wave."""
    rng = np.random.default_rng(3)
    means = rng.normal(size=(LUMPS, 3)) * [0.25, 0.16, 0.28]
    phase = 2 * frame / max(frames - 1, 1) - 1
    means[:3] = [[0.45, 0, 0.2], [0.55, 0.05, 0.25], [0.65, 0.05, 0.2]]
    means[:3, 2] += 0.15 * phase
    scales = rng.uniform(0.05, 0.12, (LUMPS, 3))
    quats = rng.normal(size=(LUMPS, 4))
    colors = rng.uniform(0.1, 0.95, (LUMPS, 3))
    values = (means, quats, scales, np.full(LUMPS, 0.98), colors)
    found = [torch.tensor(value, dtype=torch.float32) for value in values]
    found[4] = decode_srgb(found[4])
    return tuple(found)


def taken(camera: Camera, frame: int, frames: int) -> np.ndarray:
    """Picture uint8 [H,W,4] of the figure, straight alpha."""
    render = rasterize(
        *figure(frame, frames), camera.viewmat, camera.K, camera.width, camera.height, backend="cpu"
    )
    alpha = render.alphas[..., None]
    straight = encode_srgb((render.colors / alpha.clamp_min(1e-6)).clamp(0, 1))
    return (torch.cat([straight, alpha], -1) * 255 + 0.5).to(torch.uint8).numpy()


def generated_clip(
    frames: int = 5,
    size: int = 40,
    *,
    really: Mapping[int, Sequence[float]] | None = None,
    repainted: Sequence[int] = (),
    patched: Sequence[int] = (),
    held_out: Sequence[float] = (),
) -> Dataset:
    """The clip and its views, and test cameras at azimuths `held_out`.

    `really` gives, by view 1..6, the azimuth and elevation from which it was taken in truth;
    `repainted` views have their colours inverted, `patched` ones a green square that is not there.
    """
    cameras = [orbit_camera("input", size)]
    angles = zip(AZIMUTHS, ELEVATIONS, strict=True)
    cameras += [
        orbit_camera(f"view{v}", size, azimuth_degrees=a, elevation_degrees=e)
        for v, (a, e) in enumerate(angles, 1)
    ]
    cameras += [orbit_camera(f"test{a:g}", size, azimuth_degrees=a, split="test") for a in held_out]
    images = []
    for v, camera in enumerate(cameras):
        place = camera
        if v in (really or {}):
            a, e = really[v]
            place = orbit_camera("true", size, azimuth_degrees=a, elevation_degrees=e)
        pictures = np.stack([taken(place, frame, frames) for frame in range(frames)])
        if v in repainted:
            pictures[..., :3] = 255 - pictures[..., :3]
        if v in patched:
            low, high = size // 2 - size // 8, size // 2 + size // 8
            pictures[:, low:high, low:high] = (0, 255, 0, 255)
        images.append(pictures)
    return Dataset(
        name="figure",
        cameras=tuple(cameras),
        images=images,
        present=np.ones((frames, len(cameras)), bool),
        times=np.linspace(0, 1, frames),
        fps=12.0,
        frame_start=1,
        has_alpha=True,
        source="clip",
    )
