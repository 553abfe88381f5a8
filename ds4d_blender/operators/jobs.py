# SPDX-License-Identifier: GPL-3.0-or-later
"""Steer the jobs: pause, cancel, go on, try again, order, remove, read the log."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from .. import live, session
from ..jobs.job import Job, State
from ..seam import DS4DError
from .subject import chosen_job, has_job

LOG_LINES = 24


class _JobOperator:
    """What the operators on one job share; `suits` says for which jobs they are there."""

    job: StringProperty(
        name="Job",
        description="Number of the job; by default the current or the newest one",
        options={"SKIP_SAVE"},
    )
    suits: Callable[[Job], bool]
    lack = "There is no job"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_job(cls, cls.suits, cls.lack)

    def execute(self, context: bpy.types.Context) -> set[str]:
        job = chosen_job(self.job, type(self).suits)
        if job is None:
            self.report({"ERROR"}, f"{self.lack}.")
            return {"CANCELLED"}
        try:
            self.act(job)
        except DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        session.redraw()
        return {"FINISHED"}

    def act(self, job: Job) -> None:
        """Do it."""
        raise NotImplementedError


class DS4D_OT_pause(_JobOperator, bpy.types.Operator):
    """Let the fit write what it has and hold still; its memory stays taken"""

    bl_idname = "ds4d.pause"
    bl_label = "Pause"
    suits = staticmethod(lambda job: job.state is State.RUNNING)
    lack = "No fit is running"

    def act(self, job: Job) -> None:
        session.current().queue.pause(job.id)


class DS4D_OT_go_on(_JobOperator, bpy.types.Operator):
    """Let a paused fit go on"""

    bl_idname = "ds4d.go_on"
    bl_label = "Continue"
    suits = staticmethod(lambda job: job.state is State.PAUSED)
    lack = "No fit is paused"

    def act(self, job: Job) -> None:
        session.current().queue.go_on(job.id)


class DS4D_OT_cancel(_JobOperator, bpy.types.Operator):
    """End the fit now and keep what there is; one that waits does not begin"""

    bl_idname = "ds4d.cancel"
    bl_label = "Cancel"
    suits = staticmethod(lambda job: not job.state.is_over and job.state is not State.STOPPING)
    lack = "No fit is running or waiting"

    def act(self, job: Job) -> None:
        session.current().queue.cancel(job.id)


class DS4D_OT_end_now(_JobOperator, bpy.types.Operator):
    """End an engine that does not answer; what it has not saved is lost"""

    bl_idname = "ds4d.end_now"
    bl_label = "End It"
    suits = staticmethod(lambda job: job.state.is_active)
    lack = "No fit is running"

    def act(self, job: Job) -> None:
        session.current().queue.kill(job.id)


class DS4D_OT_resume(_JobOperator, bpy.types.Operator):
    """Fit again: from the last checkpoint if there is one"""

    bl_idname = "ds4d.resume"
    bl_label = "Resume"
    bl_options = {"UNDO"}  # noqa: RUF012  # it may bring back the object that follows
    suits = staticmethod(lambda job: job.state.is_over)
    lack = "No fit has ended"

    afresh: BoolProperty(
        name="From the Beginning",
        description="Begin again even where there is a checkpoint",
        options={"SKIP_SAVE"},
    )

    def act(self, job: Job) -> None:
        session.current().queue.retry(job.id, afresh=self.afresh)
        scene = bpy.context.scene
        if scene.ds4d.live and job.id not in live.followers():
            collection = bpy.context.collection or scene.collection
            live.add_follower(job.id, job.name, collection)


class DS4D_OT_remove_job(_JobOperator, bpy.types.Operator):
    """Take the job out of the list, with its log; its asset and its object stay"""

    bl_idname = "ds4d.remove_job"
    bl_label = "Remove from List"
    suits = staticmethod(lambda job: not job.state.is_active)
    lack = "No fit is waiting or has ended"

    def act(self, job: Job) -> None:
        queue = session.current().queue
        queue.remove(job.id)
        # The copy of a scene that was to be captured.
        shutil.rmtree(queue.folder / job.id, ignore_errors=True)
        live.remove_empty(live.followers().get(job.id, []))


class DS4D_OT_move_job(_JobOperator, bpy.types.Operator):
    """Let the job begin earlier or later than the others"""

    bl_idname = "ds4d.move_job"
    bl_label = "Move"
    suits = staticmethod(lambda job: not job.state.is_active)
    lack = "No fit is waiting"

    by: IntProperty(name="By", description="Places; negative is earlier", default=-1)

    def act(self, job: Job) -> None:
        session.current().queue.move(job.id, self.by)


class DS4D_OT_show_log(_JobOperator, bpy.types.Operator):
    """Show the end of what the engine wrote down"""

    bl_idname = "ds4d.show_log"
    bl_label = "Show Log"
    suits = staticmethod(lambda job: bool(job.log))
    lack = "No fit has begun"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_popup(self, width=760)

    def draw(self, context: bpy.types.Context) -> None:
        job = chosen_job(self.job, type(self).suits)
        if job is None:
            return
        column = self.layout.column(align=True)
        for line in log_end(job) or ["The log is empty."]:
            column.label(text=line)
        self.layout.operator("ds4d.reveal_file", text="Open the Folder").filepath = job.log

    def act(self, job: Job) -> None:
        for line in log_end(job):
            self.report({"INFO"}, line)


def log_end(job: Job) -> list[str]:
    """Return the last lines of a job's log; none where there is no log."""
    try:
        with open(job.log, "rb") as file:
            file.seek(max(Path(job.log).stat().st_size - 16384, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-LOG_LINES:]


CLASSES = (
    DS4D_OT_pause,
    DS4D_OT_go_on,
    DS4D_OT_cancel,
    DS4D_OT_end_now,
    DS4D_OT_resume,
    DS4D_OT_remove_job,
    DS4D_OT_move_job,
    DS4D_OT_show_log,
)
