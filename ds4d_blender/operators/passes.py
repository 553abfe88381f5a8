# SPDX-License-Identifier: GPL-3.0-or-later
"""Add the view layers and the compositor group that give passes which are right for splats."""

from __future__ import annotations

import bpy

from ..passes import LAYERS, setup_passes
from .subject import is_splats


class DS4D_OT_setup_passes(bpy.types.Operator):
    """Add view layers that render depth, masks and indices of splats, and a compositor group"""

    bl_idname = "ds4d.setup_passes"
    bl_label = "Set Up Passes"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_splats(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        node = setup_passes(context.scene)
        names = " and ".join(LAYERS)
        self.report({"INFO"}, f"View layers {names} feed {node.name} in the compositor.")
        return {"FINISHED"}


CLASSES = (DS4D_OT_setup_passes,)
