# SPDX-License-Identifier: GPL-3.0-or-later
"""A closed surface around what one picture shows, as points with colours."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

from ..seam.cameras import Camera

FloatArray = NDArray[np.float32]
Mask = NDArray[np.bool_]

RIM = (1.0, 3.0)
"""Cells inside the outline whose colours spread over the back: the outermost is half background."""
SPREAD_ROUNDS = 300


@dataclass(frozen=True, eq=False)
class Surface:
    """N points of a closed surface."""

    points: FloatArray
    """[N, 3] world."""
    colors: FloatArray
    """[N, 3] encoded, 0..1."""
    spacing: float
    """Distance of neighbouring points, world units."""
    front: Mask
    """[N] whether a point faces the camera."""


def closed_surface(
    picture: NDArray[np.uint8],
    near: FloatArray,
    far: FloatArray,
    camera: Camera,
    *,
    mirrored_back: bool,
) -> Surface:
    """Return the surface of what lies between two depths.

    Args:
        picture: uint8 [H, W, 4] straight alpha, the camera's picture or a smaller copy of it.
        near, far: [H, W] where the shape begins and ends behind each pixel, in pixels at the
            origin from the plane through it, towards the camera negative; equal outside.
        camera: looks at the origin.
        mirrored_back: give the back the colours in front of it, as a subject seen from its side
            has; otherwise the outline's colours spread over it.
    """
    inside = far > near
    layers = int(np.ceil(max(-near.min(), far.max()))) + 1
    depth = np.arange(-layers, layers) + 0.5
    middle, half = (near + far)[..., None] / 2, np.maximum(far - near, 2.0)[..., None] / 2
    filled = (np.abs(depth - middle) <= half) & inside[..., None]
    shell = filled & ~ndi.binary_erosion(filled, ndi.generate_binary_structure(3, 1))
    rows, columns, layer = np.nonzero(shell)
    nearer = np.zeros_like(filled)
    nearer[..., 1:] = filled[..., :-1]
    farther = np.zeros_like(filled)
    farther[..., :-1] = filled[..., 1:]
    front, back = ~nearer[shell], ~farther[shell]
    begin, end = near[rows, columns], far[rows, columns]
    place = np.where(front, begin, np.where(back, end, depth[layer]))
    front_colors, back_colors = _colors(picture, inside)
    if mirrored_back:
        back_colors = front_colors
    behind = (place > (begin + end) / 2)[:, None]
    colors = np.where(behind, back_colors[rows, columns], front_colors[rows, columns])
    points, spacing = _unproject(rows, columns, place, picture.shape[1], camera)
    return Surface(points, colors.astype(np.float32), spacing, front)


def _unproject(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    place: FloatArray,
    width: int,
    camera: Camera,
) -> tuple[FloatArray, float]:
    """Place grid cells on their pixels' rays -> world points [N, 3], and a cell's world size."""
    shrink = camera.width / width
    distance = float(np.linalg.norm(camera.position))
    cell = distance / camera.K[0, 0] * shrink
    depth = distance + place * cell
    pixels = np.stack([(columns + 0.5) * shrink, (rows + 0.5) * shrink])
    return unproject(pixels, depth, camera), cell


def unproject(
    pixels: NDArray[np.floating], depth: NDArray[np.floating], camera: Camera
) -> FloatArray:
    """Return the world points [N, 3] at pixels [2, N], centres at +0.5, and depths [N]."""
    homogeneous = np.concatenate([pixels, np.ones((1, pixels.shape[1]))])
    local = np.linalg.solve(camera.K, homogeneous).T * depth[:, None]
    pose = camera.camtoworld
    return (local @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)


def _colors(picture: NDArray[np.uint8], inside: Mask) -> tuple[FloatArray, FloatArray]:
    """Return the colours [H, W, 3] of the front and of the back, 0..1, encoded."""
    colors = picture[..., :3].astype(np.float32) / 255
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    core = core if core.any() else inside
    # the outermost pixels are mixed with the background: take what lies inside of them
    nearest = ndi.distance_transform_edt(~core, return_distances=False, return_indices=True)
    clean = colors[nearest[0], nearest[1]]
    return clean, _spread_rim(clean, inside)


def _spread_rim(colors: FloatArray, inside: Mask) -> FloatArray:
    """Diffuse the colours along the outline into the inside."""
    depth = ndi.distance_transform_edt(inside)
    rim = inside & (depth > RIM[0]) & (depth <= RIM[1])
    if not rim.any():
        return colors
    nearest = ndi.distance_transform_edt(~rim, return_distances=False, return_indices=True)
    spread = colors[nearest[0], nearest[1]]
    free = (inside & ~rim)[..., None]
    for _ in range(SPREAD_ROUNDS):
        spread = np.where(free, cv2.blur(spread, (3, 3)), spread)
    return spread
