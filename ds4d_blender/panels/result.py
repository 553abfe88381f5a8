# SPDX-License-Identifier: GPL-3.0-or-later
"""The active object: its file, and how it plays."""

from __future__ import annotations

import bpy

from ..live import JOB_KEY
from ..nodes import input_value, menu_choice
from ..operators.subject import shows_splats
from ..player import MODES
from ..player import MODIFIER_NAME as PLAY
from ..splat_objects import NOTE_KEY
from ..upgrade import is_outdated
from .text import paragraph


class Sidebar:
    """Where the panels of the tab stand."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "DS4D"


class DS4D_PT_result(Sidebar, bpy.types.Panel):
    """The active DS4D object"""

    bl_idname = "DS4D_PT_result"
    bl_label = "Result"

    def draw(self, context: bpy.types.Context) -> None:
        layout, target = self.layout, context.object
        layout.operator("ds4d.import_asset", text="Import a .ds4d File", icon="IMPORT")
        if not shows_splats(target):
            return
        layout.label(text=target.name, icon="OUTLINER_OB_POINTCLOUD")
        if is_outdated(target):
            paragraph(layout, "An earlier version of DS4D made it.", icon="INFO")
            layout.operator("ds4d.upgrade", icon="FILE_REFRESH")
        if target.get(JOB_KEY):
            paragraph(layout, "It follows its fit: what the fit finds is shown.")
            layout.operator("ds4d.stop_following", icon="UNLINKED")
        if target.get(NOTE_KEY):
            paragraph(layout, target[NOTE_KEY], icon="INFO")
        row = layout.row(align=True)
        row.operator("ds4d.reimport", text="Read Again", icon="FILE_REFRESH")
        row.operator("ds4d.reveal_file", text="Show the File", icon="FILE_FOLDER")


class ResultPart(Sidebar):
    """A panel below the result, for an active object that draws an asset."""

    bl_parent_id = "DS4D_PT_result"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_current(context.object)


class DS4D_PT_result_playback(ResultPart, bpy.types.Panel):
    """How the active object plays"""

    bl_idname = "DS4D_PT_result_playback"
    bl_label = "Playback"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and PLAY in context.object.modifiers

    def draw(self, context: bpy.types.Context) -> None:
        layout, player = self.layout, context.object.modifiers[PLAY]
        layout.use_property_split = True
        draw_input(layout, player, "Playback")
        if menu_choice(player, "Playback", MODES) == "Cross-Fade":
            draw_input(layout, player, "Fade")
        for name in ("Speed", "Offset", "Start Frame", "Real Time", "Reverse", "Freeze"):
            draw_input(layout, player, name)
        if input_value(player, "Freeze"):
            draw_input(layout, player, "Freeze Frame")
        follows = bool(input_value(player, "Use Scene Time"))
        row = layout.row(align=True)
        bind = row.operator("ds4d.bind_time", text="Scene Time", depress=follows)
        bind.to = "SCENE"
        bind = row.operator("ds4d.bind_time", text="Keyframes", depress=not follows)
        bind.to = "KEYFRAMES"
        if not follows:
            draw_input(layout, player, "Time")


def is_current(target: bpy.types.Object | None) -> bool:
    """Tell whether an object draws an asset with the trees of this version."""
    return shows_splats(target) and not is_outdated(target)


def draw_input(
    layout: bpy.types.UILayout, modifier: bpy.types.NodesModifier, name: str, text: str = ""
) -> None:
    """Draw an input of a modifier as the modifier's own panel does."""
    item = next(
        item
        for item in modifier.node_group.interface.items_tree
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.name == name
    )
    text = text or name
    if hasattr(modifier, "properties"):  # Blender 5.2 and later
        layout.prop(getattr(modifier.properties.inputs, item.identifier), "value", text=text)
    elif item.socket_type == "NodeSocketObject":
        layout.prop_search(modifier, f'["{item.identifier}"]', bpy.data, "objects", text=text)
    else:
        layout.prop(modifier, f'["{item.identifier}"]', text=text)


CLASSES = (DS4D_PT_result, DS4D_PT_result_playback)
