# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn an asset's calibrated cameras into Blender cameras."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import mathutils
import numpy as np

from .seam import Camera

SENSOR_WIDTH_MM = 36.0
# The engine's near plane: nothing it draws may be clipped away.
CLIP_START = 0.01
CLIP_END = 10_000.0

# OpenCV looks along +z with y down, Blender along -z with y up.
_OPENCV_TO_BLENDER = np.diag([1.0, -1.0, -1.0, 1.0])


def add_cameras(
    cameras: Sequence[Camera], collection: bpy.types.Collection
) -> list[bpy.types.Object]:
    """Add one camera object per camera, with its exact pose and intrinsics.

    Resolution and pixel shape belong to the scene in Blender: `use_camera` sets them.
    """
    return [_add_camera(camera, collection) for camera in cameras]


def use_camera(scene: bpy.types.Scene, camera: bpy.types.Object) -> None:
    """Look through an imported camera at its own resolution and pixel shape."""
    render = scene.render
    scene.camera = camera
    render.resolution_x = camera["ds4d_width"]
    render.resolution_y = camera["ds4d_height"]
    render.resolution_percentage = 100
    aspect = camera["ds4d_pixel_aspect"]  # Blender takes no aspect below 1
    render.pixel_aspect_x = max(1.0, 1.0 / aspect)
    render.pixel_aspect_y = max(1.0, aspect)


def _add_camera(camera: Camera, collection: bpy.types.Collection) -> bpy.types.Object:
    data = bpy.data.cameras.new(camera.name)
    (fx, _, cx), (_, fy, cy), _ = camera.K
    # Height of a pixel over its width, as the focal lengths in pixels imply it.
    aspect = fx / fy
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_WIDTH_MM
    data.lens = fx * SENSOR_WIDTH_MM / camera.width
    data.shift_x = 0.5 - cx / camera.width
    data.shift_y = (cy - camera.height / 2) * aspect / camera.width
    data.clip_start = CLIP_START
    data.clip_end = CLIP_END
    view = bpy.data.objects.new(camera.name, data)
    view.matrix_world = mathutils.Matrix((camera.camtoworld @ _OPENCV_TO_BLENDER).tolist())
    view["ds4d_width"] = camera.width
    view["ds4d_height"] = camera.height
    view["ds4d_pixel_aspect"] = float(aspect)
    view["ds4d_split"] = camera.split
    collection.objects.link(view)
    return view
