# SPDX-License-Identifier: GPL-3.0-or-later
"""Add what stands in for splats: a proxy mesh, a floor that catches shadows."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty

from ..proxy import add_proxy
from ..shadow_catcher import add_shadow_catcher
from .subject import is_splats


class DS4D_OT_add_proxy(bpy.types.Operator):
    """Add a mesh that moves with the splats, for shadows, holdouts, physics"""

    bl_idname = "ds4d.add_proxy"
    bl_label = "Add Proxy"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    role: EnumProperty(
        name="Role",
        items=(
            ("SHADOW", "Shadow Caster", "Unseen; casts the shadows in the place of the splats"),
            ("HOLDOUT", "Holdout", "Cuts what is behind the subject out of the picture"),
            ("COLLISION", "Collision", "Cloth, particles and soft bodies collide with it"),
            ("MESH", "Mesh", "Only a mesh, to use as you like"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_splats(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy = add_proxy(context.object, self.role)
        self.report({"INFO"}, f"{proxy.name} follows {context.object.name}.")
        return {"FINISHED"}


class DS4D_OT_add_shadow_catcher(bpy.types.Operator):
    """Add a floor below the subject that shows nothing but shadows, and what casts them"""

    bl_idname = "ds4d.add_shadow_catcher"
    bl_label = "Add Shadow Catcher"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_splats(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        add_proxy(context.object, "SHADOW")
        floor = add_shadow_catcher(context.object)
        if context.scene.render.engine != "CYCLES":
            self.report({"WARNING"}, f"{floor.name} catches shadows in Cycles; EEVEE shows it.")
        return {"FINISHED"}


CLASSES = (DS4D_OT_add_proxy, DS4D_OT_add_shadow_catcher)
