# SPDX-License-Identifier: GPL-3.0-or-later
"""Look before fitting: what it will take, and whether the subject is found."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from .. import session
from ..seam import DS4DError, errors
from ..source import Request, chosen, request
from .subject import has_engine


def _ask(
    operator: bpy.types.Operator, context: bpy.types.Context, ask: Callable[[Request], None]
) -> set[str]:
    try:
        ask(request(chosen(context.scene.ds4d)))
    except DS4DError as error:
        operator.report({"ERROR"}, str(error))
        return {"CANCELLED"}
    session.redraw()
    return {"FINISHED"}


class DS4D_OT_estimate(bpy.types.Operator):
    """Tell how long the fit will take on this machine, and what memory and disk it needs"""

    bl_idname = "ds4d.estimate"
    bl_label = "Estimate"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is not None and context.scene.ds4d.source == "SCENE":
            cls.poll_message_set("There is no estimate before the scene has been rendered")
            return False
        return has_engine(cls)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return _ask(self, context, estimate)


class DS4D_OT_preview_mask(bpy.types.Operator):
    """Find the subject in every frame and show what was found"""

    bl_idname = "ds4d.preview_mask"
    bl_label = "Look at the Masks"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or context.scene.ds4d.source != "CLIP":
            cls.poll_message_set("Only a video or pictures of one camera need masks")
            return False
        return has_engine(cls)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return _ask(self, context, preview_mask)


class DS4D_OT_cancel_look(bpy.types.Operator):
    """Give up the estimate, or the look at the masks, that is under way"""

    bl_idname = "ds4d.cancel_look"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now = session.begun()
        if now is not None and now.questions.is_asking:
            return True
        cls.poll_message_set("Nothing is asked just now")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().questions.cancel()
        session.redraw()
        return {"FINISHED"}


def estimate(asked: Request) -> None:
    """Ask the engine for an estimate; raise DS4DError, one sentence, where it cannot be asked."""
    if asked.captures:
        raise errors.ConfigError("There is no estimate before the scene has been rendered.")
    session.current().questions.ask_estimate(asked.source, asked.words, asked.output)


def preview_mask(asked: Request) -> None:
    """Ask the engine for masks; raise DS4DError, one sentence, where it cannot be asked."""
    session.current().questions.ask_mask(asked.source, asked.reading)


CLASSES = (DS4D_OT_estimate, DS4D_OT_preview_mask, DS4D_OT_cancel_look)
