# SPDX-License-Identifier: GPL-3.0-or-later
"""Set the scene up for rendering, saying first what changes, and take that back."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty

from ..rendering import BEFORE_KEY, changes_to, render_settings, restore_render, setup_render
from .subject import is_splats

MIXED_SAMPLES = 64


class DS4D_OT_setup_render(bpy.types.Operator):
    """Set the scene up so that splats render as the fit does; shows what it changes first"""

    bl_idname = "ds4d.setup_render"
    bl_label = "Set Up Rendering"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    engine: EnumProperty(
        name="Engine",
        items=(
            ("CYCLES", "Cycles", "Exact, with motion blur; mixes with everything"),
            ("EEVEE", "EEVEE", "Fast; clips interleave where they are drawn together"),
        ),
    )
    look: EnumProperty(
        name="Look",
        items=(
            ("EXACT", "As Fitted", "Matches the engine's pictures to the last value"),
            (
                "MIXED",
                "With Other Objects",
                "Scene-linear: antialiased, under the view transform the scene has (AgX, ...)",
            ),
        ),
    )
    samples: IntProperty(
        name="Samples",
        description=f"0: what the look needs, 1 as fitted and {MIXED_SAMPLES} with other objects",
        min=0,
    )
    film_transparent: BoolProperty(
        name="Transparent Film", description="Keep the world out of the picture", default=True
    )
    motion_blur: BoolProperty(
        name="Motion Blur", description="Cycles blurs splats that move; EEVEE cannot"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_splats(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.motion_blur = context.scene.render.use_motion_blur
        return context.window_manager.invoke_props_dialog(self, width=420)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        for name in ("engine", "look", "samples", "film_transparent", "motion_blur"):
            layout.prop(self, name)
        changes = changes_to(context.scene, self._settings(context))
        box = layout.box().column(align=True)
        box.label(text="Changes:" if changes else "Nothing has to change.")
        for change in changes:
            box.label(text=str(change))

    def execute(self, context: bpy.types.Context) -> set[str]:
        changes = setup_render(
            context.scene,
            self.engine,
            **self._choices(context),
            film_transparent=self.film_transparent,
            motion_blur=self.motion_blur,
        )
        self.report({"INFO"}, "; ".join(map(str, changes)) or "Nothing had to change.")
        return {"FINISHED"}

    def _choices(self, context: bpy.types.Context) -> dict[str, Any]:
        mixed = self.look == "MIXED"
        fitted = "Raw" if context.object.get("ds4d_blend") == "srgb" else "Standard"
        return {
            "samples": self.samples or (MIXED_SAMPLES if mixed else 1),
            "view_transform": None if mixed else fitted,
            "antialias": mixed,
        }

    def _settings(self, context: bpy.types.Context) -> dict[str, Any]:
        return render_settings(self.engine, **self._choices(context)) | {
            "render.film_transparent": self.film_transparent,
            "render.use_motion_blur": self.motion_blur,
        }


class DS4D_OT_restore_render(bpy.types.Operator):
    """Give the scene back the render settings it had before DS4D set them up"""

    bl_idname = "ds4d.restore_render"
    bl_label = "Restore Render Settings"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if BEFORE_KEY in context.scene:
            return True
        cls.poll_message_set("The render settings are as they were")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        changes = restore_render(context.scene)
        self.report({"INFO"}, "; ".join(map(str, changes)) or "Nothing had to change.")
        return {"FINISHED"}


CLASSES = (DS4D_OT_setup_render, DS4D_OT_restore_render)
