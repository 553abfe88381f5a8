# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: which engine fits clips, and its installation."""

from __future__ import annotations

import textwrap

import bpy
from bpy.props import EnumProperty, StringProperty

from .install import desk
from .install.check import EngineState, Kind
from .install.choice import DEFAULTS
from .install.desk import chosen_engine, engine_state
from .install.operators import BUILDS
from .install.operators import CLASSES as OPERATORS

__all__ = ["DS4D_Preferences", "chosen_engine", "engine_state", "register", "unregister"]

KINDS = (
    ("MANAGED", "Managed", "The add-on installs the engine, in a folder of its own"),
    ("EXISTING", "Existing", "A Python environment on this computer that has the engine"),
    ("REMOTE", "Remote", "An engine on another machine, reached by a command such as ssh"),
)
# What the one button is called that puts a managed engine right.
INSTALL = {
    Kind.MISSING: "Install...",
    Kind.BROKEN: "Repair...",
    Kind.OUTDATED: "Update...",
    Kind.GONE: "Rebuild...",
}
ICONS = {Kind.READY: "CHECKMARK", Kind.UNCHECKED: "QUESTION"}


class DS4D_Preferences(bpy.types.AddonPreferences):
    """Which engine is used, and how it is reached."""

    bl_idname = __package__

    kind: EnumProperty(
        name="Engine", description="Where the engine that fits clips is", items=KINDS
    )
    build: EnumProperty(
        name="Build",
        description="Which engine to install: for the graphics card or the processor",
        items=BUILDS,
    )
    wheels: StringProperty(
        name="Folder of Packages",
        description="For a computer without network: a folder of the engine's packages (wheels). "
        "Leave it empty to download them",
        subtype="DIR_PATH",
    )
    python: StringProperty(
        name="Python",
        description="The Python program of an environment that has the engine",
        subtype="FILE_PATH",
    )
    remote_prefix: StringProperty(
        name="Reached By",
        description="The command that runs another one on that machine, such as: ssh name@machine",
    )
    remote_python: StringProperty(
        name="Python There",
        description="The Python program on that machine that has the engine",
        default=DEFAULTS.remote_python,
    )
    remote_folder: StringProperty(
        name="Folder There",
        description="Where clips and results lie on that machine. Empty for ds4d-jobs in the home",
    )

    def draw(self, context: bpy.types.Context) -> None:
        draw_preferences(self.layout, self, engine_state())


def draw_preferences(
    layout: bpy.types.UILayout, settings: DS4D_Preferences, state: EngineState
) -> None:
    """Draw the choice of the engine, its state, and what can be done about it."""
    layout.row().prop(settings, "kind", expand=True)
    box = layout.box()
    if state.part is None:
        icon = ICONS.get(state.kind, "ERROR")
        for line in textwrap.wrap(state.sentence, 88):
            box.label(text=line, icon=icon)
            icon = "BLANK1"
    else:
        row = box.row()
        row.progress(factor=state.part, text=state.sentence)
        row.operator("ds4d.cancel_install", text="", icon="X")
    fields = box.column()
    fields.use_property_split = True
    fields.enabled = state.kind not in (Kind.INSTALLING, Kind.CHECKING)
    if settings.kind == "MANAGED":
        _draw_managed(fields, settings, state)
    elif settings.kind == "EXISTING":
        fields.prop(settings, "python")
        fields.operator("ds4d.check_engine", text="Check")
    else:
        fields.prop(settings, "remote_prefix")
        fields.prop(settings, "remote_python")
        fields.prop(settings, "remote_folder")
        fields.operator("ds4d.check_engine", text="Check")


def _draw_managed(
    fields: bpy.types.UILayout, settings: DS4D_Preferences, state: EngineState
) -> None:
    fields.prop(settings, "build")
    fields.prop(settings, "wheels")
    offline = desk.lacks_network()
    if offline and state.kind not in (Kind.READY, Kind.INSTALLING):
        fields.label(
            text="Blender may not use the network (System > Network > Allow Online Access).",
            icon="INTERNET_OFFLINE",
        )
    row = fields.row()
    install = row.row()
    install.enabled = not offline
    install.operator("ds4d.install_engine", text=INSTALL.get(state.kind, "Install Again..."))
    row.operator("ds4d.check_engine", text="Check")
    row.operator("ds4d.remove_engine", text="Remove")


CLASSES = (*OPERATORS, DS4D_Preferences)


def register() -> None:
    """Add the preferences and their operators."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Take them back; an installation that goes on is given up."""
    desk.stop()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
