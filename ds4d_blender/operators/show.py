# SPDX-License-Identifier: GPL-3.0-or-later
"""How the active object is played, drawn and rendered; where its file is."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from ..drawing import MODIFIER_NAME as DRAW
from ..nodes import input_path, input_value, set_input
from ..player import MODIFIER_NAME as PLAY
from ..rendering import setup_render
from .subject import is_splats


class DS4D_OT_bind_time(bpy.types.Operator):
    """Choose what drives the clip: the scene's time, or keyframes of its own"""

    bl_idname = "ds4d.bind_time"
    bl_label = "Bind Time"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    to: EnumProperty(
        name="To",
        items=(
            ("SCENE", "Scene Time", "The clip plays with the scene"),
            ("KEYFRAMES", "Keyframes", "Two keyframes on Time play the clip once; move them"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not is_splats(cls, context):
            return False
        if PLAY in context.object.modifiers:
            return True
        cls.poll_message_set("Nothing moves in this clip")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        bind_time(context.object, context.scene, keyframes=self.to == "KEYFRAMES")
        return {"FINISHED"}


def bind_time(target: bpy.types.Object, scene: bpy.types.Scene, *, keyframes: bool) -> None:
    """Let the scene's time play a clip, or two keyframes, from where it starts to where it ends."""
    player = target.modifiers[PLAY]
    set_input(player, "Use Scene Time", not keyframes)
    path = input_path(player, "Time")
    if not keyframes:
        return
    frames = input_value(player, "Frames")
    rate = scene.render.fps / scene.render.fps_base
    start = input_value(player, "Start Frame")
    for time in (0.0, float(frames - 1)):
        set_input(player, "Time", time)
        target.keyframe_insert(path, frame=start + time * rate / input_value(player, "FPS"))
    _make_linear(target, path)


def _make_linear(target: bpy.types.Object, path: str) -> None:
    """Let a clip run evenly between its keyframes; Blender's own would ease in and out."""
    action, slot = target.animation_data.action, target.animation_data.action_slot
    curves = [
        curve
        for layer in action.layers
        for strip in layer.strips
        for bag in [strip.channelbag(slot)]
        if bag is not None
        for curve in bag.fcurves
    ]
    for curve in curves:
        if curve.data_path == path:
            for point in curve.keyframe_points:
                point.interpolation = "LINEAR"


class DS4D_OT_set_drawing(bpy.types.Operator):
    """Choose how the splats look in the viewport; renders always draw them whole"""

    bl_idname = "ds4d.set_drawing"
    bl_label = "Drawing"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    mode: EnumProperty(
        name="Mode",
        items=(
            ("SPLATS", "Splats", "As they render, seen from the scene's camera"),
            ("POINTS", "Points", "Points only: light, and right from every side"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_splats(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.object.modifiers[DRAW].show_viewport = self.mode == "SPLATS"
        return {"FINISHED"}


class DS4D_OT_setup_render(bpy.types.Operator):
    """Set the scene up so that renders look as the fit does"""

    bl_idname = "ds4d.setup_render"
    bl_label = "Set Up Rendering"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    engine: EnumProperty(
        name="Engine",
        items=(
            ("CYCLES", "Cycles", "Exact, with motion blur; mixes with everything"),
            ("EEVEE", "EEVEE", "Fast; two clips do not interleave"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_splats(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        encoded = context.object.get("ds4d_blend") == "srgb"
        setup_render(context.scene, self.engine, view_transform="Raw" if encoded else "Standard")
        return {"FINISHED"}


class DS4D_OT_reveal_file(bpy.types.Operator):
    """Open the folder of a file in the system's file browser"""

    bl_idname = "ds4d.reveal_file"
    bl_label = "Show the File"

    filepath: StringProperty(
        name="File",
        description="By default the active object's asset",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        known = context.object.get("ds4d_source", "") if context.object is not None else ""
        path = Path(bpy.path.abspath(self.filepath or known))
        if not (self.filepath or known):
            self.report({"ERROR"}, "Make a DS4D object the active one, or name a file.")
            return {"CANCELLED"}
        if not path.exists():
            self.report({"ERROR"}, f"There is no file {path} any more.")
            return {"CANCELLED"}
        open_folder(path if path.is_dir() else path.parent)
        return {"FINISHED"}


def open_folder(folder: Path) -> None:
    """Open a folder in the system's file browser."""
    bpy.ops.wm.path_open(filepath=str(folder))


class DS4D_OT_open_preferences(bpy.types.Operator):
    """Open the add-on's preferences: there the engine is installed or chosen"""

    bl_idname = "ds4d.open_preferences"
    bl_label = "Open the Preferences"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if bpy.app.background:
            cls.poll_message_set("There is no window to show preferences in")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        bpy.ops.preferences.addon_show(module=__package__.rpartition(".")[0])
        return {"FINISHED"}


CLASSES = (
    DS4D_OT_bind_time,
    DS4D_OT_set_drawing,
    DS4D_OT_setup_render,
    DS4D_OT_reveal_file,
    DS4D_OT_open_preferences,
)
