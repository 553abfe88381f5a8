# SPDX-License-Identifier: GPL-3.0-or-later
"""The space that the outlines of a turning subject leave, and how well it explains the pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.images import scale_down
from ..seam.cameras import Camera
from .turn import Turn

FloatArray = NDArray[np.float32]
Floats = NDArray[np.float64]
REACH = 0.95
"""Half the side of the cube, in world units, that holds a subject wherever it turns."""
SURFACE = 2.5
"""Cells behind the nearest one that still belong to the surface a camera sees."""
LEAST_SEEN = 3
"""Frames that must show a point before its colours are compared."""
OPAQUE = 0.9
"""Coverage of a pixel whose colour is the subject's alone."""


class Seen(NamedTuple):
    """Where points [N] are in a frame's picture."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    depths: FloatArray


@dataclass(frozen=True, eq=False)
class Views:
    """The pictures of a clip at some resolution, and the camera that took them."""

    colors: FloatArray
    """[T, H, W, 3] encoded, 0..1."""
    alphas: FloatArray
    """[T, H, W] 0..1."""
    camera: Camera

    @property
    def pixel(self) -> float:
        """The size of a pixel at the origin, world units."""
        return float(np.linalg.norm(self.camera.position) / self.camera.K[0, 0])

    def see(self, points: FloatArray, turn: Turn, frame: int) -> Seen:
        """Return where the camera sees canonical points [N, 3] in a frame."""
        matrix, offset = turn.at(frame)
        pose = self.camera.viewmat
        rotation = (pose[:3, :3] @ matrix).astype(np.float32)
        local = points @ rotation.T + (pose[:3, :3] @ offset + pose[:3, 3]).astype(np.float32)
        K = self.camera.K.astype(np.float32)
        depths = np.maximum(local[:, 2], 1e-3)
        height, width = self.alphas.shape[1:]
        columns = (K[0, 0] * local[:, 0] / depths + K[0, 2]).astype(np.int64).clip(0, width - 1)
        rows = (K[1, 1] * local[:, 1] / depths + K[1, 2]).astype(np.int64).clip(0, height - 1)
        return Seen(rows, columns, depths)


def clip_views(pictures: NDArray[np.uint8], camera: Camera, width: int) -> Views:
    """Return a clip, uint8 [T, H, W, 4] straight alpha, scaled to a width."""
    height = round(camera.height * width / camera.width)
    small = np.stack([scale_down(picture, width, height) for picture in pictures])
    K = camera.K * np.array([[width / camera.width], [height / camera.height], [1.0]])
    values: FloatArray = small.astype(np.float32) / np.float32(255)
    scaled = replace(camera, K=K, width=width, height=height)
    return Views(values[..., :3], values[..., 3], scaled)


def grid(resolution: int) -> FloatArray:
    """Return the centres [resolution^3, 3] of the cube's cells."""
    axis = ((np.arange(resolution) + 0.5) / resolution * 2 - 1) * REACH
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3).astype("f4")


def votes(points: FloatArray, views: Views, turn: Turn) -> FloatArray:
    """Return the part 0..1 [N] of all frames in whose outlines points [N, 3] lie."""
    inside = np.zeros(len(points), np.int32)
    opaque = views.alphas > 0.5
    for frame in range(len(opaque)):
        seen = views.see(points, turn, frame)
        inside += opaque[frame, seen.rows, seen.columns]
    return (inside / len(opaque)).astype(np.float32)


def nearest_depths(seen: Seen, shape: tuple[int, int]) -> FloatArray:
    """Return the depth [H, W] of the nearest point around each pixel; inf where there is none."""
    depths = np.full(shape, np.inf, np.float32)
    np.minimum.at(depths, (seen.rows, seen.columns), seen.depths)
    return depths


def explained(points: FloatArray, cell: float, views: Views, turn: Turn) -> tuple[float, float]:
    """Return how well points [N, 3], `cell` apart, explain the pictures of a clip.

    Returns:
        The mean IoU of their outlines with those of the pictures, and the part of the variance of
        all visible colours that lies between points, not within one: 1 if every point keeps its
        colour.
    """
    overlaps = []
    count = np.zeros(len(points))
    sums, squares = np.zeros((len(points), 3)), np.zeros(len(points))
    kernel = np.ones((3, 3), np.uint8)
    for frame, alpha in enumerate(views.alphas):
        seen = views.see(points, turn, frame)
        bare = nearest_depths(seen, alpha.shape)
        depths = cv2.erode(bare, kernel)
        covered = cv2.erode(np.isfinite(depths).astype(np.uint8), kernel) > 0
        covered |= np.isfinite(bare)
        outline = alpha > 0.5
        overlaps.append((covered & outline).sum() / max(1, (covered | outline).sum()))
        near = seen.depths < depths[seen.rows, seen.columns] + SURFACE * cell
        near &= alpha[seen.rows, seen.columns] > OPAQUE
        found = views.colors[frame, seen.rows[near], seen.columns[near]]
        count[near] += 1
        sums[near] += found
        squares[near] += np.square(found).sum(1)
    return float(np.mean(overlaps)), _between(count, sums, squares)


def _between(count: Floats, sums: Floats, squares: Floats) -> float:
    """Return the part of the colours' variance that lies between points."""
    enough = count >= LEAST_SEEN
    if not enough.any():
        return 0.0
    count, sums = count[enough], sums[enough]
    total = squares[enough].sum()
    means = np.square(sums).sum(1) / count
    whole = np.square(sums.sum(0)).sum() / count.sum()
    return float((means.sum() - whole) / max(total - whole, 1e-9))
