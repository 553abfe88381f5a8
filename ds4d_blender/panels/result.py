# SPDX-License-Identifier: GPL-3.0-or-later
"""The active object: its file, how it plays, how it is drawn and rendered."""

from __future__ import annotations

import bpy

from ..drawing import MODIFIER_NAME as DRAW
from ..invented import MODIFIER_NAME as INVENTED
from ..live import JOB_KEY
from ..nodes import input_value
from ..operators.subject import shows_splats
from ..player import MODIFIER_NAME as PLAY
from .text import paragraph


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "DS4D"


class DS4D_PT_result(_Sidebar, bpy.types.Panel):
    """The active DS4D object"""

    bl_idname = "DS4D_PT_result"
    bl_label = "Result"

    def draw(self, context: bpy.types.Context) -> None:
        layout, target = self.layout, context.object
        layout.operator("ds4d.import_asset", text="Import a .ds4d File", icon="IMPORT")
        if not shows_splats(target):
            return
        layout.label(text=target.name, icon="OUTLINER_OB_POINTCLOUD")
        if target.get(JOB_KEY):
            paragraph(layout, "It follows its fit: what the fit finds is shown.")
            layout.operator("ds4d.stop_following", icon="UNLINKED")
        row = layout.row(align=True)
        row.operator("ds4d.reimport", text="Read Again", icon="FILE_REFRESH")
        row.operator("ds4d.reveal_file", text="Show the File", icon="FILE_FOLDER")


class DS4D_PT_result_playback(_Sidebar, bpy.types.Panel):
    """How the active object plays"""

    bl_idname = "DS4D_PT_result_playback"
    bl_label = "Playback"
    bl_parent_id = "DS4D_PT_result"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return shows_splats(context.object) and PLAY in context.object.modifiers

    def draw(self, context: bpy.types.Context) -> None:
        layout, player = self.layout, context.object.modifiers[PLAY]
        layout.use_property_split = True
        for name in ("Playback", "Speed", "Offset", "Start Frame", "Real Time"):
            draw_input(layout, player, name)
        follows = bool(input_value(player, "Use Scene Time"))
        row = layout.row(align=True)
        bind = row.operator("ds4d.bind_time", text="Scene Time", depress=follows)
        bind.to = "SCENE"
        bind = row.operator("ds4d.bind_time", text="Keyframes", depress=not follows)
        bind.to = "KEYFRAMES"
        if not follows:
            draw_input(layout, player, "Time")


class DS4D_PT_result_drawing(_Sidebar, bpy.types.Panel):
    """How the active object is drawn and rendered"""

    bl_idname = "DS4D_PT_result_drawing"
    bl_label = "Drawing and Rendering"
    bl_parent_id = "DS4D_PT_result"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return shows_splats(context.object)

    def draw(self, context: bpy.types.Context) -> None:
        layout, target = self.layout, context.object
        whole = target.modifiers[DRAW].show_viewport
        row = layout.row(align=True)
        for mode, text, pressed in (("SPLATS", "Splats", whole), ("POINTS", "Points", not whole)):
            row.operator("ds4d.set_drawing", text=text, depress=pressed).mode = mode
        if whole and context.scene.camera is None:
            paragraph(layout, "Splats are drawn for the scene's camera; add one.", icon="INFO")
        invented = target.modifiers.get(INVENTED)
        if invented is not None:
            column = layout.column()
            column.use_property_split = True
            for name in ("Show", "Invented Opacity", "Tint Invented"):
                draw_input(column, invented, name)
        row = layout.row(align=True)
        row.label(text="Set Up for")
        for engine, text in (("CYCLES", "Cycles"), ("EEVEE", "EEVEE")):
            row.operator("ds4d.setup_render", text=text).engine = engine


def draw_input(layout: bpy.types.UILayout, modifier: bpy.types.NodesModifier, name: str) -> None:
    """Draw an input of a modifier as the modifier's own panel does."""
    identifier = next(
        item.identifier
        for item in modifier.node_group.interface.items_tree
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.name == name
    )
    if hasattr(modifier, "properties"):  # Blender 5.2 and later
        layout.prop(getattr(modifier.properties.inputs, identifier), "value", text=name)
    else:
        layout.prop(modifier, f'["{identifier}"]', text=name)


CLASSES = (DS4D_PT_result, DS4D_PT_result_playback, DS4D_PT_result_drawing)
