# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast each splat moves: the group *DS4D Velocity*, in Blender's own convention.

Units of the object's space per second of the scene: Cycles multiplies an attribute of the name
`velocity` by the shutter's time and by nothing else.
"""

from __future__ import annotations

import bpy

from ..nodes import Field, Tree, shared_group
from .reading import attributes_around, declare_moments

NAME = "DS4D Velocity"
VERSION = 1
FASTEST = 1e9


def velocity_group() -> bpy.types.GeometryNodeTree:
    """Return the group that tells how fast a splat moves at a moment."""
    return shared_group(NAME, VERSION, _build, modifier=False)


def _build(tree: Tree) -> None:
    tree.declare("Velocity", "Vector", output=True)
    declare_moments(tree)
    tree.declare("Rate", "Float", tip="Stored moments in a frame of the clip")
    tree.declare("End Rate", "Float", tip="The same where the end fades out")
    tree.declare("Fade Rate", "Float", tip="What End Weight loses in a frame of the clip")
    tree.declare("Speed", "Float", tip="Frames of the clip in a second of the scene, with sign")

    def at(moment: str, rate: str) -> tuple[Field, Field]:
        a, b, factor, _ = attributes_around(tree, tree.read(moment), "pos_#", "FLOAT_VECTOR")
        return tree.mix("VECTOR", factor, a, b), (b - a) * tree.read(rate)

    with tree.frame("The moment"):
        place, change = at("Moment", "Rate")
    with tree.frame("The end that fades out"):
        end, end_change = at("End Moment", "End Rate")
        weight = tree.read("End Weight")
        both = tree.mix("VECTOR", weight, change, end_change)
        both = both + (place - end) * tree.read("Fade Rate")
        fades = tree.math("GREATER_THAN", weight, 0.0)
    with tree.frame("In a second"):
        in_a_frame = tree.switch("VECTOR", fades, change, both)
        # An infinite speed times nothing would be no number.
        slow = tree.math("MINIMUM", FASTEST, tree.read("Speed"))
        velocity = in_a_frame * tree.math("MAXIMUM", -FASTEST, slow)
    tree.node("NodeGroupOutput", {"Velocity": velocity})
