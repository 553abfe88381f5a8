# SPDX-License-Identifier: GPL-3.0-or-later
"""What is being fitted, what waits, and what has ended."""

from __future__ import annotations

import bpy

from .. import session
from ..jobs.job import Job, State
from .pictures import draw_picture
from .text import duration, paragraph

_ICONS = {
    State.QUEUED: "TIME",
    State.STARTING: "SORTTIME",
    State.RUNNING: "PLAY",
    State.PAUSED: "PAUSE",
    State.STOPPING: "SORTTIME",
    State.DONE: "CHECKMARK",
    State.STOPPED: "SNAP_FACE",
    State.FAILED: "ERROR",
}
SILENT = "EngineSilent"


class DS4D_PT_running(bpy.types.Panel):
    """The fits of this Blender"""

    bl_idname = "DS4D_PT_running"
    bl_label = "Running"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "DS4D"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now = session.begun()
        return now is not None and bool(now.queue.jobs or now.trouble or now.queue.problems)

    def draw(self, context: bpy.types.Context) -> None:
        now = session.begun()
        if now is None:
            return
        current = now.queue.current
        if current is not None:
            _draw_current(self.layout.column(), current)
        for job in now.queue.jobs:
            if job is not current:
                _draw_other(self.layout.box(), job, now.followed)
        for sentence in (now.trouble, *now.queue.problems):
            if sentence:
                paragraph(self.layout, sentence, icon="ERROR")


def _draw_current(layout: bpy.types.UILayout, job: Job) -> None:
    layout.label(text=job.name, icon=_ICONS[job.state])
    layout.progress(factor=job.part, text=_progress_text(job))
    if job.eta_seconds is not None and job.state is State.RUNNING:
        layout.label(text=f"About {duration(job.eta_seconds)} left")
    numbers = _numbers(job)
    if numbers:
        layout.label(text=numbers)
    if job.message:
        paragraph(layout, job.message, icon="ERROR" if job.error else "NONE")
    draw_picture(layout, job.picture)
    row = layout.row(align=True)
    if job.state is State.PAUSED:
        row.operator("ds4d.go_on", icon="PLAY").job = job.id
    elif job.state is State.RUNNING:
        row.operator("ds4d.pause", icon="PAUSE").job = job.id
    if job.error == SILENT or job.state is State.STOPPING:
        row.operator("ds4d.end_now", icon="CANCEL").job = job.id
    else:
        row.operator("ds4d.cancel", icon="X").job = job.id
    _draw_log(row, job)


def _draw_other(layout: bpy.types.UILayout, job: Job, followed: frozenset[str]) -> None:
    row = layout.row(align=True)
    row.label(text=job.name, icon=_ICONS[job.state])
    if job.state is State.QUEUED:
        earlier = row.operator("ds4d.move_job", text="", icon="TRIA_UP")
        earlier.job, earlier.by = job.id, -1
        later = row.operator("ds4d.move_job", text="", icon="TRIA_DOWN")
        later.job, later.by = job.id, 1
    row.operator("ds4d.remove_job", text="", icon="X").job = job.id
    if job.message:
        paragraph(layout, job.message)
    if job.state is State.QUEUED:
        return
    numbers = _numbers(job)
    if numbers:
        layout.label(text=f"{numbers}, {duration(job.seconds)}")
    row = layout.row(align=True)
    if session.has_asset(job):
        if job.id in followed:
            row.operator(
                "ds4d.select_result", text="Select", icon="RESTRICT_SELECT_OFF"
            ).job = job.id
        else:
            row.operator("ds4d.import_result", text="Import", icon="IMPORT").job = job.id
        row.operator("ds4d.reveal_file", text="", icon="FILE_FOLDER").filepath = job.output
    if job.state is not State.DONE:
        text = "Resume" if job.resumable else "Try Again"
        row.operator("ds4d.resume", text=text, icon="FILE_REFRESH").job = job.id
    _draw_log(row, job)


def _draw_log(row: bpy.types.UILayout, job: Job) -> None:
    if job.log:
        row.operator("ds4d.show_log", text="Log", icon="TEXT").job = job.id


def _progress_text(job: Job) -> str:
    if job.state is State.PAUSED:
        return f"Paused at {job.part:.0%}"
    return f"{job.stage} {job.part:.0%}".strip()


def _numbers(job: Job) -> str:
    """Return how good it is, in the words of those who compare such things."""
    shown = []
    if "psnr" in job.values:
        shown.append(f"PSNR {job.values['psnr']:.1f} dB")
    if "gaussians" in job.values:
        shown.append(f"{job.values['gaussians']:,.0f} splats")
    return ", ".join(shown)


CLASSES = (DS4D_PT_running,)
