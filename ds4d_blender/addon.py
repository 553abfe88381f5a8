# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender sees of the add-on: its operators and menu entries."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from .importer import import_asset
from .init_geometry import export_init_geometry
from .seam import DS4DError


class DS4D_OT_import_asset(bpy.types.Operator, ImportHelper):
    """Import a fitted clip of Gaussian splats as a native, animated object"""

    bl_idname = "ds4d.import_asset"
    bl_label = "Import DS4D"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012  # Blender reads the class attribute

    filename_ext = ".ds4d"
    filter_glob: StringProperty(default="*.ds4d", options={"HIDDEN"})
    cameras: BoolProperty(
        name="Cameras",
        description="Also import the cameras the clip was fitted with",
        default=False,
    )
    set_scene_time: BoolProperty(
        name="Set Frame Rate and Range",
        description="Take the scene's frame rate, first and last frame from the clip",
        default=True,
    )
    set_resolution: BoolProperty(
        name="Set Camera and Resolution",
        description="Look through one of the clip's cameras at its resolution",
        default=False,
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            target = import_asset(
                self.filepath,
                cameras=self.cameras,
                set_scene_time=self.set_scene_time,
                set_resolution=self.set_resolution,
            )
        except DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for other in context.selected_objects:
            other.select_set(False)
        target.select_set(True)
        context.view_layer.objects.active = target
        if target["ds4d_blend"] == "srgb":
            self.report(
                {"WARNING"},
                "This clip was fitted for sRGB blending: set the view transform to Raw to see "
                "it as it was fitted.",
            )
        return {"FINISHED"}


class DS4D_OT_export_init(bpy.types.Operator, ExportHelper):
    """Export the selected objects, joined, as the geometry that `ds4d fit --init` begins with"""

    bl_idname = "ds4d.export_init"
    bl_label = "Export DS4D Initial Geometry"

    filename_ext = ".ply"
    filter_glob: StringProperty(default="*.ply", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            export_init_geometry(context.selected_objects, self.filepath)
        except DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (DS4D_OT_import_asset, DS4D_OT_export_init)


def _import_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    menu.layout.operator(DS4D_OT_import_asset.bl_idname, text="DS4D Splats (.ds4d)")


def _export_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    menu.layout.operator(DS4D_OT_export_init.bl_idname, text="DS4D Initial Geometry (.ply)")


def register() -> None:
    """Add the operators and their entries in File > Import and Export."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(_import_menu)
    bpy.types.TOPBAR_MT_file_export.append(_export_menu)


def unregister() -> None:
    """Take back everything `register` added."""
    bpy.types.TOPBAR_MT_file_export.remove(_export_menu)
    bpy.types.TOPBAR_MT_file_import.remove(_import_menu)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
