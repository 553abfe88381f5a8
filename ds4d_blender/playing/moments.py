# SPDX-License-Identifier: GPL-3.0-or-later
"""The two stored moments around a time of the clip: the group *DS4D Moment*.

Moments are stored for every frame of the clip, or for fewer, evenly from the first to the last
frame, where memory was short. From the last frame back to the first it is always one frame.
"""

from __future__ import annotations

import bpy

from ..nodes import Tree, shared_group

NAME = "DS4D Moment"
VERSION = 1


def moment_group() -> bpy.types.GeometryNodeTree:
    """Return the group that finds the stored moments around a time."""
    return shared_group(NAME, VERSION, _build, modifier=False)


def _build(tree: Tree) -> None:
    tree.declare(
        "Moment", "Vector", output=True, tip="The moment before, the one after, how far between"
    )
    tree.declare("Rate", "Float", output=True, tip="Stored moments in a frame of the clip")
    tree.declare("Time", "Float", tip="0 to Frames, in frames of the clip")
    tree.declare("Frames", "Float")
    tree.declare("Knot Spacing", "Float", 1.0, tip="Frames of the clip from moment to moment")
    tree.declare("Wraps", "Bool", tip="The first frame follows the last one")
    with tree.frame("Within the clip"):
        last = tree.math("MAXIMUM", 0.0, tree.read("Frames") - 1.0)
        place = tree.math("MINIMUM", tree.read("Time"), last) / tree.read("Knot Spacing")
        top = tree.math("ROUND", last / tree.read("Knot Spacing"))
        before = tree.math("MINIMUM", tree.math("FLOOR", place), top)
        after = tree.math("MINIMUM", before + 1.0, top)
        inside = tree.combine(before, after, place - before)
    with tree.frame("From the last frame to the first"):
        beyond = tree.read("Time") - last
        between = tree.combine(top, 0.0, beyond)
        wrapping = tree.read("Wraps") * (1.0 - tree.math("LESS_THAN", beyond, 0.0))
    tree.node(
        "NodeGroupOutput",
        {
            "Moment": tree.switch("VECTOR", wrapping, inside, between),
            "Rate": tree.switch("FLOAT", wrapping, 1.0 / tree.read("Knot Spacing"), 1.0),
        },
    )
