# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's side of playback.py, run by Blender's Python: `measure PLAN`."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

Figures = dict[str, float]
FRAMES_A_RUN = 8
PICTURE = 256


def import_figures(plan: dict[str, Any]) -> Figures:
    """Time the import; say what memory and disk the playing scene takes."""
    from ds4d_blender.importer import import_asset

    seconds, before = [], resident_megabytes()
    figures: Figures = {}
    for run in range(plan["runs"]):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        began = time.perf_counter()
        import_asset(plan["assets"]["degree_1"], cameras=True, set_scene_time=True)
        seconds.append(time.perf_counter() - began)
        bpy.context.scene.camera = first_camera()
        bpy.context.scene.frame_set(3)
        if run == 0:  # memory that is given back stays with the process
            figures["memory of the playing scene, MB"] = resident_megabytes() - before
    figures["import with SH1, s"] = statistics.median(seconds)
    path = Path(plan["folder"]) / "size.blend"
    for compress, name in ((False, "plain"), (True, "compressed")):
        bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=compress)
        figures[f"file, {name}, MB"] = path.stat().st_size / 1e6
    return figures


def play_figures(plan: dict[str, Any]) -> Figures:
    """Time a frame in every way to draw; also the nodes of playing and of drawing alone."""
    ways = open_ways(plan["assets"]["degree_0"])
    frames: dict[str, list[float]] = {name: [] for name in ways}
    nodes: dict[str, list[float]] = {}
    for _ in range(plan["runs"]):
        for name, prepare in ways.items():
            target = prepare()
            each, modifiers = play(target, plan["frames"])
            frames[name].append(each)
            for modifier, took in modifiers.items():
                nodes.setdefault(f"{name}: nodes of {modifier}", []).append(took)
    figures = {f"{name}, ms a frame": times for name, times in frames.items()}
    figures |= {f"{name}, ms": times for name, times in nodes.items()}
    return {name: statistics.median(times) for name, times in figures.items()}


def open_ways(path: str) -> dict[str, Callable[[], bpy.types.Object]]:
    """Import the asset once for each way to draw; what is returned shows that one alone."""
    from benchmarks.rivals import RIVALS, draw_as
    from ds4d_blender.drawing import MODIFIER_NAME
    from ds4d_blender.drawing.group import MODES
    from ds4d_blender.drawing.order import SORT
    from ds4d_blender.importer import import_asset
    from ds4d_blender.nodes import set_menu

    bpy.ops.wm.read_factory_settings(use_empty=True)
    ours = import_asset(path, cameras=True, set_scene_time=True)
    bpy.context.scene.camera = first_camera()

    def show(target: bpy.types.Object) -> bpy.types.Object:
        for item in (ours, *rivals.values()):
            # What is not in the scene is not evaluated.
            linked = item.name in bpy.context.scene.collection.objects
            if linked and item != target:
                bpy.context.scene.collection.objects.unlink(item)
            if not linked and item == target:
                bpy.context.scene.collection.objects.link(item)
        return target

    def show_ours(mode: str, sort: str) -> bpy.types.Object:
        drawing = ours.modifiers[MODIFIER_NAME]
        set_menu(drawing, "Mode", mode, MODES)
        set_menu(drawing, "Sort", sort, SORT)
        return show(ours)

    rivals: dict[str, bpy.types.Object] = {}
    for name in RIVALS:
        rivals[name] = ours.copy()
        rivals[name].name = name
        draw_as(rivals[name], name)
    return {
        "Points": lambda: show_ours("Points", "Off"),
        "Soft Points": lambda: show_ours("Soft Points", "Off"),
        "Splats": lambda: show_ours("Splats", "Off"),
        "Splats, sorted": lambda: show_ours("Splats", "On"),
        **{name: lambda name=name: show(rivals[name]) for name in RIVALS},
    }


def play(target: bpy.types.Object, frames: int) -> tuple[float, Figures]:
    """Return the median ms of a frame, and of each modifier of the object."""
    scene = bpy.context.scene
    scene.frame_set(1)
    whole: list[float] = []
    parts: dict[str, list[float]] = {}
    for index in range(FRAMES_A_RUN):
        began = time.perf_counter()
        scene.frame_set(2 + index * 5 % (frames - 1))
        whole.append((time.perf_counter() - began) * 1e3)
        evaluated = target.evaluated_get(bpy.context.evaluated_depsgraph_get())
        for modifier in evaluated.modifiers:
            parts.setdefault(modifier.name, []).append(modifier.execution_time * 1e3)
    medians = {name: statistics.median(times) for name, times in parts.items()}
    return statistics.median(whole), medians


def harmonics_figures(plan: dict[str, Any]) -> Figures:
    """Time what view-dependent color adds to drawing, degree by degree."""
    from ds4d_blender.drawing import MODIFIER_NAME
    from ds4d_blender.importer import import_asset
    from ds4d_blender.nodes import set_input

    bpy.ops.wm.read_factory_settings(use_empty=True)
    target = import_asset(plan["assets"]["degree_3"], cameras=True)
    bpy.context.scene.camera = first_camera()
    drawing: dict[int, list[float]] = {degree: [] for degree in range(4)}
    for _ in range(plan["runs"]):
        for degree, times in drawing.items():
            set_input(target.modifiers[MODIFIER_NAME], "SH Degree", degree)
            times.append(play(target, 3)[1][MODIFIER_NAME])
    medians = {degree: statistics.median(times) for degree, times in drawing.items()}
    return {f"SH degree {degree} adds, ms": medians[degree] - medians[0] for degree in range(1, 4)}


def render_figures(plan: dict[str, Any]) -> Figures:
    """Time a picture of 256 px in both engines; of EEVEE the second, which has its shaders."""
    from ds4d_blender.rendering import setup_render

    figures = {}
    ways = open_ways(plan["assets"]["degree_0"])
    scene = bpy.context.scene
    scene.render.filepath = str(Path(plan["folder"]) / "picture.png")
    for engine in ("CYCLES", "EEVEE"):
        ways["Splats"]()
        setup_render(scene, engine)
        scene.render.resolution_x = scene.render.resolution_y = PICTURE
        for _ in range(1 + (engine == "EEVEE")):
            began = time.perf_counter()
            bpy.ops.render.render(write_still=True)
            figures[f"{engine}, {PICTURE} px, s"] = time.perf_counter() - began
    return figures


def first_camera() -> bpy.types.Object:
    """Return a camera of the imported asset."""
    return next(item for item in bpy.context.scene.objects if item.type == "CAMERA")


def resident_megabytes() -> float:
    """Return the memory that this process holds."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1e3


PART_FIGURES = {
    "import": import_figures,
    "play": play_figures,
    "harmonics": harmonics_figures,
    "render": render_figures,
}


def measure(plan: dict[str, Any]) -> None:
    """Write result.json."""
    sys.path.insert(0, plan["repository"])
    figures: Figures = {}
    for part in plan["parts"]:
        figures |= PART_FIGURES[part](plan)
        print(f"@{bpy.app.version_string}: {part} done", flush=True)
    result = {"blender": bpy.app.version_string, "figures": figures}
    (Path(plan["folder"]) / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    assert sys.argv[1] == "measure"
    measure(json.loads(Path(sys.argv[2]).read_text()))
