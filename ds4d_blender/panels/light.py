# SPDX-License-Identifier: GPL-3.0-or-later
"""Shadows, holdouts and passes of the active object."""

from __future__ import annotations

import bpy

from .result import Sidebar, is_current


class DS4D_PT_compositing(Sidebar, bpy.types.Panel):
    """What lets the active object mix with others"""

    bl_idname = "DS4D_PT_compositing"
    bl_label = "Shadows and Passes"
    bl_parent_id = "DS4D_PT_result"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_current(context.object)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator_menu_enum("ds4d.add_proxy", "role", text="Add Proxy", icon="MESH_ICOSPHERE")
        layout.operator("ds4d.add_shadow_catcher", icon="MESH_PLANE")
        layout.operator("ds4d.setup_passes", icon="NODE_COMPOSITING")


CLASSES = (DS4D_PT_compositing,)
