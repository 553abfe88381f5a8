# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender sees of the add-on: its operators and menu entries."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from .importer import import_asset
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


CLASSES = (DS4D_OT_import_asset,)


def _import_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    menu.layout.operator(DS4D_OT_import_asset.bl_idname, text="DS4D Splats (.ds4d)")


def register() -> None:
    """Add the operators and the File > Import entry."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(_import_menu)


def unregister() -> None:
    """Take back everything `register` added."""
    bpy.types.TOPBAR_MT_file_import.remove(_import_menu)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
