# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender sees of the add-on: settings, operators, panels, menu entries, drag and drop."""

from __future__ import annotations

import bpy

from . import file_handler, operators, panels, preferences, properties, session
from .operators.asset import DS4D_OT_export_init, DS4D_OT_import_asset
from .panels import pictures

CLASSES = (*operators.CLASSES, *panels.CLASSES, *file_handler.CLASSES)


def _import_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    menu.layout.operator(DS4D_OT_import_asset.bl_idname, text="DS4D Splats (.ds4d)")


def _export_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    menu.layout.operator(DS4D_OT_export_init.bl_idname, text="DS4D Initial Geometry (.ply)")


def register() -> None:
    """Add everything the artist sees, and the timer that keeps it up to date."""
    preferences.register()
    properties.register()
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(_import_menu)
    bpy.types.TOPBAR_MT_file_export.append(_export_menu)
    pictures.register()
    session.register()


def unregister() -> None:
    """Take back everything `register` added."""
    session.unregister()
    pictures.unregister()
    bpy.types.TOPBAR_MT_file_export.remove(_export_menu)
    bpy.types.TOPBAR_MT_file_import.remove(_import_menu)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    properties.unregister()
    preferences.unregister()
