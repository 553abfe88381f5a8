# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion of known speed for tests."""

from __future__ import annotations

import bpy


def key_x(owner: bpy.types.Object, keys: dict[int, float]) -> None:
    """Move an object along X through (frame: x) at constant speed between keys."""
    for frame, x in keys.items():
        owner.location.x = x
        owner.keyframe_insert("location", index=0, frame=frame)
    data = owner.animation_data
    strip = data.action.layers[0].strips[0]
    for curve in strip.channelbag(data.action_slot).fcurves:
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"
