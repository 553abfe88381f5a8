# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gaussians a fit starts from: visual hull, random, or a file of points or triangles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from ..photometric import decode_srgb, encode_srgb
from ..priors.geometry import align_geometry
from ..priors.point_files import MESH_SUFFIXES, sample_file
from ..sampling import project
from ..seam.errors import ConfigError, DatasetError
from ..seam.events import Listener, Stage, silent
from ..single.carved_surface import carved_surface
from ..single.guess import guess_surface
from ..single.layers import layers_of
from .config import FitConfig
from .hull import hull_surface, sample_picture, splat_sigma
from .scene import Scene

BACKDROP_PART = 0.4  # of the random start of a clip without masks
BACKDROP_RADII = (1.0, 4.0)
SINGLE_SIGMA = 0.35  # of the spacing, for points one pixel apart: the rasteriser adds its own blur

SPACING = 1.5  # pixels between a file's points that start a clip; more where max_gaussians is low


@dataclass(frozen=True, eq=False)
class Start:
    """Canonical Gaussians before the first step, in the normalised world."""

    means: Tensor  # [N, 3]
    colors: Tensor  # [N, 3] encoded, 0..1
    sigmas: Tensor  # [N]
    opacity: float  # 0..1


def start_gaussians(scene: Scene, config: FitConfig, listener: Listener = silent) -> Start:
    """Return the start that `config.init` names.

    Raises:
        ConfigError: the file cannot be read or has no points.
        DatasetError: a visual hull was asked for and the masks carve away everything, or a file
            does not resemble what a clip shows.
    """
    kind = config.init
    if kind == "auto":
        kind = "hull" if scene.has_alpha else "random"
        kind = "inflate" if scene.has_alpha and len(scene.views) == 1 else kind
    if kind == "inflate":
        return _start_inflated(scene, config)
    if kind == "hull":
        return _start_from_hull(scene, config.gaussians)
    if kind == "random":
        return _start_at_random(scene, config.gaussians)
    if scene.is_clip:
        return _start_aligned(Path(kind), scene, config, listener)
    return _start_from_file(Path(kind), scene, config.gaussians)


def _start_inflated(scene: Scene, config: FitConfig) -> Start:
    """Close a surface around the canonical frame's silhouette, or carve it where it turns."""
    view = scene.views[0]
    picture = scene.pictures[0][scene.middle]
    surface = None
    if scene.turn:
        pictures, most = scene.pictures[0], config.gaussians
        surface = carved_surface(pictures, view.camera, scene.turn, scene.middle, most=most)
    size = picture.shape[:2]
    layers = layers_of(scene.limbs, scene.middle, size) if scene.limbs else None
    surface = surface or guess_surface(
        picture,
        view.camera,
        thickness=config.thickness,
        back=config.back,
        layers=layers,
        slant=scene.slant,
        most=config.gaussians,
    )
    points = torch.from_numpy(surface.points).to(scene.device)
    sigmas = torch.full((len(points),), SINGLE_SIGMA * surface.spacing, device=scene.device)
    colors = torch.from_numpy(surface.colors).to(scene.device).clamp(0.02, 0.98)
    return Start(points, colors, sigmas, 0.92)


def _start_from_hull(scene: Scene, count: int) -> Start:
    if not scene.has_alpha:
        raise DatasetError(
            "A visual hull needs masks and the dataset has none; use init=random or add masks."
        )
    surface = hull_surface(scene, count)
    if surface is None:
        raise DatasetError(
            "The masks of the middle frame have no common volume; check the cameras and masks, "
            "or use init=random."
        )
    points, normals, area = surface
    sigmas = torch.full((count,), splat_sigma(area, count), device=points.device)
    return Start(points, _seen_colors(points, normals, scene), sigmas, 0.73)


def _start_at_random(scene: Scene, count: int) -> Start:
    inner = count if scene.has_alpha else count - int(BACKDROP_PART * count)
    direction = F.normalize(torch.randn(count, 3), dim=-1)
    distance = torch.rand(count) ** (1 / 3) * 0.8
    low, high = BACKDROP_RADII
    distance[inner:] = low * (high / low) ** torch.rand(count - inner)
    points = (direction * distance[:, None]).to(scene.device)
    sigmas = 0.9 * (distance.clamp_min(0.5) ** 3 / inner) ** (1 / 3)
    sigmas[inner:] = distance[inner:] * 0.12
    return Start(points, _seen_colors(points, None, scene), sigmas.to(scene.device), 0.2)


def _start_from_file(path: Path, scene: Scene, count: int) -> Start:
    _check_file(path)
    sampled = sample_file(path, count)
    normalised = torch.tensor((sampled.points - scene.center) / scene.radius, dtype=torch.float32)
    normalised = normalised.to(scene.device)
    if sampled.area > 0:
        sigma = splat_sigma(sampled.area / scene.radius**2, len(normalised))
    else:
        sigma = float(normalised.std(0).norm()) / len(normalised) ** 0.5
    sigmas = torch.full((len(normalised),), max(sigma, 1e-4), device=scene.device)
    if sampled.colors is None:
        tint = _seen_colors(normalised, None, scene)
    else:
        tint = torch.tensor(sampled.colors, dtype=torch.float32, device=scene.device)
    return Start(normalised, tint, sigmas, 0.73)


def _start_aligned(path: Path, scene: Scene, config: FitConfig, listener: Listener) -> Start:
    """Lay a file's geometry over what the clip's middle frame shows, about a point per pixel."""
    if not scene.has_alpha or scene.generated[0]:
        raise DatasetError(
            "A file to start from is laid over the clip's own object, and the clip has no masks "
            "or is held out; use init=random."
        )
    view, picture = scene.views[0], scene.pictures[0][scene.middle]
    _check_file(path)
    found = align_geometry(
        path, picture, view.camera, count=config.max_gaussians, listener=listener
    )
    overlap = f"{path.name} overlaps the middle frame by {found.iou:.2f} of 1"
    doubt = "; it may be another object or pose, look at the result" if found.doubtful else ""
    Stage(listener, "start", 1).update(1, overlap + doubt, iou=found.iou)
    pixel = float(view.position.norm() / view.K[0, 0])
    wanted = config.gaussians
    if not config.densify_times:  # else densification adds what is missing
        wanted = max(wanted, int(found.area / (SPACING * pixel) ** 2))
    points = torch.from_numpy(found.points[:wanted]).to(scene.device)
    sigma = splat_sigma(found.area, len(points)) if found.area > 0 else _spacing(found.points)
    sigmas = torch.full((len(points),), max(sigma, 1e-4), device=scene.device)
    if found.colors is None:
        colors = _seen_colors(points, None, scene)
    else:
        colors = torch.from_numpy(found.colors[:wanted]).to(scene.device).clamp(0.02, 0.98)
    return Start(points, colors, sigmas, 0.85)


def _spacing(points: np.ndarray) -> float:
    """Return a sigma for bare points: 0.6 of their mean distance from their nearest neighbour."""
    nearest = cKDTree(points).query(points, 2)[0][:, -1]
    return 0.6 * float(nearest.mean())


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise ConfigError(
            f"init cannot be {str(path)!r}; use auto, hull, random or a file ending in "
            f"{', '.join(MESH_SUFFIXES)}."
        )
    if not path.exists():
        raise ConfigError(f"init names {path}, which does not exist; check the path.")


def _seen_colors(points: Tensor, normals: Tensor | None, scene: Scene) -> Tensor:
    """Average the middle frame's colours over the views that face each point -> [N, 3] encoded."""
    total = torch.zeros(len(points), 3, device=points.device)
    weight = torch.full((len(points), 1), 1e-6, device=points.device)
    for index, view in enumerate(scene.views):
        if not scene.present[scene.middle, index]:
            continue
        picture = torch.from_numpy(scene.pictures[index][scene.middle]).to(points.device)
        picture = picture.float() / 255
        alpha = picture[..., 3:]
        light = torch.cat([decode_srgb(picture[..., :3].contiguous()) * alpha, alpha], -1)
        pixels, depth = project(points, view.camera)
        found = sample_picture(light, pixels) * (depth > 0)[:, None]
        facing = torch.ones_like(depth)
        if normals is not None:
            to_camera = F.normalize(view.position - points, dim=-1)
            facing = (to_camera * normals).sum(-1).clamp_min(0) ** 2
        total += found[:, :3] * facing[:, None]
        weight += found[:, 3:] * facing[:, None]
    return encode_srgb((total / weight).clamp(0, 1)).clamp(0.02, 0.98)
