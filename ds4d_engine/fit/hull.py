# SPDX-License-Identifier: GPL-3.0-or-later
"""Visual hull of one frame's masks, and the box that the subject fills over the clip."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data import Dataset
from ..sampling import project
from .scene import Scene

INSIDE_ALPHA = 0.4


def sample_picture(picture: Tensor, pixels: Tensor) -> Tensor:
    """Sample a picture [H, W, C] bilinearly at pixel positions [N, 2] -> [N, C]; zero outside."""
    height, width = picture.shape[:2]
    size = torch.tensor([width, height], dtype=torch.float32, device=picture.device)
    grid = (pixels / size * 2 - 1)[None, None]
    found = F.grid_sample(picture.permute(2, 0, 1)[None], grid, align_corners=False)
    return found[0, :, 0].T


def occupancy(points: Tensor, scene: Scene, frame: int) -> Tensor:
    """Return the smallest alpha [N] over the views that have each point in their picture.

    Points that fewer than half of the views have in their picture count as empty.
    """
    smallest = torch.ones(len(points), device=points.device)
    seen = torch.zeros(len(points), device=points.device)
    count = 0
    for index, view in enumerate(scene.views):
        if not scene.present[frame, index]:
            continue
        count += 1
        pixels, depth = project(points, view.camera)
        inside = (
            (depth > 0)
            & (pixels > 0).all(-1)
            & (pixels[:, 0] < view.width)
            & (pixels[:, 1] < view.height)
        )
        alpha = torch.from_numpy(scene.pictures[index][frame][..., 3:]).to(points.device)
        value = sample_picture(alpha.float() / 255, pixels)[:, 0]
        smallest = torch.where(inside, torch.minimum(smallest, value), smallest)
        seen += inside
    return torch.where(seen >= max(1, count / 2), smallest, torch.zeros_like(smallest))


def voxel_centers(resolution: int, device: torch.device) -> Tensor:
    """Return the centres [resolution^3, 3] of the cube [-1, 1]^3's voxels."""
    axis = (torch.arange(resolution, device=device) + 0.5) / resolution * 2 - 1
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).view(-1, 3)


def subject_bounds(
    dataset: Dataset, scene: Scene, resolution: int = 48
) -> tuple[np.ndarray, float] | None:
    """Return centre [3] and radius, in the dataset's world, of the subject over the clip.

    Coarse hulls of the first, middle and last frame are boxed. None where no voxel is filled.
    """
    points = voxel_centers(resolution, scene.device)
    filled = torch.zeros(len(points), dtype=torch.bool, device=scene.device)
    for frame in sorted({0, scene.middle, scene.frame_count - 1}):
        filled |= occupancy(points, scene, frame) > INSIDE_ALPHA
    if not filled.any():
        return None
    low, high = points[filled].amin(0).cpu().numpy(), points[filled].amax(0).cpu().numpy()
    center = (low + high) / 2 * scene.radius + scene.center
    margin = 2 / resolution
    return center, float((np.linalg.norm(high - low) / 2 + margin) * scene.radius)


def hull_surface(
    scene: Scene, count: int, resolution: int = 96
) -> tuple[Tensor, Tensor, float] | None:
    """Sample the surface of the middle frame's visual hull.

    Returns:
        Points [N, 3] and outward normals [N, 3] in the normalised world, and the surface's area;
        None where the hull is empty. Points repeat voxels, jittered, when there are fewer voxels
        than `count`.
    """
    points = voxel_centers(resolution, scene.device)
    filled = (occupancy(points, scene, scene.middle) > INSIDE_ALPHA).float()
    cube = filled.view(1, 1, resolution, resolution, resolution)
    eroded = -F.max_pool3d(-cube, 3, 1, 1)
    surface = ((cube > 0) & (eroded < 1)).view(-1).nonzero()[:, 0]
    if len(surface) == 0:
        return None
    smooth = F.avg_pool3d(cube, 5, 1, 2)[0, 0]
    outward = -torch.stack(torch.gradient(smooth), -1).view(-1, 3)
    if len(surface) >= count:
        chosen = surface[torch.randperm(len(surface), device=surface.device)[:count]]
    else:
        chosen = surface[torch.randint(len(surface), (count,), device=surface.device)]
    jitter = (torch.rand(count, 3, device=points.device) - 0.5) * 2 / resolution
    area = len(surface) * (2 / resolution) ** 2
    return points[chosen] + jitter, F.normalize(outward[chosen], dim=-1), area


def splat_sigma(area: float, count: int) -> float:
    """Return the sigma with which `count` round Gaussians cover a surface of this area."""
    return 0.6 * math.sqrt(area / count)
