# SPDX-License-Identifier: GPL-3.0-or-later
"""Where generated views are seen from: published sets of cameras, and lists that a user writes.

Azimuth and elevation are degrees in the world of `ds4d_engine.data.orbit`: the input camera stands
at azimuth 0 and elevation 0, positive azimuth is to its right, positive elevation above. A radius
counts in the world's unit (the input camera stands 2 away), a field of view is vertical.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..data.orbit import INPUT_FOVY_DEGREES, INPUT_RADIUS, orbit_camera
from ..seam.cameras import Camera
from ..seam.errors import ConfigError


@dataclass(frozen=True)
class ViewAngle:
    """One generated view: degrees, world units, degrees."""

    azimuth: float
    elevation: float
    radius: float = INPUT_RADIUS
    fovy: float = INPUT_FOVY_DEGREES

    @property
    def name(self) -> str:
        """The camera's name, such as "az30_el+30"."""
        return f"az{self.azimuth % 360:.4g}_el{self.elevation:+.4g}"


@dataclass(frozen=True)
class CameraSet:
    """A set of views, and whether its pictures keep the size that the object has in the input.

    Where they do not (the model frames every object alike), `ViewOptions.scale` "preset" measures
    the factor; where they do, it is 1.
    """

    angles: tuple[ViewAngle, ...]
    follows_input: bool


def same_size_radius(fovy_degrees: float) -> float:
    """Return the radius at which a lens shows as much of the world as the input camera does."""
    half = math.tan(math.radians(INPUT_FOVY_DEGREES) / 2)
    return INPUT_RADIUS * half / math.tan(math.radians(fovy_degrees) / 2)


def _orbit(azimuths: Sequence[float], elevations: Sequence[float], fovy: float) -> CameraSet:
    radius = same_size_radius(fovy)
    return CameraSet(
        tuple(
            ViewAngle(azimuth, elevations[i % len(elevations)], radius, fovy)
            for i, azimuth in enumerate(azimuths)
        ),
        follows_input=fovy == INPUT_FOVY_DEGREES,
    )


_SIXTHS = (30, 90, 150, 210, 270, 330)
SV4D_FOVY = 33.8
PRESETS: dict[str, CameraSet] = {
    "zero123plus-1.1": _orbit(_SIXTHS, (30, -20), INPUT_FOVY_DEGREES),
    "zero123plus-1.2": _orbit(_SIXTHS, (20, -10), 30.0),
    # Every 360/21 degrees SV3D has a view; SV4D keeps these eight beside the input.
    "sv4d-orbit": _orbit([i * 360 / 21 for i in (2, 5, 7, 9, 12, 14, 16, 19)], (0,), SV4D_FOVY),
    "sv4d2": _orbit((60, 120, 180, 240), (0,), SV4D_FOVY),
    "sv4d2-8views": _orbit((30, 75, 120, 165, 210, 255, 300, 330), (0,), SV4D_FOVY),
}
"""Sources: docs/views.md."""


def parse_cameras(text: str) -> CameraSet:
    """Read the name of a preset, or "azimuth,elevation[,radius[,fovy]];..." in view order.

    Raises:
        ConfigError: unknown name, a number that is none, an impossible lens, or two equal views.
    """
    if text in PRESETS:
        return PRESETS[text]
    if not re.fullmatch(r"[-+0-9.,;\s]+", text):
        raise ConfigError(
            f"There is no set of view cameras {text!r}; use {', '.join(PRESETS)} or a list such "
            "as '30,20;90,-10' of azimuth,elevation[,radius[,field of view]] in degrees."
        )
    angles = tuple(_parse_angle(part) for part in text.split(";") if part.strip())
    names = [angle.name for angle in angles]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"Two view cameras have the same angles ({twice[0]}); leave one out.")
    if not angles:
        raise ConfigError("The list of view cameras is empty; give at least azimuth,elevation.")
    return CameraSet(angles, follows_input=True)


def cameras_of(angles: Sequence[ViewAngle], size: int) -> list[Camera]:
    """Return the cameras that took pictures of `size` x `size` pixels."""
    return [
        orbit_camera(
            angle.name,
            size,
            azimuth_degrees=angle.azimuth,
            elevation_degrees=angle.elevation,
            radius=angle.radius,
            fovy_degrees=angle.fovy,
        )
        for angle in angles
    ]


def _parse_angle(text: str) -> ViewAngle:
    words = [word.strip() for word in text.split(",")]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if not 2 <= len(numbers) <= 4:
        raise ConfigError(
            f"{text.strip()!r} is no view camera; write azimuth,elevation[,radius[,fov]] in "
            "degrees, with the radius of the input camera being 2."
        )
    azimuth, elevation = numbers[:2]
    fovy = numbers[3] if len(numbers) > 3 else INPUT_FOVY_DEGREES
    if not 0 < fovy < 180 or not -90 < elevation < 90:
        raise ConfigError(
            f"The view camera {text.strip()!r} is impossible; elevation lies between -90 and 90, "
            "the field of view between 0 and 180 degrees."
        )
    radius = numbers[2] if len(numbers) > 2 else INPUT_RADIUS
    if radius <= 0:
        raise ConfigError(f"The view camera {text.strip()!r} needs a radius above zero.")
    return ViewAngle(azimuth, elevation, radius, fovy)
