# SPDX-License-Identifier: GPL-3.0-or-later
"""How the active object is drawn, colored, lit and rendered.

What is changed most stands here; the modifiers themselves have everything.
"""

from __future__ import annotations

import bpy

from ..drawing import MODES
from ..drawing import MODIFIER_NAME as DRAW
from ..drawing.together import MODIFIER_NAME as TOGETHER
from ..nodes import input_value, menu_choice
from ..together import is_joint, is_left_over, joint_of, members
from .result import ResultPart, draw_input
from .text import paragraph

_MODES = (("SPLATS", "Splats"), ("SOFT", "Soft"), ("POINTS", "Points"))


class DS4D_PT_drawing(ResultPart, bpy.types.Panel):
    """How the active object is drawn"""

    bl_idname = "DS4D_PT_drawing"
    bl_label = "Drawing"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) or is_joint(context.object)

    def draw(self, context: bpy.types.Context) -> None:
        layout, target = self.layout, context.object
        layout.use_property_split = True
        if is_joint(target):
            paragraph(layout, f"It draws {', '.join(item.name for item in members(target))}.")
            draw_input(layout, target.modifiers[TOGETHER], "Sort")
        else:
            _draw_asset(layout, context)
        row = layout.row(align=True)
        row.operator("ds4d.draw_together", text="Together", icon="OUTLINER_COLLECTION")
        row.operator("ds4d.draw_apart", text="Apart")


def _draw_asset(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    target = context.object
    drawing, joint = target.modifiers[DRAW], joint_of(target)
    if joint is not None:
        paragraph(layout, f"It is drawn by {joint.name}.", icon="INFO")
    elif is_left_over(target):
        paragraph(layout, "What drew it is gone: press Together or Apart.", icon="ERROR")
    else:
        chosen = menu_choice(drawing, "Mode", MODES)
        row = layout.row(align=True)
        for (word, text), name in zip(_MODES, MODES, strict=True):
            row.operator("ds4d.set_drawing", text=text, depress=name == chosen).mode = word
        if chosen == MODES[0] and context.scene.camera is None:
            paragraph(layout, "Splats are drawn for the scene's camera; add one.", icon="INFO")
    for name in ("Density", "Splat Size", "Opacity"):
        draw_input(layout, drawing, name)


class DS4D_PT_masks(ResultPart, bpy.types.Panel):
    """Which splats of the active object are drawn"""

    bl_idname = "DS4D_PT_masks"
    bl_label = "Crop and Masks"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        layout, drawing = self.layout, context.object.modifiers[DRAW]
        layout.use_property_split = True
        draw_input(layout, drawing, "Crop Box")
        draw_input(layout, drawing, "Show")
        draw_input(layout, drawing, "Invented Opacity", "Invented")
        draw_input(layout, drawing, "Tint Invented", "Tint")


class DS4D_PT_color(ResultPart, bpy.types.Panel):
    """The color and light of the active object"""

    bl_idname = "DS4D_PT_color"
    bl_label = "Color and Light"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        layout, drawing = self.layout, context.object.modifiers[DRAW]
        layout.use_property_split = True
        for name in ("Exposure", "Saturation", "Hue", "Color Tint", "Lit by Scene"):
            draw_input(layout, drawing, name)
        if input_value(drawing, "Lit by Scene") > 0.0:
            draw_input(layout, drawing, "Smooth Normals")


class DS4D_PT_rendering(ResultPart, bpy.types.Panel):
    """Set-ups for rendering with the active object"""

    bl_idname = "DS4D_PT_rendering"
    bl_label = "Rendering"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        row = layout.row(align=True)
        row.label(text="Set Up for")
        for engine, text in (("CYCLES", "Cycles"), ("EEVEE", "EEVEE")):
            row.operator("ds4d.setup_render", text=text).engine = engine
        layout.operator("ds4d.restore_render", text="Restore Settings", icon="LOOP_BACK")
        row = layout.row(align=True)
        row.operator_menu_enum("ds4d.add_proxy", "role", text="Proxy", icon="MESH_ICOSPHERE")
        row.operator("ds4d.add_shadow_catcher", text="Catcher", icon="LIGHT_SUN")
        layout.operator("ds4d.setup_passes", icon="RENDERLAYERS")


CLASSES = (DS4D_PT_drawing, DS4D_PT_masks, DS4D_PT_color, DS4D_PT_rendering)
