# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a subject that one picture shows, guessed, at a resolution that can be afforded."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..data.images import scale_down
from ..seam.cameras import Camera
from .inflate import half_thickness
from .layers import Layers, depth_bounds
from .outlook import seen_from_side
from .surface import Surface, closed_surface

FloatArray = NDArray[np.float32]
Back = Literal["auto", "rim", "mirror"]

FRONT_THICKNESS = 1.2
SIDE_THICKNESS = 0.6
"""Depth against width: from the front, noses, feet and backs hide in the outline; four legs, a body
and a tail in profile are wider than they are deep."""
LEAST_HALF = 0.5
"""Half the depth of the thinnest part, in pixels."""
REACH = 1.0
"""Pixels that drawn Gaussians reach beyond their centres.

The fit pulls those of the outline inside by as much, but no picture shows how deep the shape looks.
"""


def guess_surface(
    picture: NDArray[np.uint8],
    camera: Camera,
    *,
    thickness: float = 0.0,
    back: Back = "auto",
    layers: Layers | None = None,
    slant: float = 0.0,
    most: int = 1 << 62,
) -> Surface:
    """Return a closed surface around what a picture [H, W, 4] shows, of at most `most` points.

    Args:
        thickness: depth of the shape against the width of its parts; 0 decides by the outline.
        back: what the far side looks like: the near one ("mirror"), or the outline's colours
            spread over it ("rim"); "auto" decides by the outline.
        layers: of the picture, what stands in front of the middle and behind it.
        slant: by how much the plane of the middle gets farther away per length to the right.
    """
    side = seen_from_side(picture[..., 3] > 127)
    depth = thickness or (SIDE_THICKNESS if side else FRONT_THICKNESS)
    mirrored = side if back == "auto" else back == "mirror"
    width, height = camera.width, camera.height
    while True:
        smaller = scale_down(picture, width, height)
        half = half_thickness(smaller[..., 3] > 127) * np.float32(depth)
        half = np.where(half > 0, np.maximum(half, LEAST_HALF), 0).astype(np.float32)
        near, far = (-half, half) if layers is None else depth_bounds(half, layers, side)
        near, far = _placed(near, far, slant, camera)
        surface = closed_surface(smaller, near, far, camera, mirrored_back=mirrored)
        if len(surface.points) <= most or min(width, height) < 16:
            return surface
        shrink = 0.98 * (most / len(surface.points)) ** 0.5  # points grow with the area
        width, height = int(width * shrink), int(height * shrink)


def _placed(
    near: FloatArray, far: FloatArray, slant: float, camera: Camera
) -> tuple[FloatArray, FloatArray]:
    """Return where Gaussians begin and end [H, W] that look as deep as a shape, on its plane."""
    width = near.shape[1]
    cells = width / camera.width
    middle, half = (near + far) / 2, (far - near) / 2
    half = np.maximum(half - REACH * cells, np.minimum(half, LEAST_HALF))
    right = np.arange(width, dtype=np.float32) + 0.5 - np.float32(camera.K[0, 2] * cells)
    middle = np.where(half > 0, middle + np.float32(slant) * right, 0)
    return middle - half, middle + half
