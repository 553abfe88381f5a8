# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's side of parity.py, run by Blender's Python: `import PLAN`, then `render PLAN`.

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

GREYS = {"white": 1.0, "black": 0.0}


def import_clip(plan: dict[str, Any]) -> None:
    """Import the asset with its cameras and save one .blend per engine and background."""
    sys.path.insert(0, plan["repository"])
    from ds4d_blender.cameras import use_camera
    from ds4d_blender.importer import import_asset
    from ds4d_blender.rendering import setup_render

    for engine in plan["engines"]:
        for background, grey in GREYS.items():
            bpy.ops.wm.read_factory_settings(use_empty=True)
            scene = bpy.context.scene
            import_asset(plan["asset"], cameras=True, set_scene_time=True)
            setup_render(scene, engine, background=(grey, grey, grey))
            use_camera(scene, bpy.data.objects[plan["cameras"][0]])
            bpy.ops.wm.save_as_mainfile(filepath=blend_path(plan, engine, background))


def blend_path(plan: dict[str, Any], engine: str, background: str) -> str:
    """Name the file of an engine and a background."""
    return str(Path(plan["folder"]) / f"{engine.lower()}-{background}.blend")


def render(plan: dict[str, Any]) -> None:
    """Render every planned picture as a 16-bit PNG through the file's own view transform."""
    if importlib.util.find_spec("ds4d_blender") is not None:
        sys.exit("The add-on must not be importable here; run this with python -I.")
    seconds: dict[str, float] = {}
    for engine in plan["engines"]:
        for background in GREYS:
            bpy.ops.wm.open_mainfile(filepath=blend_path(plan, engine, background))
            scene = bpy.context.scene
            image = scene.render.image_settings
            image.file_format, image.color_mode, image.color_depth = "PNG", "RGB", "16"
            for name in plan["cameras"]:
                camera = scene.camera = bpy.data.objects[name]
                scene.render.resolution_x = camera["ds4d_width"]
                scene.render.resolution_y = camera["ds4d_height"]
                for frame in plan["frames"][engine]:
                    scene.frame_set(scene.frame_start + frame)
                    stem = f"{engine.lower()}-{background}-{name}-{frame:04d}.png"
                    scene.render.filepath = str(Path(plan["folder"]) / stem)
                    began = time.perf_counter()
                    bpy.ops.render.render(write_still=True)
                    seconds[stem] = time.perf_counter() - began
                    print(f"@rendered {len(seconds)}/{plan['total']} {stem}", flush=True)
    (Path(plan["folder"]) / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    steps = {"import": import_clip, "render": render}
    steps[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()))
