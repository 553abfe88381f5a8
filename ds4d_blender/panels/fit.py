# SPDX-License-Identifier: GPL-3.0-or-later
"""How it is fitted, what that takes, and the button that starts it."""

from __future__ import annotations

from typing import Any

import bpy

from .. import session
from ..install.check import EngineState, Kind
from ..operators.fit import can_start
from ..preferences import engine_state
from ..source import Request
from .text import amount, duration, paragraph


class DS4D_PT_fit(bpy.types.Panel):
    """Quality, output and start of a fit"""

    bl_idname = "DS4D_PT_fit"
    bl_label = "Fit"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "DS4D"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.ds4d
        state = engine_state()
        if state.kind != Kind.READY:
            _draw_engine(layout, state)
        if not state.usable:
            return
        layout.use_property_split = True
        layout.use_property_decorate = False
        asked = can_start(settings)
        layout.row().prop(settings, "preset", expand=True)
        layout.prop(settings, "output", placeholder=_placeholder(asked))
        layout.prop(settings, "live")
        if isinstance(asked, str):
            paragraph(layout, asked, icon="ERROR")
        else:
            _draw_estimate(layout, asked)
        row = layout.row()
        row.scale_y = 1.4
        row.enabled = not isinstance(asked, str)
        row.operator("ds4d.fit", text=_start_text(), icon="PLAY")


class DS4D_PT_fit_advanced(bpy.types.Panel):
    """Settings that a fit rarely needs"""

    bl_idname = "DS4D_PT_fit_advanced"
    bl_label = "Advanced"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "DS4D"
    bl_parent_id = "DS4D_PT_fit"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return engine_state().usable

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.ds4d
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "device")
        layout.prop(settings, "minutes")
        layout.prop(settings, "splats")
        layout.prop(settings, "pixels")
        if settings.source == "CLIP":
            layout.prop(settings, "thickness")
            layout.prop(settings, "back")
        layout.prop(settings, "config")


def _draw_engine(layout: bpy.types.UILayout, state: EngineState) -> None:
    """Say what is the matter with the engine; the preferences have the buttons."""
    if state.part is not None:
        layout.progress(factor=state.part, text="Installing the engine")
    paragraph(layout, state.sentence, icon="INFO" if state.part is not None else "ERROR")
    layout.operator("ds4d.open_preferences", icon="PREFERENCES")


def _placeholder(asked: Request | str) -> str:
    return "named after the source" if isinstance(asked, str) else bpy.path.basename(asked.output)


def _start_text() -> str:
    now = session.begun()
    waiting = now is not None and any(not job.state.is_over for job in now.queue.jobs)
    return "Add to the Queue" if waiting else "Start"


def _draw_estimate(layout: bpy.types.UILayout, asked: Request) -> None:
    if asked.captures:
        return
    now = session.begun()
    answer = now.questions.estimate if now is not None else None
    row = layout.row(align=True)
    if answer is not None and answer.running:
        row.label(text="Estimating...", icon="SORTTIME")
        row.operator("ds4d.cancel_look", text="", icon="X")
        return
    row.operator("ds4d.estimate", icon="SORTTIME")
    if answer is None or answer.asked != (asked.source, *asked.words):
        return
    if answer.error:
        paragraph(layout, answer.error, icon="ERROR")
    else:
        _draw_answer(layout.column(align=True), answer.values)


def _draw_answer(layout: bpy.types.UILayout, values: dict[str, Any]) -> None:
    rows = (
        ("Time", "seconds", duration),
        ("Memory", "memory_bytes", amount),
        ("Result", "asset_bytes", amount),
        ("Meanwhile on Disk", "checkpoint_bytes", amount),
    )
    for label, name, shown in rows:
        if name in values:
            split = layout.split(factor=0.5)
            split.label(text=label)
            split.label(text=f"about {shown(float(values[name]))}")
    for lack in lacks(values):
        paragraph(layout, lack, icon="ERROR")


def lacks(values: dict[str, Any]) -> list[str]:
    """Return a sentence for each thing that an estimate finds too little of."""
    found = []
    memory, disk = values.get("memory_free_bytes"), values.get("disk_free_bytes")
    if memory is not None and values.get("memory_bytes", 0) > memory:
        found.append(f"Only {amount(memory)} of memory are free: choose a lower quality.")
    needed = values.get("asset_bytes", 0) + values.get("checkpoint_bytes", 0)
    if disk is not None and needed > disk:
        found.append(f"Only {amount(disk)} are free where the output goes: choose another place.")
    return found


CLASSES = (DS4D_PT_fit, DS4D_PT_fit_advanced)
