# SPDX-License-Identifier: GPL-3.0-or-later
"""How the active object is played and drawn; where its file is."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from ..drawing import MODES
from ..drawing import MODIFIER_NAME as DRAW
from ..nodes import set_menu
from ..pace import bind_time
from ..player import MODIFIER_NAME as PLAY
from ..together import joint_of
from .subject import is_of_this_version, is_splats


class DS4D_OT_bind_time(bpy.types.Operator):
    """Choose what drives the clip: the scene's time, or keyframes of its own"""

    bl_idname = "ds4d.bind_time"
    bl_label = "Bind Time"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    to: EnumProperty(
        name="To",
        items=(
            ("SCENE", "Scene Time", "The clip plays with the scene"),
            (
                "KEYFRAMES",
                "Keyframes",
                "Two keyframes on Time play the clip once; a keyframed Speed becomes one a frame",
            ),
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


class DS4D_OT_set_drawing(bpy.types.Operator):
    """Choose how the splats are drawn, in the viewport and in renders"""

    bl_idname = "ds4d.set_drawing"
    bl_label = "Drawing"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    mode: EnumProperty(
        name="Mode",
        items=(
            ("SPLATS", "Splats", "Exact, as seen by the scene's camera"),
            ("SOFT", "Soft Points", "Soft, and right from every side: free views and mirrors"),
            ("POINTS", "Points", "Small, solid and fast"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not is_splats(cls, context):
            return False
        if joint_of(context.object) is not None:
            cls.poll_message_set("It is drawn together with others; draw it apart first")
            return False
        return is_of_this_version(cls, context.object)

    def execute(self, context: bpy.types.Context) -> set[str]:
        drawing = context.object.modifiers[DRAW]
        drawing.show_viewport = True
        set_menu(drawing, "Mode", MODES[("SPLATS", "SOFT", "POINTS").index(self.mode)], MODES)
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
    DS4D_OT_reveal_file,
    DS4D_OT_open_preferences,
)
