# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens beyond the ends of a clip: the group *DS4D Playback*.

Whatever time comes in, what goes out lies within the clip. Results of a modulo are held there once
more, since rounding (and a time that is no number) leads out of its range.
"""

from __future__ import annotations

import bpy

from ..nodes import Field, Tree, shared_group

NAME = "DS4D Playback"
VERSION = 1


def playback_group() -> bpy.types.GeometryNodeTree:
    """Return the group that holds a time within the clip."""
    return shared_group(NAME, VERSION, _build, modifier=False)


def _declare(tree: Tree) -> None:
    tree.declare("Time", "Float", output=True, tip="0 to Frames, where the first frame follows")
    tree.declare("Wraps", "Bool", output=True, tip="The first frame follows the last one")
    tree.declare("Direction", "Float", output=True, tip="1, -1, or 0 where the clip stands still")
    tree.declare("End Time", "Float", output=True, tip="In a cross-fade: the end that fades out")
    tree.declare("End Weight", "Float", output=True, tip="How much of the end is mixed in, 0 to 1")
    tree.declare("Fade Rate", "Float", output=True, tip="What End Weight loses in a frame")
    tree.declare("Mode", "Int", tip="Loop, Ping-Pong, Clamp, Cross-Fade")
    tree.declare("Time", "Float", tip="In frames of the clip: any number")
    tree.declare("Frames", "Float")
    tree.declare("Fade", "Float")


def _build(tree: Tree) -> None:
    _declare(tree)
    with tree.frame("Last frame"):
        last = tree.math("MAXIMUM", 0.0, tree.read("Frames") - 1.0)
    with tree.frame("Loop"):
        looped = _wrapped(tree, tree.read("Time"), tree.read("Frames"))
    with tree.frame("Ping-Pong"):
        there_and_back = tree.math("PINGPONG", tree.read("Time"), last)
        turned = tree.math(
            "LESS_THAN", last, tree.math("FLOORED_MODULO", tree.read("Time"), last * 2.0)
        )
        sign = 1.0 - turned * 2.0
    with tree.frame("Clamp"):
        clamped = held(tree, tree.read("Time"), last)
        runs = (1.0 - tree.math("LESS_THAN", tree.read("Time"), 0.0)) * tree.math(
            "LESS_THAN", tree.read("Time"), last
        )
    with tree.frame("Cross-Fade: the end lies one period after the start"):
        fade = tree.math("MINIMUM", tree.math("MAXIMUM", 0.0, tree.read("Fade")), last * 0.5)
        period = last - fade
        faded = _wrapped(tree, tree.read("Time"), period)
        fades = tree.math("LESS_THAN", faded, fade) * (
            tree.math("COMPARE", tree.read("Mode"), 3.0, 0.5)
        )
        weight = (1.0 - faded / fade) * fades
    with tree.frame("Mode"):
        chosen = tree.choose(tree.read("Mode"), (looped, there_and_back, clamped, faded))
        limit = tree.choose(tree.read("Mode"), (tree.read("Frames"), last, last, last))
        direction = tree.choose(tree.read("Mode"), (1.0, sign, runs, 1.0))
        wraps = tree.math("COMPARE", tree.read("Mode"), 0.0, 0.5)
    tree.node(
        "NodeGroupOutput",
        {
            "Time": held(tree, chosen, limit),
            "Wraps": wraps,
            "Direction": direction,
            "End Time": held(tree, faded + period, last),
            "End Weight": weight,
            "Fade Rate": fades / fade,
        },
    )


def held(tree: Tree, time: Field, last: Field) -> Field:
    """Return the time within 0 to `last`; no number at all becomes 0."""
    return tree.math("MINIMUM", tree.math("MAXIMUM", 0.0, time), last)


def _wrapped(tree: Tree, time: Field, period: Field) -> Field:
    """Return the time after as many whole periods as fit into it."""
    return held(tree, tree.math("FLOORED_MODULO", time, period), period)
