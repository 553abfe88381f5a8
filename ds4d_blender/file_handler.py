# SPDX-License-Identifier: GPL-3.0-or-later
"""Drag and drop of .ds4d files into the 3D view."""

from __future__ import annotations

import bpy


class DS4D_FH_asset(bpy.types.FileHandler):
    """A .ds4d file that is dropped into the 3D view is imported"""

    bl_idname = "DS4D_FH_asset"
    bl_label = "DS4D Asset"
    bl_import_operator = "ds4d.import_asset"
    bl_file_extensions = ".ds4d"

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type in {"VIEW_3D", "OUTLINER"}


CLASSES = (DS4D_FH_asset,)
