# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw a 3D view that shows an asset, without a window: docs/images/panel/viewport.png.

    PYTHONPATH=. .nox/blender-5.2/bin/python docs/demo/viewport_picture.py clip.ds4d

Blender 5.2 or later (gpu.init); the view is the scene camera's, shaded as "Rendered".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bpy
import gpu
import numpy as np

from ds4d_blender.importer import import_asset

WIDTH, HEIGHT = 600, 420
TARGET = Path(__file__).resolve().parents[1] / "images" / "panel" / "viewport.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("asset", type=Path)
    parser.add_argument("--frame", type=int, default=10, help="of the scene; default: 10")
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    gpu.init()
    bpy.ops.wm.read_factory_settings()
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    import_asset(options.asset, set_scene_time=True, set_resolution=True)
    bpy.context.scene.frame_set(options.frame)
    save(view(), options.output)
    print(f"wrote {options.output}")


def view() -> np.ndarray:
    """Return what the scene's camera shows in a 3D view, float32 [H, W, 4], bottom row first."""
    scene, layer = bpy.context.scene, bpy.context.view_layer
    screen = bpy.data.screens["Layout"]
    area = next(area for area in screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    space = area.spaces[0]
    space.shading.type = "RENDERED"
    camera, depsgraph = scene.camera, bpy.context.evaluated_depsgraph_get()
    projection = camera.calc_matrix_camera(depsgraph, x=WIDTH, y=HEIGHT)
    screenless = gpu.types.GPUOffScreen(WIDTH, HEIGHT)
    with bpy.context.temp_override(screen=screen, area=area, region=region):
        screenless.draw_view3d(
            *(scene, layer, space, region, camera.matrix_world.inverted(), projection),
            do_color_management=True,
        )
        pixels = np.array(screenless.texture_color.read().to_list(), np.float32)
    return pixels / 255 if pixels.max() > 2 else pixels


def save(pixels: np.ndarray, path: Path) -> None:
    image = bpy.data.images.new("view", WIDTH, HEIGHT)
    image.pixels.foreach_set(pixels.ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()


if __name__ == "__main__":
    main()
