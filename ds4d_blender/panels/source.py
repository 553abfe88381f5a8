# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fitted: a clip, a dataset or this scene."""

from __future__ import annotations

from typing import Any

import bpy

from .. import session
from ..source import sentence
from .pictures import draw_picture, thumbnail_of
from .text import paragraph


class DS4D_PT_source(bpy.types.Panel):
    """The source of the next fit"""

    bl_idname = "DS4D_PT_source"
    bl_label = "Source"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "DS4D"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.ds4d
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "source", text="")
        if settings.source == "SCENE":
            _draw_capture(layout, settings)
        else:
            _draw_files(layout, settings)
        paragraph(layout, sentence(settings), icon="INFO")


def _draw_files(layout: bpy.types.UILayout, settings: Any) -> None:
    one_view = settings.source == "CLIP"
    name = "clip" if one_view else "dataset"
    layout.prop(settings, name)
    path = bpy.path.abspath(getattr(settings, name))
    if one_view and path:
        draw_picture(layout, thumbnail_of(path))
    column = layout.column(align=True)
    column.prop(settings, "frame_start", text="Frames from")
    column.prop(settings, "frame_end", text="to")
    column.prop(settings, "stride", text="Every")
    if one_view:
        layout.prop(settings, "mask")
    else:
        layout.prop(settings, "mask", text="Masks")
    if settings.mask == "FOLDER":
        layout.prop(settings, "masks")
    if one_view:
        _draw_masks(layout)


def _draw_masks(layout: bpy.types.UILayout) -> None:
    now = session.begun()
    answer = now.questions.mask if now is not None else None
    row = layout.row(align=True)
    if answer is not None and answer.running:
        row.progress(factor=answer.part, text="Finding the subject")
        row.operator("ds4d.cancel_look", text="", icon="X")
        return
    row.operator("ds4d.preview_mask", icon="MOD_MASK")
    if answer is None:
        return
    if answer.error:
        paragraph(layout, answer.error, icon="ERROR")
    elif answer.picture:
        draw_picture(layout, answer.picture, scale=10.0)
        row.operator("ds4d.reveal_file", text="", icon="FILE_FOLDER").filepath = answer.picture


def _draw_capture(layout: bpy.types.UILayout, settings: Any) -> None:
    layout.prop(settings, "subject")
    if settings.subject == "OBJECT":
        layout.prop(settings, "subject_object")
    elif settings.subject == "COLLECTION":
        layout.prop(settings, "subject_collection")
    layout.prop(settings, "rig")
    column = layout.column(align=True)
    if settings.rig != "SCENE":
        column.prop(settings, "cameras", text="Number of Them")
    column.prop(settings, "times", text="Moments")
    column.prop(settings, "size")
    column.prop(settings, "samples")


CLASSES = (DS4D_PT_source,)
