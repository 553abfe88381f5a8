# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that install, check and remove the engine."""

from __future__ import annotations

import textwrap

import bpy

from ..seam import errors
from . import choice, desk, torch_build
from .amounts import megabytes

BUILDS = (
    (torch_build.AUTOMATIC, "Automatic", "The one for the graphics card, where one is found"),
    (torch_build.PROCESSOR, "Processor", "The small one: fits run on the processor"),
    (torch_build.GRAPHICS_CARD, "Graphics Card", "The large one, for NVIDIA cards"),
)


class DS4D_OT_install_engine(bpy.types.Operator):
    """Install, update or repair the engine in a folder of its own; asks before it downloads"""

    bl_idname = "ds4d.install_engine"
    bl_label = "Install DS4D Engine"

    build: bpy.props.EnumProperty(
        name="Build", description="Which engine to install", items=BUILDS, default="AUTOMATIC"
    )
    wheels: bpy.props.StringProperty(
        name="Folder of Packages",
        description="Take packages from this folder and leave the network alone",
        subtype="DIR_PATH",
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = desk.why_not_install()
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        settings = choice.settings()
        self.build, self.wheels = settings.build, settings.wheels
        if desk.lacks_network():
            return self.execute(context)  # which says so
        desk.look_for_gpu()
        return context.window_manager.invoke_props_dialog(
            self, width=460, title="Install the Engine", confirm_text="Install"
        )

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        build = desk.build_for(self.build)
        if desk.renews(self.build):
            column.label(text="Exchanges the engine alone; nothing is downloaded.")
            return
        if self.wheels:
            column.label(text=f"Packages come from {self.wheels}")
        else:
            size = megabytes(desk.download_bytes(self.build))
            column.label(text=f"Downloads about {size} of packages from the Internet.")
        column.label(text=f"Takes about {megabytes(build.disk_bytes)} on the disk.")
        for line in textwrap.wrap(desk.reason_for(self.build), 70):
            column.label(text=line)
        column.prop(self, "build")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            desk.begin_installation(self.build, bpy.path.abspath(self.wheels))
        except errors.DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class DS4D_OT_cancel_install(bpy.types.Operator):
    """Give up the installation; an engine that was there before stays as it was"""

    bl_idname = "ds4d.cancel_install"
    bl_label = "Cancel Installation"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if desk.installing():
            return True
        cls.poll_message_set("Nothing is being installed.")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        desk.cancel_installation()
        return {"FINISHED"}


class DS4D_OT_check_engine(bpy.types.Operator):
    """Have the chosen engine try itself, and say what it can do"""

    bl_idname = "ds4d.check_engine"
    bl_label = "Check DS4D Engine"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = desk.why_not_check()
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        desk.begin_check()
        return {"FINISHED"}


class DS4D_OT_remove_engine(bpy.types.Operator):
    """Delete the installed engine with everything that belongs to it"""

    bl_idname = "ds4d.remove_engine"
    bl_label = "Remove DS4D Engine"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = desk.why_not_remove()
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            desk.remove_engine()
        except errors.DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (
    DS4D_OT_install_engine,
    DS4D_OT_cancel_install,
    DS4D_OT_check_engine,
    DS4D_OT_remove_engine,
)
