# SPDX-License-Identifier: GPL-3.0-or-later
"""Small assets with everything that can go wrong in them: thin, faint, near and moving splats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ds4d_engine.seam import Asset, Camera, Gaussians, Motion
from tests.blender.reference import rotation_matrices

SH_C0 = 0.28209479177387814


def gaussians(count: int, *, seed: int = 1, bases: int = 0, inner: bool = False) -> Gaussians:
    """A checkered torus of thin splats; `inner` makes it a ball in the middle."""
    rng = np.random.default_rng(seed)
    u, v = rng.random((2, count)) * 2 * np.pi
    outer, tube = (0.0, 0.45) if inner else (1.0, 0.42)
    means = np.stack(
        [
            (outer + tube * np.cos(v)) * np.cos(u),
            (outer + tube * np.cos(v)) * np.sin(u),
            tube * np.sin(v),
        ],
        axis=1,
    )
    quats = rng.normal(size=(count, 4))
    size = np.sqrt(1500 / max(count, 1))
    scales = np.exp(rng.normal(size=(count, 3)) * 0.4) * np.array([0.085, 0.045, 0.012]) * size
    checker = ((np.floor(u / np.pi * 8) + np.floor(v / np.pi * 4)) % 2)[:, None]
    colours = checker * [0.9, 0.3, 0.15] + (1 - checker) * [0.1, 0.5, 0.8]
    colours = colours + rng.normal(size=(count, 3)) * 0.06
    return Gaussians(
        means=means,
        quats=quats / np.linalg.norm(quats, axis=1, keepdims=True),
        scales=scales,
        opacities=np.clip(rng.beta(4, 1.2, count), 0.02, 0.9995),
        sh0=((colours - 0.5) / SH_C0)[:, None, :],
        shN=rng.normal(size=(count, bases, 3)) * 0.1,
        dynamic_scores=rng.random(count),
    )


def motion(start: Gaussians, frames: int, *, seed: int = 2, opacities: bool = False) -> Motion:
    """Drift, tumble and breathe; quaternion signs as the writer of assets stores them."""
    rng = np.random.default_rng(seed)
    count = len(start)
    drift = rng.normal(size=(count, 3)) * 0.05
    spin = rng.normal(size=(count, 4)) * 0.25
    time = np.arange(frames)[:, None, None]
    quats = start.quats + spin * np.sin(time * 0.7)
    quats /= np.linalg.norm(quats, axis=-1, keepdims=True)
    fade = 0.6 + 0.4 * np.sin(time[..., 0] * 0.8 + np.arange(count))
    return Motion(
        means=start.means + drift * np.sin(time * 0.9 + 1),
        quats=quats,
        scales=start.scales * np.exp(0.3 * np.sin(time * 1.1 + start.means[:, :1] * 3)),
        opacities=np.clip(start.opacities * fade, 0, 1) if opacities else None,
    )


def camera(
    name: str,
    eye: tuple[float, float, float],
    *,
    width: int = 96,
    height: int = 96,
    focal: tuple[float, float] = (110.0, 110.0),
    centre: tuple[float, float] | None = None,
    target: tuple[float, float, float] = (0.0, 0.0, -0.05),
    split: str = "train",
) -> Camera:
    """A camera at `eye` that looks at `target`, Z up."""
    position = np.array(eye)
    forward = np.array(target) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    viewmat = np.eye(4)
    viewmat[:3, :3] = [right, np.cross(forward, right), forward]
    viewmat[:3, 3] = -viewmat[:3, :3] @ position
    cx, cy = centre or (width / 2, height / 2)
    K = np.array([[focal[0], 0, cx], [0, focal[1], cy], [0, 0, 1]])
    return Camera(name, K, viewmat, width, height, split)


CAMERAS = (
    camera("square", (2.1, -2.5, 1.9)),
    # Off-centre, with non-square pixels.
    camera(
        "odd",
        (-1.2, -0.9, 0.35),
        width=128,
        height=80,
        focal=(90.0, 105.0),
        centre=(58.3, 47.9),
        split="test",
    ),
    # Among the splats: they lie in front, beyond every border, at the near plane and behind.
    camera("inside", (1.0, 0.05, 0.1), width=96, height=64),
)


def asset(
    static: int = 300,
    dynamic: int = 300,
    *,
    frames: int = 6,
    fps: float = 24.0,
    frame_start: int = 1,
    blend: str = "linear",
    bases: int = 0,
    opacities: bool = False,
    cameras: tuple[Camera, ...] = CAMERAS,
) -> Asset:
    """An asset of a still torus and a moving ball."""
    still = gaussians(static, seed=1, bases=bases)
    moving = gaussians(dynamic, seed=5, bases=bases, inner=True)
    return Asset(
        static=still,
        dynamic=moving,
        motion=motion(moving, frames, opacities=opacities),
        cameras=cameras,
        times=np.linspace(0.0, 1.0, frames),
        fps=fps,
        frame_start=frame_start,
        blend=blend,
        provenance={"test": True},
    )


def transformed(source: Gaussians, matrix: np.ndarray) -> Gaussians:
    """The Gaussians under any invertible affine map [4,4]: their covariances deform with it."""
    linear = matrix[:3, :3]
    axes = linear @ rotation_matrices(source.quats.astype(float)) * source.scales[:, None, :]
    variances, directions = np.linalg.eigh(axes @ axes.transpose(0, 2, 1))
    directions *= np.sign(np.linalg.det(directions))[:, None, None]
    return replace(
        source,
        means=source.means @ linear.T + matrix[:3, 3],
        quats=quaternions(directions),
        scales=np.sqrt(np.maximum(variances, 0)),
    )


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """[N,3,3] -> [N,4] wxyz: the eigenvector of the largest eigenvalue (Bar-Itzhack 2000)."""
    R = rotations.transpose(1, 2, 0)
    K = np.array(
        [
            [R[0, 0] + R[1, 1] + R[2, 2], R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]],
            [R[2, 1] - R[1, 2], R[0, 0] - R[1, 1] - R[2, 2], R[0, 1] + R[1, 0], R[0, 2] + R[2, 0]],
            [R[0, 2] - R[2, 0], R[0, 1] + R[1, 0], R[1, 1] - R[0, 0] - R[2, 2], R[1, 2] + R[2, 1]],
            [R[1, 0] - R[0, 1], R[0, 2] + R[2, 0], R[1, 2] + R[2, 1], R[2, 2] - R[0, 0] - R[1, 1]],
        ]
    )
    return np.linalg.eigh(K.transpose(2, 0, 1))[1][:, :, -1]
