# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface of a subject that turned before the camera, in the pose of the key frame."""

from __future__ import annotations

import cv2
import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..seam.cameras import Camera
from .carve import OPAQUE, SURFACE, Views, clip_views, grid, nearest_depths, votes
from .carve import REACH as CUBE
from .guess import guess_surface
from .surface import Surface
from .turn import Turn

FloatArray = NDArray[np.float32]
Cells = NDArray[np.bool_]

COARSE = 48
"""Cells along an edge of the cube, of which only those at the surface are divided."""
FACING = 4
"""Power of the cosine by which a frame counts for the colour of what faces it."""
SMOOTHING = 1.5
"""Cells over which the surface's direction is measured."""
LEAST_POINTS = 100
"""With fewer, nothing was carved."""


def carved_surface(
    pictures: NDArray[np.uint8], camera: Camera, turn: Turn, key: int, *, most: int = 1 << 62
) -> Surface | None:
    """Return what the outlines of a turning subject, uint8 [T, H, W, 4], leave of space.

    It has the pose and the outline of frame `key`: what moves too much to be carved there is
    guessed from that frame alone. About a point per pixel, at most `most`; None where nothing is
    left.
    """
    width = camera.width
    while True:
        views = clip_views(pictures, camera, width)
        filled, cell, low = _carve(views, turn, key)
        shell = filled & ~ndi.binary_erosion(filled, ndi.generate_binary_structure(3, 1))
        count = int(shell.sum())
        if count < LEAST_POINTS:
            return None
        if count <= most or width < 16:
            break
        width = int(width * 0.98 * (most / count) ** 0.5)
    points = (low + (np.argwhere(shell) + 0.5) * cell).astype(np.float32)
    smooth = ndi.gaussian_filter(filled.astype(np.float32), SMOOTHING)
    outward = -np.stack([slope[shell] for slope in np.gradient(smooth)], 1)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9
    colors = _colors(points, outward, cell, views, turn)
    front = (outward * (camera.position - points)).sum(1) > 0
    carved = Surface(points, colors, cell, front)
    return _completed(carved, pictures[key], camera, views, turn, key, most)


def _carve(views: Views, turn: Turn, key: int) -> tuple[Cells, float, FloatArray]:
    """Return filled cells [X, Y, Z] a pixel wide, their size, and the corner of the first."""
    coarse = (votes(grid(COARSE), views, turn)).reshape(COARSE, COARSE, COARSE)
    near = ndi.binary_dilation(coarse >= 0.7 * turn.kept, np.ones((3, 3, 3)))
    deep = ndi.binary_erosion(coarse >= turn.kept, np.ones((3, 3, 3)))
    cell = views.pixel
    size = 2 * CUBE / COARSE
    occupied = np.argwhere(near)
    if not len(occupied):
        return np.zeros((1, 1, 1), bool), cell, np.zeros(3, np.float32)
    low = (occupied.min(0) * size - CUBE).astype(np.float32)
    high = (occupied.max(0) + 1) * size - CUBE
    shape = np.ceil((high - low) / cell).astype(int)
    axes = [low[i] + (np.arange(shape[i]) + 0.5) * cell for i in range(3)]
    parents = [np.floor((axis + CUBE) / size).astype(int).clip(0, COARSE - 1) for axis in axes]
    filled: Cells = deep[np.ix_(*parents)]
    asked = near[np.ix_(*parents)] & ~filled
    places = np.argwhere(asked)
    points = (low + (places + 0.5) * cell).astype(np.float32)
    filled[tuple(places.T)] = votes(points, views, turn) >= turn.kept
    # what the key frame does not show is not there in its pose
    places = np.argwhere(filled)
    seen = views.see((low + (places + 0.5) * cell).astype(np.float32), turn, key)
    outside = views.alphas[key, seen.rows, seen.columns] <= 0.5
    filled[tuple(places[outside].T)] = False
    return filled, cell, low


def _colors(
    points: FloatArray, outward: FloatArray, cell: float, views: Views, turn: Turn
) -> FloatArray:
    """Return the colours [N, 3] that the frames which points face show there."""
    sums = np.zeros((len(points), 3))
    weights = np.full(len(points), 1e-9)
    for frame, alpha in enumerate(views.alphas):
        seen = views.see(points, turn, frame)
        depths = cv2.erode(nearest_depths(seen, alpha.shape), np.ones((3, 3), np.uint8))
        matrix, offset = turn.at(frame)
        rays = views.camera.position - (points @ matrix.T + offset)
        facing = (rays * (outward @ matrix.T)).sum(1) / np.linalg.norm(rays, axis=1)
        weight = np.maximum(facing, 0) ** FACING
        weight *= seen.depths < depths[seen.rows, seen.columns] + SURFACE * cell
        weight *= alpha[seen.rows, seen.columns] > OPAQUE
        sums += weight[:, None] * views.colors[frame, seen.rows, seen.columns]
        weights += weight
    known = weights > 1e-3
    colors = (sums / weights[:, None]).astype(np.float32)
    if known.any():
        nearest = cKDTree(points[known]).query(points[~known])[1]
        colors[~known] = colors[known][nearest]
    return colors


def _completed(
    carved: Surface,
    picture: NDArray[np.uint8],
    camera: Camera,
    views: Views,
    turn: Turn,
    key: int,
    most: int,
) -> Surface:
    """Add what the key frame shows and the carved shape lacks, inflated from its outline."""
    shape = views.alphas.shape[1:]
    bare = np.isfinite(nearest_depths(views.see(carved.points, turn, key), shape))
    covered = cv2.dilate(bare.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    room = most - len(carved.points)
    guessed = guess_surface(picture, camera, most=most)
    seen = views.see(guessed.points, turn, key)
    missing = np.flatnonzero(~covered[seen.rows, seen.columns])[: max(0, room)]
    return Surface(
        np.concatenate([carved.points, guessed.points[missing]]),
        np.concatenate([carved.colors, guessed.colors[missing]]),
        carved.spacing,
        np.concatenate([carved.front, guessed.front[missing]]),
    )
