# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator works on: the active object, a job, the engine; and why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import bpy

from .. import session
from ..drawing import MODIFIER_NAME as DRAW
from ..jobs.job import Job
from ..preferences import engine_state
from ..upgrade import is_outdated


def shows_splats(target: bpy.types.Object | None) -> bool:
    """Tell whether an object draws an asset."""
    return target is not None and target.type == "POINTCLOUD" and DRAW in target.modifiers


def is_splats(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Poll for an active object that draws an asset."""
    if not shows_splats(context.object):
        cls.poll_message_set("Make an imported or fitted DS4D object the active one")
        return False
    if context.mode != "OBJECT":
        cls.poll_message_set("Leave Edit Mode first")
        return False
    return True


def is_of_this_version(cls: type[bpy.types.Operator], target: bpy.types.Object) -> bool:
    """Poll for an object whose trees are today's."""
    if is_outdated(target):
        cls.poll_message_set("An earlier version made this object; press Upgrade first")
        return False
    return True


def has_engine(cls: type[bpy.types.Operator]) -> bool:
    """Poll for an engine that can work."""
    state = engine_state()
    if not state.usable:
        cls.poll_message_set(state.sentence)
        return False
    return True


def has_job(cls: type[bpy.types.Operator], suits: Callable[[Job], bool], lack: str) -> bool:
    """Poll for a job that suits, among all: an operator's properties are unknown to its poll."""
    now = session.begun()
    if now is not None and any(suits(job) for job in now.queue.jobs):
        return True
    cls.poll_message_set(lack)
    return False


def chosen_job(job_id: str, suits: Callable[[Job], bool]) -> Job | None:
    """Return the job of that number; for "" the current or the newest one that suits."""
    now = session.begun()
    if now is None:
        return None
    current = now.queue.current
    jobs = [job for job in reversed(now.queue.jobs) if suits(job)]
    if job_id:
        return next((job for job in jobs if job.id == job_id), None)
    return current if current in jobs else next(iter(jobs), None)


def select_only(context: bpy.types.Context, targets: Iterable[bpy.types.Object]) -> None:
    """Select objects, the last one active, and nothing else."""
    for other in context.selected_objects:
        other.select_set(False)
    for target in targets:
        target.select_set(True)
        context.view_layer.objects.active = target
