# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's Blender side, run by Blender's own Python (bpy): make demo.blend, then render it.

`render_blend.py import PLAN` imports the asset with the add-on, puts it on a floor under a sun and
saves the .blend. `render_blend.py render PLAN` opens that file where the add-on does not exist and
renders the plan's shots: all that is needed is in the file. run_demo.py writes the plan.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import bpy

STAGE_COLLECTION = "Stage"
ORBIT_CAMERA = "Orbit"
STUDIO_WORLD, STAGE_WORLD = "Studio", "Stage"
SKY_COLOR = (0.26, 0.38, 0.53)
FLOOR_COLOR = (0.33, 0.24, 0.17)
ORBIT_ELEVATION_DEGREES = 22.0


def import_clip(plan: dict[str, Any]) -> None:
    """Build demo.blend from the asset: the splats, their cameras and a stage around them."""
    from ds4d_blender.importer import import_asset
    from ds4d_blender.rendering import setup_render

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    splats = import_asset(plan["asset"], cameras=True, set_scene_time=True)
    setup_render(scene, "CYCLES", background=(1.0, 1.0, 1.0))
    scene.world.name = STUDIO_WORLD
    # Direct light alone, and none from the splats: one sample would show it as specks.
    scene.cycles.diffuse_bounces = 0
    splats.visible_diffuse = False
    add_stage(plan["bounds"])
    add_orbit(plan["bounds"], plan["turn_frames"])
    scene.frame_end = scene.frame_start + plan["turn_frames"] - 1
    show_stage(scene, True)
    scene.camera = bpy.data.objects[ORBIT_CAMERA]
    save_atomically(Path(plan["blend"]))


def add_stage(bounds: dict[str, Any]) -> None:
    """Add what only ordinary geometry can prove: a floor that catches shadows, a sun, a sky."""
    stage = bpy.data.collections.new(STAGE_COLLECTION)
    bpy.context.scene.collection.children.link(stage)
    mesh = bpy.data.meshes.new("Floor")
    far = 200.0 * bounds["radius"]
    mesh.from_pydata(
        [(-far, -far, 0), (far, -far, 0), (far, far, 0), (-far, far, 0)], [], [range(4)]
    )
    floor = bpy.data.objects.new("Floor", mesh)
    floor.location = (*bounds["center"][:2], bounds["floor"])
    stage.objects.link(floor)
    floor.data.materials.append(floor_material())

    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy = 3.0
    sun.data.angle = 0.0  # a sharp shadow has no noise
    # The quads face the camera: light from above meets them at the same angle all the way round.
    sun.rotation_euler = (math.radians(6.0), 0.0, 0.0)
    stage.objects.link(sun)

    sky = bpy.data.worlds.new(STAGE_WORLD)
    sky.use_fake_user = True
    sky.cycles_visibility.diffuse = False  # seen, but no light: that would be noise to sample
    if sky.node_tree is None:  # until Blender 5.0
        sky.use_nodes = True
    nodes, links = sky.node_tree.nodes, sky.node_tree.links
    nodes.clear()
    color = nodes.new("ShaderNodeBackground")
    color.inputs["Color"].default_value = (*SKY_COLOR, 1.0)
    output = nodes.new("ShaderNodeOutputWorld")
    links.new(color.outputs[0], output.inputs["Surface"])
    bpy.data.worlds[STUDIO_WORLD].use_fake_user = True


def floor_material() -> bpy.types.Material:
    """Return a diffuse material that glows a little, so that shadows are not black."""
    material = bpy.data.materials.new("Floor")
    if material.node_tree is None:  # until Blender 5.0
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    both = nodes.new("ShaderNodeAddShader")
    for index, kind in enumerate(("ShaderNodeBsdfDiffuse", "ShaderNodeEmission")):
        shader = nodes.new(kind)
        shader.inputs["Color"].default_value = (*FLOOR_COLOR, 1.0)
        links.new(shader.outputs[0], both.inputs[index])
    shader.inputs["Strength"].default_value = 0.3
    material.cycles.emission_sampling = "NONE"  # the glow is no light: sampling it would be noise
    output = nodes.new("ShaderNodeOutputMaterial")
    links.new(both.outputs[0], output.inputs["Surface"])
    return material


def add_orbit(bounds: dict[str, Any], frames: int) -> None:
    """Add a camera that turns once around the object in `frames` frames, driven by keyframes."""
    scene = bpy.context.scene
    pivot = bpy.data.objects.new("Orbit Pivot", None)
    pivot.location = bounds["center"]
    camera = bpy.data.objects.new(ORBIT_CAMERA, bpy.data.cameras.new(ORBIT_CAMERA))
    camera.data.angle = math.radians(35.0)
    camera.parent = pivot
    elevation = math.radians(ORBIT_ELEVATION_DEGREES)
    distance = 0.9 * bounds["radius"] / math.sin(math.radians(35.0) / 2)
    camera.location = (0.0, -distance * math.cos(elevation), distance * math.sin(elevation))
    camera.rotation_euler = (math.radians(90.0) - elevation, 0.0, 0.0)
    camera.data.clip_end = 1000.0 * distance
    for target in (pivot, camera):
        scene.collection.objects.link(target)
    # Linear from the first key on: the turn neither starts nor stops.
    bpy.context.preferences.edit.keyframe_new_interpolation_type = "LINEAR"
    for frame, angle in ((0, 0.0), (frames, 2.0 * math.pi)):
        pivot.rotation_euler = (0.0, 0.0, angle)
        pivot.keyframe_insert("rotation_euler", index=2, frame=scene.frame_start + frame)


def show_stage(scene: bpy.types.Scene, visible: bool) -> None:
    """Choose between the stage and a plain white studio, in which the clip was fitted."""
    for target in bpy.data.collections[STAGE_COLLECTION].objects:
        target.hide_render = not visible
    scene.world = bpy.data.worlds[STAGE_WORLD if visible else STUDIO_WORLD]


def save_atomically(blend: Path) -> None:
    part = blend.with_name(f".part-{blend.name}")
    bpy.ops.wm.save_as_mainfile(filepath=str(part), compress=True)
    os.replace(part, blend)


def render_shots(plan: dict[str, Any]) -> None:
    """Render every shot of the plan into numbered PNGs, saying how far it is."""
    for module in ("ds4d_blender", "ds4d_engine"):
        assert importlib.util.find_spec(module) is None, f"{module} must not be importable here"
    bpy.ops.wm.open_mainfile(filepath=plan["blend"])
    # Pictures of a camera and of the stage differ in cost; their pixels tell when all is done.
    total = sum(len(shot["frames"]) * pixels_of(shot) for shot in plan["shots"])
    done = 0
    for shot in plan["shots"]:
        for index, frame in enumerate(shot["frames"]):
            render_frame(shot, frame, Path(shot["folder"]) / f"{index:04d}.png")
            done += pixels_of(shot)
            say_progress(done, total, f"{shot['camera']}, frame {frame}")


def pixels_of(shot: dict[str, Any]) -> int:
    """Return how many pixels one picture of a shot has."""
    width, height = shot["size"]
    return int(width * height)


def render_frame(shot: dict[str, Any], frame: int, target: Path) -> None:
    scene = bpy.context.scene
    render = scene.render
    scene.camera = bpy.data.objects[shot["camera"]]
    render.resolution_x, render.resolution_y = shot["size"]
    render.resolution_percentage = 100
    show_stage(scene, shot["stage"])
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGB"
    render.image_settings.color_depth = "16"  # 8 bits would hide differences below 59 dB
    render.filepath = str(target)
    scene.frame_set(frame)
    bpy.ops.render.render(write_still=True)


def say_progress(done: int, total: int, message: str) -> None:
    """Tell run_demo.py, on a line that it can tell from Blender's own."""
    print("@" + json.dumps({"done": done, "total": total, "message": message}), flush=True)


def main() -> None:
    command, plan_path = sys.argv[1:]
    plan = json.loads(Path(plan_path).read_text(encoding="utf-8"))
    {"import": import_clip, "render": render_shots}[command](plan)


if __name__ == "__main__":
    main()
