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

Back = Literal["auto", "rim", "mirror"]

FRONT_THICKNESS = 1.0
SIDE_THICKNESS = 0.6
"""Depth against width: four legs, a body and a tail in profile are wider than they are deep."""
LEAST_HALF = 0.5
"""Half the depth of the thinnest part, in pixels."""


def guess_surface(
    picture: NDArray[np.uint8],
    camera: Camera,
    *,
    thickness: float = 0.0,
    back: Back = "auto",
    layers: Layers | None = None,
    most: int = 1 << 62,
) -> Surface:
    """Return a closed surface around what a picture [H, W, 4] shows, of at most `most` points.

    Args:
        thickness: depth of the shape against the width of its parts; 0 decides by the outline.
        back: what the far side looks like: the near one ("mirror"), or the outline's colours
            spread over it ("rim"); "auto" decides by the outline.
        layers: of the picture, what stands in front of the middle and behind it.
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
        surface = closed_surface(smaller, near, far, camera, mirrored_back=mirrored)
        if len(surface.points) <= most or min(width, height) < 16:
            return surface
        shrink = 0.98 * (most / len(surface.points)) ** 0.5  # points grow with the area
        width, height = int(width * shrink), int(height * shrink)
