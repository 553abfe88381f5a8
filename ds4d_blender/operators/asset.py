# SPDX-License-Identifier: GPL-3.0-or-later
"""Import assets, import one again, and export the geometry that a fit begins with."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..importer import import_asset, refill
from ..init_geometry import export_init_geometry
from ..live import stop_following
from ..seam import DS4DError
from ..splat_objects import NOTE_KEY
from ..time_knots import DEFAULT_LIMIT_MB
from .subject import is_splats, select_only


class DS4D_OT_import_asset(bpy.types.Operator, ImportHelper):
    """Import a fitted clip of Gaussian splats as a native, animated object"""

    bl_idname = "ds4d.import_asset"
    bl_label = "Import DS4D"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012  # Blender reads the class attribute

    filename_ext = ".ds4d"
    # Not kept from one time to the next: a path that is set was dropped, or given by a script.
    filepath: StringProperty(
        name="File Path",
        description="The .ds4d file to read",
        maxlen=1024,
        subtype="FILE_PATH",
        options={"SKIP_SAVE", "HIDDEN"},
    )
    filter_glob: StringProperty(default="*.ds4d", options={"HIDDEN"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: CollectionProperty(
        type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"}
    )
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
    memory_limit: IntProperty(
        name="Memory Limit (MB)",
        description="Of a clip that would take more, fewer moments are kept",
        default=DEFAULT_LIMIT_MB,
        min=10,
        soft_max=64_000,
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        # A dropped file comes with its path: only the options are left to choose.
        return self.invoke_popup(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = Path(self.directory)
        paths = [str(folder / item.name) for item in self.files if item.name] or [self.filepath]
        imported = []
        try:
            for path in paths:
                imported.append(self._import(bpy.path.abspath(path)))
        except DS4DError as error:
            self.report({"ERROR"}, str(error))
            if not imported:
                return {"CANCELLED"}
        select_only(context, imported)
        for target in imported:
            if target[NOTE_KEY]:
                self.report({"WARNING"}, target[NOTE_KEY])
        if any(target["ds4d_blend"] == "srgb" for target in imported):
            self.report(
                {"WARNING"},
                "This clip was fitted for sRGB blending: set the view transform to Raw to see "
                "it as it was fitted.",
            )
        return {"FINISHED"}

    def _import(self, path: str) -> bpy.types.Object:
        return import_asset(
            path,
            cameras=self.cameras,
            set_scene_time=self.set_scene_time,
            set_resolution=self.set_resolution,
            memory_limit=self.memory_limit,
        )


class DS4D_OT_reimport(bpy.types.Operator, ImportHelper):
    """Read the active object's asset again, or another one into its place; all else stays"""

    bl_idname = "ds4d.reimport"
    bl_label = "Re-Import DS4D"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filename_ext = ".ds4d"
    # Not kept from one time to the next: a path that is set was dropped, or given by a script.
    filepath: StringProperty(
        name="File Path",
        description="The .ds4d file to read",
        maxlen=1024,
        subtype="FILE_PATH",
        options={"SKIP_SAVE", "HIDDEN"},
    )
    filter_glob: StringProperty(default="*.ds4d", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_splats(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.properties.is_property_set("filepath"):
            self.filepath = context.object.get("ds4d_source", "")
        if Path(bpy.path.abspath(self.filepath)).is_file() and not event.alt:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = self.filepath or context.object.get("ds4d_source", "")
        try:
            refill(context.object, bpy.path.abspath(path))
        except DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        stop_following(context.object)
        return {"FINISHED"}


class DS4D_OT_export_init(bpy.types.Operator, ExportHelper):
    """Export the selected objects, joined, as the geometry that `ds4d fit --init` begins with"""

    bl_idname = "ds4d.export_init"
    bl_label = "Export DS4D Initial Geometry"

    filename_ext = ".ply"
    filter_glob: StringProperty(default="*.ply", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.selected_objects:
            return True
        cls.poll_message_set("Select one or more mesh objects")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            export_init_geometry(context.selected_objects, self.filepath)
        except DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (DS4D_OT_import_asset, DS4D_OT_reimport, DS4D_OT_export_init)
