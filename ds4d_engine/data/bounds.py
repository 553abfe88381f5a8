# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in the world a dataset's object or room lies, from its cameras and masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..seam.cameras import Camera
from ..seam.errors import DatasetError
from .dataset import Dataset

MARGIN = 1.05
OPAQUE_FROM = 10  # of 255: fainter alpha is a mask's noise
# Smallest eigenvalue of the mean of (1 - d d^T): axes closer to parallel than about 3 degrees
# leave the depth of their common point to chance.
MIN_SPREAD = 1e-3


def scene_bounds(dataset: Dataset) -> tuple[NDArray[np.float64], float]:
    """Return the centre [3] and radius of a sphere around what the training cameras look at.

    With alpha: the sphere that holds every opaque pixel of every frame, from the rays through
    the middle of each camera's silhouettes. Without: the point nearest to all optical axes, and
    the median over cameras of the largest sphere around it that lies inside the frustum.
    Raises DatasetError when the cameras' axes do not meet in front of them.
    """
    views = dataset.train
    boxes: list[NDArray[np.float64]] = []
    if dataset.has_alpha:
        found = {v: _opaque_box(dataset, v) for v in views}
        views = [v for v in views if found[v] is not None]
        boxes = [box for box in found.values() if box is not None]
    cameras = [dataset.cameras[v] for v in views]
    if not cameras:
        raise DatasetError(f"No training camera of {dataset.name} shows an opaque pixel.")
    if boxes:
        aims = [_ray(c, (b[0] + b[1]) / 2) for c, b in zip(cameras, boxes, strict=True)]
    else:
        aims = [camera.camtoworld[:3, 2] for camera in cameras]
    center = _nearest_point(cameras, aims, dataset.name)
    distances = np.array([np.linalg.norm(center - camera.position) for camera in cameras])
    if boxes:
        angles = [_silhouette_angle(c, b, center) for c, b in zip(cameras, boxes, strict=True)]
        return center, float((distances * np.sin(angles)).max() * MARGIN)
    angles = [_inscribed_angle(camera) for camera in cameras]
    return center, float(np.median(distances * np.sin(angles)))


def _opaque_box(dataset: Dataset, view: int) -> NDArray[np.float64] | None:
    """The pixel box [[left, top], [right, bottom]] of all that is ever opaque, or None."""
    pictures = dataset.images[view]
    ever = np.zeros(pictures.shape[1:3], bool)
    for t in np.flatnonzero(dataset.present[:, view]):
        ever |= pictures[t][..., 3] >= OPAQUE_FROM
    rows, columns = np.flatnonzero(ever.any(1)), np.flatnonzero(ever.any(0))
    if not len(rows):
        return None
    return np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]], np.float64)


def _ray(camera: Camera, pixel: NDArray[np.float64]) -> NDArray[np.float64]:
    local = np.linalg.solve(camera.K, [*pixel, 1.0])
    direction: NDArray[np.float64] = camera.viewmat[:3, :3].T @ local
    return direction / np.linalg.norm(direction)


def _nearest_point(
    cameras: Sequence[Camera], aims: Sequence[NDArray[np.float64]], name: str
) -> NDArray[np.float64]:
    """The point with the least squared distance to all rays."""
    # |x - p|^2 without its part along d, summed over the rays: the normal equations are 3x3.
    projectors = np.array([np.eye(3) - np.outer(d, d) for d in aims])
    positions = np.array([camera.position for camera in cameras])
    if np.linalg.eigvalsh(projectors.mean(0))[0] < MIN_SPREAD:
        raise DatasetError(
            f"The cameras of {name} look along nearly parallel lines, so their common point is "
            "unknown; add a camera from another side."
        )
    center = np.linalg.solve(projectors.sum(0), np.einsum("nij,nj->i", projectors, positions))
    depths = np.array([d @ (center - p) for d, p in zip(aims, positions, strict=True)])
    if (depths <= 0).any():
        behind = cameras[int(np.argmin(depths))].name
        raise DatasetError(
            f"Camera {behind!r} of {name} looks away from what the others see; check its pose."
        )
    return np.asarray(center, dtype=np.float64)


def _silhouette_angle(
    camera: Camera, box: NDArray[np.float64], center: NDArray[np.float64]
) -> float:
    """The widest angle between the centre and the middle of a side of the silhouettes' box."""
    toward = center - camera.position
    toward = toward / np.linalg.norm(toward)
    middle = (box[0] + box[1]) / 2
    edges = [(box[0, 0], middle[1]), (box[1, 0], middle[1])]
    edges += [(middle[0], box[0, 1]), (middle[0], box[1, 1])]
    cosines = [_ray(camera, np.array(edge)) @ toward for edge in edges]
    return float(np.arccos(np.clip(min(cosines), -1.0, 1.0)))


def _inscribed_angle(camera: Camera) -> float:
    """The half angle of the narrower side of the frustum."""
    tangent = min(
        camera.K[0, 2] / camera.K[0, 0],
        (camera.width - camera.K[0, 2]) / camera.K[0, 0],
        camera.K[1, 2] / camera.K[1, 1],
        (camera.height - camera.K[1, 2]) / camera.K[1, 1],
    )
    return float(np.arctan(max(tangent, 0.05)))
