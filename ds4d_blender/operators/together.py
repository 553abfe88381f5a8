# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw several assets as one object, and apart again."""

from __future__ import annotations

import bpy

from ..seam import DS4DError
from ..together import draw_apart, draw_together, is_joint, is_left_over, joint_of
from .subject import shows_splats


def _chosen(context: bpy.types.Context) -> list[bpy.types.Object]:
    return [
        target for target in context.selected_objects if shows_splats(target) or is_joint(target)
    ]


class DS4D_OT_draw_together(bpy.types.Operator):
    """Let one object draw the selected DS4D objects, so that they sort together in EEVEE"""

    bl_idname = "ds4d.draw_together"
    bl_label = "Draw Together"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if len(_chosen(context)) >= 2 and context.mode == "OBJECT":
            return True
        cls.poll_message_set("Select two or more DS4D objects in Object Mode")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        collection = context.collection or context.scene.collection
        try:
            draw_together(_chosen(context), collection)
        except DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class DS4D_OT_draw_apart(bpy.types.Operator):
    """Let the selected DS4D objects draw themselves again; of their joint object, all of them"""

    bl_idname = "ds4d.draw_apart"
    bl_label = "Draw Apart"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        chosen = _chosen(context)
        if any(joint_of(target) is not None or is_left_over(target) for target in chosen):
            return context.mode == "OBJECT"
        cls.poll_message_set("Select a DS4D object that is drawn together with others")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        draw_apart(_chosen(context))
        return {"FINISHED"}


CLASSES = (DS4D_OT_draw_together, DS4D_OT_draw_apart)
