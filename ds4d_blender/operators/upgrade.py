# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the objects of an older file up to date."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty

from ..upgrade import is_outdated, upgrade_all


class DS4D_OT_upgrade(bpy.types.Operator):
    """Give every DS4D object of this file today's node trees; values and animation stay"""

    bl_idname = "ds4d.upgrade"
    bl_label = "Upgrade"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    edited: BoolProperty(
        name="Edited Too",
        description="Replace trees that were edited as well; they stay in the file",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if any(is_outdated(target) for target in bpy.data.objects):
            return True
        cls.poll_message_set("Every DS4D object in this file is of this version")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        outcome = upgrade_all(edited=self.edited)
        self.report({"WARNING" if outcome.edited else "INFO"}, outcome.sentence)
        return {"FINISHED"}


CLASSES = (DS4D_OT_upgrade,)
