# SPDX-License-Identifier: GPL-3.0-or-later
"""See what Blender makes of an object: the splats it evaluates, the pixels it renders."""

from __future__ import annotations

import ctypes.util
import os
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from numpy.typing import NDArray

from ds4d_blender.point_cloud import attribute_values

Array = NDArray[np.float64]


def played(target: bpy.types.Object) -> dict[str, NDArray[np.float32]]:
    """Return the attributes of the splats at the current time, before they are drawn."""
    drawing = target.modifiers["DS4D Draw"]
    drawing.show_viewport = False
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    geometry = target.evaluated_get(depsgraph).evaluated_geometry()
    cloud = geometry.pointcloud
    values = {
        attribute.name: attribute_values(cloud, attribute.name) for attribute in cloud.attributes
    }
    drawing.show_viewport = True
    return values


def drawn(target: bpy.types.Object) -> bpy.types.Mesh:
    """Return a copy of the mesh that draws the splats in the viewport's evaluation."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    geometry = target.evaluated_get(depsgraph).evaluated_geometry()  # owns the mesh
    return geometry.mesh.copy()


def rendered(scene: bpy.types.Scene, folder: Path) -> Array:
    """Render the current frame; return linear, premultiplied RGBA [H,W,4], top row first."""
    settings = scene.render.image_settings
    settings.file_format = "OPEN_EXR"
    settings.color_mode = "RGBA"
    settings.color_depth = "32"
    scene.render.filepath = str(folder / "render.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath, check_existing=False)
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1].astype(np.float64)


def need_eevee() -> None:
    """Skip a test where EEVEE cannot draw; fail it in CI, which must not skip it."""
    if sys.platform == "linux" and ctypes.util.find_library("EGL") is None:
        lack = "EEVEE needs a graphics driver: install libegl1 and libgl1-mesa-dri"
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            pytest.fail(lack)
        pytest.skip(lack)


def slerp(a: Array, b: Array, factor: float) -> Array:
    """Interpolate unit quaternions [N,4] along the shorter arc."""
    cosine = (a * b).sum(axis=1, keepdims=True)
    b = np.where(cosine < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.maximum(np.sin(angle), 1e-12)
    arc = (np.sin((1 - factor) * angle) * a + np.sin(factor * angle) * b) / sine
    mixed = np.where(angle < 1e-7, a, arc)
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def same_rotation_error(a: Array, b: Array) -> float:
    """Return the largest difference of quaternions [N,4], of which q and -q are the same."""
    return float(np.minimum(np.abs(a - b).max(axis=1), np.abs(a + b).max(axis=1)).max())
