# SPDX-License-Identifier: GPL-3.0-or-later
"""The builders of the first trees, as they were: Play and Draw of version 2, Invented of 1."""

from __future__ import annotations

import bpy
import numpy as np

from ds4d_blender.node_fingerprint import FINGERPRINT_KEY
from ds4d_blender.nodes import input_value, set_input
from ds4d_blender.point_cloud import attribute_values, set_attribute
from ds4d_blender.splat_objects import static_child

from . import drawing, invented, material, player


def make_old(target: bpy.types.Object) -> None:
    """Give an imported object the modifiers and attributes that it would have had."""
    play = target.modifiers["DS4D Play"]
    names = ("Frames", "FPS", "Start Frame", "Static")
    frames, fps, start, static = (input_value(play, name) for name in names)
    for child in (target, static_child(target)):
        cloud = child.data
        cloud.attributes.remove(cloud.attributes["density_rank"])
        colors = np.maximum(attribute_values(cloud, "splat_color"), 0.0)
        set_attribute(cloud, "splat_color", "FLOAT_COLOR", colors)
    target.modifiers.clear()
    player.add_player(target, frame_count=frames, fps=fps, start_frame=start, static=static)
    invented.add_invented(target)
    drawing.add_drawing(target, material.splat_material(), sort=True)
    for tree in (*bpy.data.node_groups, *(item.node_tree for item in bpy.data.materials)):
        if tree is not None and FINGERPRINT_KEY in tree:
            del tree[FINGERPRINT_KEY]  # there were none


def old_input(target: bpy.types.Object, modifier: str, name: str, value: object) -> None:
    """Set an input of an old modifier."""
    set_input(target.modifiers[modifier], name, value)
