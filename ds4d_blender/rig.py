# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera rigs: where the cameras of a capture stand.

`Dome` and `Orbit` surround a bounding sphere with cameras of their own; `SceneCameras` uses
cameras that are already in the scene. Matrices here are Blender's camera-to-world matrices: the
camera looks along its -Z, its +Y is up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix, Vector

from .seam import errors

DOME_ELEVATIONS_DEGREES = (10.0, 30.0, -10.0)
DOME_HELD_OUT_DEGREES = ((45.0, 15.0), (195.0, 20.0))
FRAMING_MARGIN = 1.02


@dataclass(frozen=True)
class Sphere:
    """The sphere that holds the subject at every time of the capture, in world units."""

    centre: tuple[float, float, float]
    radius: float


@dataclass(frozen=True)
class Placement:
    """One camera of a surrounding rig: its name, split and 4x4 camera-to-world matrix."""

    name: str
    split: str
    camtoworld: Matrix


@dataclass(frozen=True)
class _Surround:
    """A rig of equal cameras that look at the centre of the subject from outside its sphere."""

    count: int = 12
    held_out: tuple[tuple[float, float], ...] = DOME_HELD_OUT_DEGREES
    fov_degrees: float = 35.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise errors.ConfigError("A rig needs at least one training camera.")
        if not 1.0 <= self.fov_degrees <= 120.0:
            raise errors.ConfigError(
                "The field of view of a rig must lie between 1 and 120 degrees."
            )

    def directions(self) -> list[tuple[float, float]]:
        """Return (azimuth, elevation) in degrees of every training camera."""
        raise NotImplementedError

    def distance(self, sphere: Sphere) -> float:
        """Return how far the cameras stand from the centre so that the whole sphere is seen."""
        return FRAMING_MARGIN * sphere.radius / math.sin(math.radians(self.fov_degrees) / 2)

    def placements(self, sphere: Sphere) -> list[Placement]:
        """Return the training cameras, then the held-out ones."""
        distance = self.distance(sphere)
        train = [
            Placement(f"train_{i:02d}", "train", look_at(sphere.centre, distance, *angles))
            for i, angles in enumerate(self.directions())
        ]
        test = [
            Placement(f"test_{i:02d}", "test", look_at(sphere.centre, distance, *angles))
            for i, angles in enumerate(self.held_out)
        ]
        return train + test


@dataclass(frozen=True)
class Dome(_Surround):
    """Cameras all around, their elevations in turn a little above, high and below the middle."""

    def directions(self) -> list[tuple[float, float]]:
        heights = DOME_ELEVATIONS_DEGREES
        return [(360.0 * i / self.count, heights[i % len(heights)]) for i in range(self.count)]


@dataclass(frozen=True)
class Orbit(_Surround):
    """Cameras on one circle around the subject."""

    elevation_degrees: float = 15.0

    def directions(self) -> list[tuple[float, float]]:
        return [(360.0 * i / self.count, self.elevation_degrees) for i in range(self.count)]


@dataclass(frozen=True)
class SceneCameras:
    """Cameras that are already in the scene, exactly as they stand: lens, sensor, shift, motion.

    `train` and `test` name camera objects. Without `train`, every camera of the scene that
    `test` does not name is a training camera.
    """

    train: Sequence[str] = ()
    test: Sequence[str] = ()

    def objects(self, scene: bpy.types.Scene) -> list[tuple[bpy.types.Object, str]]:
        """Return (camera object, split) of the named cameras, the training cameras first.

        Raises ConfigError for a name that is no camera of the scene and for a scene without any.
        """
        cameras = {o.name: o for o in scene.objects if o.type == "CAMERA"}
        missing = [n for n in (*self.train, *self.test) if n not in cameras]
        if missing:
            known = ", ".join(sorted(cameras)) or "none"
            raise errors.ConfigError(
                f"The scene has no camera named {', '.join(missing)}; its cameras: {known}."
            )
        train = list(self.train) or [n for n in cameras if n not in self.test]
        if not train:
            raise errors.ConfigError(
                "The scene has no camera to train on: add one, or use a dome or orbit."
            )
        pairs = [(cameras[n], "train") for n in train]
        return pairs + [(cameras[n], "test") for n in self.test]


Rig = Dome | Orbit | SceneCameras


def look_at(
    centre: Sequence[float], distance: float, azimuth_degrees: float, elevation_degrees: float
) -> Matrix:
    """Return the camera-to-world matrix of a camera that looks at `centre` from `distance`.

    Azimuth 0 stands at -Y, which is Blender's front, and grows counter-clockwise seen from above.
    """
    azimuth = math.radians(azimuth_degrees) - math.pi / 2
    elevation = math.radians(elevation_degrees)
    outwards = Vector(
        (
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        )
    )
    rotation = (-outwards).to_track_quat("-Z", "Y").to_matrix().to_4x4()
    return Matrix.Translation(Vector(centre) + distance * outwards) @ rotation


def camtoworld(camera: bpy.types.Object) -> np.ndarray:
    """Return the 4x4 camera-to-world matrix a render uses: Blender ignores a camera's scale."""
    location, rotation, _ = camera.matrix_world.decompose()
    return np.array(Matrix.Translation(location) @ rotation.to_matrix().to_4x4(), dtype=np.float64)


def intrinsics(
    camera: bpy.types.Object, depsgraph: bpy.types.Depsgraph, width: int, height: int
) -> np.ndarray:
    """Return K [3,3] in pixels (x right, y down, pixel centres at +0.5), sensor shift included.

    Raises ConfigError for orthographic and panoramic cameras.
    """
    if camera.data.type != "PERSP":
        raise errors.ConfigError(
            f"The camera {camera.name} is not a perspective camera: change its lens type to "
            "Perspective or leave it out."
        )
    gl = np.array(camera.calc_matrix_camera(depsgraph, x=width, y=height), dtype=np.float64)
    return np.array(
        [
            [gl[0, 0] * width / 2, 0.0, (1.0 - gl[0, 2]) * width / 2],
            [0.0, gl[1, 1] * height / 2, (1.0 + gl[1, 2]) * height / 2],
            [0.0, 0.0, 1.0],
        ]
    )
