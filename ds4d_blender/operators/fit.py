# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a fit: put a job at the end of the queue, and the object that follows it into the scene."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .. import capture_command, live, session
from ..jobs.job import Job
from ..properties import PRESETS, SOURCES
from ..seam import DS4DError, errors
from ..source import Request, chosen, request
from .subject import has_engine


class DS4D_OT_fit(bpy.types.Operator):
    """Fit splats to the source. The work is done beside Blender; you can go on working"""

    bl_idname = "ds4d.fit"
    bl_label = "Start"
    # Not REGISTER: adjusting the last operation would start a second fit.
    bl_options = {"UNDO"}  # noqa: RUF012

    source: EnumProperty(name="Source", items=SOURCES, options={"SKIP_SAVE"})
    path: StringProperty(
        name="Path",
        description="The clip or the dataset's folder; by default the scene's setting",
        options={"SKIP_SAVE"},
    )
    output: StringProperty(
        name="Output", description="By default the scene's setting", options={"SKIP_SAVE"}
    )
    preset: EnumProperty(name="Quality", items=PRESETS, options={"SKIP_SAVE"})
    config: StringProperty(
        name="More Settings", description="By default the scene's setting", options={"SKIP_SAVE"}
    )
    live: BoolProperty(name="Live Preview", default=True, options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None:
            cls.poll_message_set("There is no scene")
            return False
        return has_engine(cls)

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = chosen(context.scene.ds4d, self._given(context.scene.ds4d))
        try:
            job = start(settings, context.collection or context.scene.collection)
        except DS4DError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        waits = session.current().queue.current is not None
        self.report({"INFO"}, f"{job.name} {'waits for its turn' if waits else 'begins'}.")
        return {"FINISHED"}

    def _given(self, settings: Any) -> dict[str, Any]:
        names = ("source", "output", "preset", "config", "live")
        given = {n: getattr(self, n) for n in names if self.properties.is_property_set(n)}
        if self.path:
            kind = given.setdefault("source", settings.source)
            given["clip" if kind == "CLIP" else "dataset"] = self.path
        return given


def start(settings: Any, collection: bpy.types.Collection) -> Job:
    """Put a job at the end of the queue, followed by an object in `collection` if that is wanted.

    Raises DS4DError, one sentence, where something is missing.
    """
    queue = session.current().queue
    asked = request(settings, [job.output for job in queue.jobs])
    job = Job(asked.name, [asked.source, *asked.words], asked.output, list(asked.inputs))
    if asked.captures:
        job.before = capture_command.prepare(settings, queue.folder / job.id, asked.source)
    queue.add(job)
    if settings.live:
        live.add_follower(job.id, asked.name, collection)
    return job


def can_start(settings: Any) -> Request | str:
    """Return what would be asked for, or one sentence that says what is missing."""
    now = session.begun()
    taken = [job.output for job in now.queue.jobs] if now is not None else []
    try:
        return request(settings, taken)
    except (errors.DatasetError, errors.ConfigError) as error:
        return str(error)


CLASSES = (DS4D_OT_fit,)
