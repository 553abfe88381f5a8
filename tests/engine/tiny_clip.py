# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip of five Gaussians, as an asset, as a dataset in memory and as a dataset on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from ds4d_engine.data import Dataset
from ds4d_engine.render import (
    Bounds,
    composite,
    gaussians_at,
    orbit_camera,
    render_gaussians,
    to_uint8,
)
from ds4d_engine.seam import Asset, Camera, Gaussians, Motion

SIZE = 32
FOV_DEGREES = 35.0


def gaussians(means: list[list[float]], colors: list[list[float]], scale: float) -> Gaussians:
    """Round, nearly opaque Gaussians of the given sRGB colours."""
    count = len(means)
    encoded = np.array(colors, np.float32).reshape(count, 1, 3)
    return Gaussians(
        means=np.array(means, np.float32).reshape(count, 3),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        scales=np.full((count, 3), scale, np.float32),
        opacities=np.full(count, 0.9, np.float32),
        sh0=(encoded - 0.5) / 0.28209479177387814,
        shN=np.zeros((count, 0, 3), np.float32),
        dynamic_scores=np.full(count, 0.5, np.float32),
    )


def cameras() -> tuple[Camera, ...]:
    """Three training cameras and a test one, on a circle about the origin."""
    sphere = Bounds(np.zeros(3), 1.0)
    made = []
    for name, azimuth, split in (
        ("left", -40, "train"),
        ("right", 50, "train"),
        ("top", 5, "test"),
        ("back", 170, "train"),
    ):
        camera = orbit_camera(
            sphere, azimuth, 20.0, width=SIZE, height=SIZE, fov_degrees=FOV_DEGREES
        )
        made.append(Camera(name, camera.K, camera.viewmat, SIZE, SIZE, split))
    return tuple(made)


def tiny_asset(frame_count: int = 4, blend: str = "linear", move: float = 0.8) -> Asset:
    """Three Gaussians that stand still, and two that travel along +X by `move`."""
    static = gaussians(
        [[-0.5, 0, -0.5], [0, 0.2, -0.5], [0.5, 0, -0.5]],
        [[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.2, 0.2, 0.9]],
        0.15,
    )
    dynamic = gaussians([[-0.4, 0, 0.4], [-0.2, 0, 0.5]], [[0.9, 0.8, 0.1], [0.1, 0.1, 0.1]], 0.12)
    times = np.linspace(0, 1, frame_count)
    steps = (times[:, None, None] * [move, 0, 0]).astype(np.float32)
    repeat = (frame_count, 1, 1)
    return Asset(
        static=static,
        dynamic=dynamic,
        motion=Motion(
            dynamic.means + steps, np.tile(dynamic.quats, repeat), np.tile(dynamic.scales, repeat)
        ),
        cameras=cameras(),
        times=times,
        fps=12.0,
        frame_start=1,
        blend=blend,  # type: ignore[arg-type]  # tests also pass what Asset refuses
        provenance={"made": "for a test"},
    )


def picture(asset: Asset, camera: Camera, frame: float) -> np.ndarray:
    """Straight-alpha RGBA uint8 [H,W,4] of an asset."""
    rendered = render_gaussians(gaussians_at(asset, frame), camera, blend=asset.blend)
    return to_uint8(composite(rendered, None, blend=asset.blend))


def tiny_dataset(asset: Asset) -> Dataset:
    """The asset's own renders from its cameras, rounded to 8 bits."""
    images = [
        np.stack([picture(asset, camera, frame) for frame in range(asset.frame_count)])
        for camera in asset.cameras
    ]
    return Dataset(
        name="tiny",
        cameras=asset.cameras,
        images=images,
        present=np.ones((asset.frame_count, len(asset.cameras)), bool),
        times=asset.times,
        fps=asset.fps,
        frame_start=asset.frame_start,
        has_alpha=True,
        source="tiny",
    )


def write_transforms(asset: Asset, folder: Path) -> Path:
    """Write the asset's renders as a D-NeRF dataset of two splits."""
    flip = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenCV to OpenGL camera axes
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        entries = []
        for camera in asset.cameras:
            if camera.split != split:
                continue
            for frame, time in enumerate(asset.times):
                name = f"{split}/{camera.name}_{frame:03d}"
                iio.imwrite(folder / f"{name}.png", picture(asset, camera, frame))
                pose = (camera.camtoworld @ flip).tolist()
                entries.append(
                    {
                        "file_path": f"./{name}",
                        "camera": camera.name,
                        "time": float(time),
                        "transform_matrix": pose,
                    }
                )
        document = {
            "camera_angle_x": math.radians(FOV_DEGREES),
            "frames": entries,
            "fps": asset.fps,
        }
        (folder / f"transforms_{split}.json").write_text(json.dumps(document))
    return folder
