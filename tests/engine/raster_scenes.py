# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes for the rasteriser's tests, and the definition of splatting written out pixel by pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

WIDTH, HEIGHT = 45, 37  # neither a multiple of a tile


@dataclass(frozen=True)
class SplatScene:
    """Float64 Gaussians and a camera, as `rasterize` takes them."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor
    viewmat: Tensor
    K: Tensor
    width: int = WIDTH
    height: int = HEIGHT

    def splats(self, dtype: torch.dtype) -> list[Tensor]:
        """Return leaves that require gradients: means, quats, scales, opacities, colors."""
        tensors = (self.means, self.quats, self.scales, self.opacities, self.colors)
        return [x.to(dtype, copy=True).requires_grad_() for x in tensors]

    @property
    def camera(self) -> tuple[Tensor, Tensor, int, int]:
        return self.viewmat, self.K, self.width, self.height


def camera(distance: float = 3.2, focal: float = 50.0) -> tuple[Tensor, Tensor]:
    """Return a view matrix turned about the vertical, and an off-centre K."""
    viewmat = torch.eye(4, dtype=torch.float64)
    c, s = math.cos(0.4), math.sin(0.4)
    viewmat[:3, :3] = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    viewmat[2, 3] = distance
    K = torch.tensor([[focal, 0, 21.3], [0, 1.1 * focal, 19.1], [0, 0, 1]], dtype=torch.float64)
    return viewmat, K


def random_scene(
    count: int = 120,
    *,
    pixels: float = 3.0,
    channels: int = 3,
    opacities: tuple[float, float] = (0.1, 0.95),
    distance: float = 3.2,
    seed: int = 0,
) -> SplatScene:
    """Return splats of about `pixels` standard deviation on a noisy shell of radius one."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.rand(*size, generator=rng, dtype=torch.float64)

    directions = torch.randn(count, 3, generator=rng, dtype=torch.float64)
    means = directions / directions.norm(dim=-1, keepdim=True) * (0.8 + 0.2 * draw(count, 1))
    viewmat, K = camera(distance)
    scales = pixels * distance / 50.0 * torch.exp(0.8 * draw(count, 3) - 0.4)
    low, high = opacities
    return SplatScene(
        means=means,
        quats=torch.randn(count, 4, generator=rng, dtype=torch.float64),
        scales=scales,
        opacities=low + (high - low) * draw(count),
        colors=draw(count, channels),
        viewmat=viewmat,
        K=K,
    )


def one_splat(
    position: tuple[float, float, float] = (0.0, 0.0, 2.0),
    *,
    scale: float = 0.1,
    opacity: float = 0.8,
    count: int = 1,
) -> SplatScene:
    """Return equal round splats before a 17 x 17 camera at the origin that looks along +z."""
    K = torch.tensor([[20.0, 0, 8.5], [0, 20.0, 8.5], [0, 0, 1]], dtype=torch.float64)
    return SplatScene(
        means=torch.tensor([position], dtype=torch.float64).repeat(count, 1),
        quats=torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64).repeat(count, 1),
        scales=torch.full((count, 3), scale, dtype=torch.float64),
        opacities=torch.full((count,), opacity, dtype=torch.float64),
        colors=torch.eye(3, dtype=torch.float64)[torch.arange(count) % 3],
        viewmat=torch.eye(4, dtype=torch.float64),
        K=K,
        width=17,
        height=17,
    )


def _covariances(scene: SplatScene) -> Tensor:
    """Return the world covariances [N,3,3], by rotating the axes with quaternion products."""
    w, v = scene.quats[:, :1], scene.quats[:, 1:]
    norm = scene.quats.norm(dim=1, keepdim=True)
    w, v = w / norm, v / norm
    columns = []
    for axis in torch.eye(3, dtype=torch.float64):
        axis = axis.expand_as(v)
        t = 2 * torch.linalg.cross(v, axis)
        columns.append(axis + w * t + torch.linalg.cross(v, t))
    axes = torch.stack(columns, -1) * scene.scales[:, None]
    return axes @ axes.transpose(1, 2)


def draw_pixel_by_pixel(scene: SplatScene) -> tuple[Tensor, Tensor, Tensor]:
    """Return colors [H,W,C], alphas [H,W] and depths [H,W] in float64, by the definition.

    Every splat is asked at every pixel: no culling, no tiles.
    """
    R, t = scene.viewmat[:3, :3], scene.viewmat[:3, 3]
    points = scene.means @ R.T + t
    covariances = R @ _covariances(scene) @ R.T
    fx, fy, cx, cy = scene.K[0, 0], scene.K[1, 1], scene.K[0, 2], scene.K[1, 2]
    x = torch.arange(scene.width, dtype=torch.float64) + 0.5
    y = torch.arange(scene.height, dtype=torch.float64)[:, None] + 0.5
    shape = scene.height, scene.width
    colors = torch.zeros(*shape, scene.colors.shape[1], dtype=torch.float64)
    depths = torch.zeros(shape, dtype=torch.float64)
    left = torch.ones(shape, dtype=torch.float64)
    live = torch.ones(shape, dtype=torch.bool)
    for i in torch.argsort(points[:, 2], stable=True).tolist():
        px, py, pz = points[i]
        if pz < 0.01:
            continue
        margin_x, margin_y = 0.15 * scene.width / fx, 0.15 * scene.height / fy
        ux = (px / pz).clamp(-cx / fx - margin_x, (scene.width - cx) / fx + margin_x)
        uy = (py / pz).clamp(-cy / fy - margin_y, (scene.height - cy) / fy + margin_y)
        zero = torch.zeros_like(pz)
        J = torch.stack(
            [
                torch.stack([fx / pz, zero, -fx * ux / pz]),
                torch.stack([zero, fy / pz, -fy * uy / pz]),
            ]
        )
        conic = torch.linalg.inv(J @ covariances[i] @ J.T + 0.3 * torch.eye(2, dtype=torch.float64))
        dx, dy = fx * px / pz + cx - x, fy * py / pz + cy - y
        exponent = 0.5 * (conic[0, 0] * dx * dx + conic[1, 1] * dy * dy) + conic[0, 1] * dx * dy
        alpha = (scene.opacities[i] * torch.exp(-exponent)).clamp_max(0.999)
        seen = (alpha >= 1 / 255) & live
        ends = seen & (left * (1 - alpha) <= 1e-4)
        live = live & ~ends
        weight = torch.where(seen & ~ends, alpha * left, 0.0)
        colors = colors + weight[..., None] * scene.colors[i]
        depths = depths + weight * pz
        left = left - weight
    return colors, 1 - left, depths
