# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's side of drawing.py, run by Blender's Python: `import PLAN`, then `render PLAN`.

`render` runs in a process of its own that cannot import the add-on: the saved file is all it has.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy
import mathutils
import numpy as np


def import_all(plan: dict[str, Any]) -> None:
    """Save one .blend for every drawing, set of assets and engine."""
    sys.path.insert(0, plan["repository"])
    from benchmarks.rivals import RIVALS, draw_as
    from ds4d_blender.importer import import_asset
    from ds4d_blender.rendering import setup_render
    from ds4d_blender.together import draw_together

    for path in sorted({blend_path(plan, case) for case in plan["cases"]}):
        cases = [case for case in plan["cases"] if blend_path(plan, case) == path]
        case = cases[0]
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        targets = [
            import_asset(Path(plan["folder"]) / f"{name}.ds4d", set_scene_time=index == 0)
            for index, name in enumerate(case["assets"])
        ]
        scene.render.resolution_x, scene.render.resolution_y = case["view"]["size"]
        if len(targets) > 1:
            targets[1].matrix_world = mathutils.Matrix(plan["moved"])
        setup_render(scene, case["engine"], samples=case["samples"])
        # There is no world, yet EEVEE would draw maps of the shadows of its sun.
        scene.eevee.use_shadows = False
        if case["drawing"] in RIVALS:
            draw_as(targets[0], case["drawing"])
        if case["drawing"] == "Splats together":
            draw_together(targets, scene.collection)
        if case["drawing"] == "Soft Points":
            hold_soft_points(plan, targets[0])
        for same in cases:
            add_camera(scene, same["view"])
        scene.camera = bpy.data.objects[case["view"]["name"]]
        bpy.ops.wm.save_as_mainfile(filepath=str(path))


def hold_soft_points(plan: dict[str, Any], target: bpy.types.Object) -> None:
    """Replace `target` by the soft points that it is evaluated to for a camera far from all."""
    from ds4d_blender.drawing import MODIFIER_NAME
    from ds4d_blender.drawing.group import MODES
    from ds4d_blender.nodes import set_menu

    scene = bpy.context.scene
    elsewhere = bpy.data.objects.new("Elsewhere", bpy.data.cameras.new("Elsewhere"))
    elsewhere.location = (-9.0, 7.0, -5.0)
    scene.collection.objects.link(elsewhere)
    scene.camera = elsewhere
    set_menu(target.modifiers[MODIFIER_NAME], "Mode", "Soft Points", MODES)
    set_frame(scene, plan["frame"])
    depsgraph = bpy.context.evaluated_depsgraph_get()
    geometry = target.evaluated_get(depsgraph).evaluated_geometry()  # owns the points
    held = bpy.data.objects.new("Held", geometry.pointcloud.copy())
    scene.collection.objects.link(held)
    bpy.data.objects.remove(target)


def blend_path(plan: dict[str, Any], case: dict[str, Any]) -> Path:
    """Name the file that a case is rendered from."""
    words = [*case["assets"], case["drawing"], case["engine"], str(case["samples"])]
    return Path(plan["folder"]) / ("-".join(words).lower().replace(" ", "_") + ".blend")


def add_camera(scene: bpy.types.Scene, view: dict[str, Any]) -> None:
    """Add a camera with an artist's settings, as the plan states them."""
    data = bpy.data.cameras.new(view["name"])
    data.sensor_fit = view["fit"]
    data.sensor_width = data.sensor_height = view["sensor"]
    data.lens = view["lens"]
    data.shift_x, data.shift_y = view["shift"]
    if view["orthographic"] is not None:
        data.type = "ORTHO"
        data.ortho_scale = view["orthographic"]
    data.clip_start, data.clip_end = 0.01, 1000.0
    camera = bpy.data.objects.new(view["name"], data)
    camera.matrix_world = mathutils.Matrix(view["matrix"])
    scene.collection.objects.link(camera)


def render_all(plan: dict[str, Any]) -> None:
    """Render every case as a linear 32-bit picture with alpha; note each one's processor time."""
    if importlib.util.find_spec("ds4d_blender") is not None:
        sys.exit("The add-on must not be importable here; run this with python -I.")
    seconds: dict[str, float] = {}
    opened = None
    for case in sorted(plan["cases"], key=lambda case: str(blend_path(plan, case))):
        if opened != (path := blend_path(plan, case)):
            bpy.ops.wm.open_mainfile(filepath=str(path))
            opened = path
            if case["engine"] == "EEVEE":
                compile_shaders(plan, case)
        began = time.process_time()  # of all threads: other work on the machine hardly shows
        render(plan, case)
        seconds[case["picture"]] = time.process_time() - began
        keep_pixels(Path(plan["folder"]) / case["picture"])
        done = f"{len(seconds)}/{len(plan['cases'])}"
        print(f"@{done} {case['picture']}: {seconds[case['picture']]:.1f} s", flush=True)
        (Path(plan["folder"]) / "seconds.json").write_text(json.dumps(seconds))


def compile_shaders(plan: dict[str, Any], case: dict[str, Any]) -> None:
    """Render at one sample what is thrown away: the first picture waits for EEVEE's shaders."""
    settings = bpy.context.scene.eevee
    samples, settings.taa_render_samples = settings.taa_render_samples, 1
    render(plan, case)
    settings.taa_render_samples = samples


def render(plan: dict[str, Any], case: dict[str, Any]) -> None:
    """Render one case to picture.exr."""
    scene, view = bpy.context.scene, case["view"]
    scene.camera = bpy.data.objects[view["name"]]
    settings = scene.render
    settings.resolution_x, settings.resolution_y = view["size"]
    settings.resolution_percentage = view["percentage"]
    image = settings.image_settings
    image.file_format, image.color_mode, image.color_depth = "OPEN_EXR", "RGBA", "32"
    settings.filepath = str(Path(plan["folder"]) / "picture.exr")
    set_frame(scene, plan["frame"])
    bpy.ops.render.render(write_still=True)


def set_frame(scene: bpy.types.Scene, frame: float) -> None:
    """Show a fractional frame of the clip."""
    scene.frame_set(scene.frame_start + int(frame), subframe=frame % 1)


def keep_pixels(path: Path) -> None:
    """Write the newest picture as float32 [H,W,4], linear and premultiplied, top row first."""
    image = bpy.data.images.load(bpy.context.scene.render.filepath, check_existing=False)
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    np.save(f"{path}.npy", pixels.reshape(height, width, 4)[::-1])


if __name__ == "__main__":
    steps = {"import": import_all, "render": render_all}
    steps[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()))
