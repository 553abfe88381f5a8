# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a job's result into the scene, or leave an object that follows one as it is."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from .. import session
from ..importer import import_asset
from ..jobs.job import Job
from ..live import JOB_KEY, followers, stop_following
from ..seam import DS4DError
from .subject import chosen_job, has_job, select_only


def _has_result(job: Job) -> bool:
    return session.has_asset(job)


class DS4D_OT_import_result(bpy.types.Operator):
    """Import what the fit has written as a new object"""

    bl_idname = "ds4d.import_result"
    bl_label = "Import the Result"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    job: StringProperty(
        name="Job", description="Number of the job; by default the newest", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_job(cls, _has_result, "No fit has a result yet")

    def execute(self, context: bpy.types.Context) -> set[str]:
        job = chosen_job(self.job, _has_result)
        if job is None:
            self.report({"ERROR"}, "No fit has a result yet.")
            return {"CANCELLED"}
        try:
            target = import_asset(job.output, name=job.name)
        except DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        select_only(context, [target])
        return {"FINISHED"}


class DS4D_OT_select_result(bpy.types.Operator):
    """Select the object that shows the fit"""

    bl_idname = "ds4d.select_result"
    bl_label = "Select the Object"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    job: StringProperty(
        name="Job", description="Number of the job; by default the newest", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        shown = set(followers())
        return has_job(cls, lambda job: job.id in shown, "No object shows a fit of this list")

    def execute(self, context: bpy.types.Context) -> set[str]:
        shown = followers()
        job = chosen_job(self.job, lambda job: job.id in shown)
        here = [] if job is None else [t for t in shown[job.id] if t.visible_get()]
        if not here:
            self.report({"ERROR"}, "No visible object of this scene shows the fit.")
            return {"CANCELLED"}
        select_only(context, here)
        return {"FINISHED"}


class DS4D_OT_stop_following(bpy.types.Operator):
    """Leave the active object as it is: it no longer follows its fit"""

    bl_idname = "ds4d.stop_following"
    bl_label = "Leave as It Is"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.object is not None and context.object.get(JOB_KEY):
            return True
        cls.poll_message_set("The active object follows no fit")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        stop_following(context.object)
        return {"FINISHED"}


CLASSES = (DS4D_OT_import_result, DS4D_OT_select_result, DS4D_OT_stop_following)
