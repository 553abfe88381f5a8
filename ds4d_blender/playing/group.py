# SPDX-License-Identifier: GPL-3.0-or-later
"""The *DS4D Play* group: its inputs, and how the parts follow one another."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from ..drawing.srgb import decoded
from ..nodes import Field, Tree, shared_group
from .modes import held, playback_group
from .moments import moment_group
from .reading import Kind, read_group
from .velocity import velocity_group

NAME = "DS4D Play"
VERSION = 4
MODES = ("Loop", "Ping-Pong", "Clamp", "Cross-Fade")

_FRAME_PATTERNS = ("pos_*", "rot_*", "scl_*", "opa_*", "col_*")


def play_group() -> bpy.types.GeometryNodeTree:
    """Return the file's group that plays a clip, built when missing."""
    return shared_group(NAME, VERSION, _build)


def _declare(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("Playback", "Menu", tip="What happens before the first and after the last frame")
    tree.declare("Speed", "Float", 1.0, tip="Multiplies the time; keyframe Time to change pace")
    tree.declare("Offset", "Float", 0.0, tip="Added to the time, in frames of the clip")
    tree.declare("Start Frame", "Float", 0.0, tip="Scene frame that shows the clip's first frame")
    tree.declare("Reverse", "Bool", False, tip="Play from the last frame to the first")
    tree.declare(
        "Fade",
        "Float",
        8.0,
        minimum=0.0,
        tip="Cross-Fade: frames over which the end blends into the start; half the clip at most",
    )
    with tree.panel("Freeze", tip="Hold one frame, whatever the time is"):
        tree.declare("Freeze", "Bool", False, tip="Hold Freeze Frame")
        tree.declare(
            "Freeze Frame", "Float", 0.0, minimum=0.0, tip="Counted from 0; can be keyframed"
        )
    with tree.panel("Time", tip="What the clip follows"):
        tree.declare(
            "Real Time",
            "Bool",
            True,
            tip="Play at the clip's own frame rate, whatever the scene's is",
        )
        tree.declare("Use Scene Time", "Bool", True, tip="Follow the scene; off: follow Time")
        tree.declare("Time", "Float", 0.0, tip="Time in frames of the clip; can be keyframed")
    with tree.panel("Clip", tip="What is played; the import sets it"):
        tree.declare("Frames", "Int", 1, minimum=1, tip="Number of frames of the clip")
        tree.declare("FPS", "Float", 24.0, minimum=1e-3, tip="Frame rate of the clip")
        tree.declare("Static", "Object", tip="Point cloud that does not move, drawn with this one")
        tree.declare(
            "Velocity",
            "Bool",
            False,
            tip="Store the attribute velocity, in units per second, for nodes that want it",
        )
        tree.declare(
            "Knot Spacing",
            "Float",
            1.0,
            minimum=1e-3,
            hidden=True,
            tip="Frames of the clip from one stored moment to the next",
        )
        tree.declare(
            "sRGB Blend",
            "Bool",
            False,
            hidden=True,
            tip="The clip was fitted for blending encoded colors",
        )


@dataclass(frozen=True)
class _Shown:
    """What is shown at the current time: fields of one value, for all splats."""

    moments: dict[str, Field]
    """The inputs of the groups that read attributes."""
    rates: dict[str, Field]
    """What the velocity needs besides."""


def _build(tree: Tree) -> None:
    _declare(tree)
    with tree.frame("Time in the clip"):
        time, per_second = _clip_time(tree)
    with tree.frame("Moments that are shown"):
        shown = _shown(tree, time, per_second)
    with tree.frame("Splats at that time"):
        geometry = _played(tree, tree.read("Geometry"), shown.moments)
    with tree.frame("Velocity"):
        velocity = tree.call(velocity_group(), {**shown.moments, **shown.rates})
        stored = tree.store(geometry, "velocity", "FLOAT_VECTOR", tree.output(velocity))
        geometry = tree.switch("GEOMETRY", tree.read("Velocity"), geometry, stored)
    with tree.frame("Join what does not move"):
        geometry = tree.remove(geometry, _FRAME_PATTERNS)
        # Both clouds share one object space: the static one is parented without an offset.
        static = tree.node("GeometryNodeObjectInfo", {"Object": tree.read("Static")})
        joined = tree.node(
            "GeometryNodeJoinGeometry", {"Geometry": [tree.output(static, "Geometry"), geometry]}
        )
    tree.node("NodeGroupOutput", {"Geometry": joined})


def _clip_time(tree: Tree) -> tuple[Field, Field]:
    """Return the time in frames of the clip, of any size, and how many pass in a second."""
    scene_frame = tree.output(tree.node("GeometryNodeInputSceneTime"), "Frame")
    scene_fps = tree.driven(
        "fps / base", {"fps": "render.fps", "base": "render.fps_base"}, "Scene FPS"
    )
    fps = tree.switch("FLOAT", tree.read("Real Time"), scene_fps, tree.read("FPS"))
    since_start = (scene_frame - tree.read("Start Frame")) * (fps / scene_fps)
    time = tree.switch("FLOAT", tree.read("Use Scene Time"), tree.read("Time"), since_start)
    time = time * tree.read("Speed") + tree.read("Offset")
    back = (tree.read("Frames") - 1.0) - time
    sign = tree.switch("FLOAT", tree.read("Reverse"), 1.0, -1.0)
    return tree.switch("FLOAT", tree.read("Reverse"), time, back), fps * tree.read("Speed") * sign


def _shown(tree: Tree, time: Field, per_second: Field) -> _Shown:
    """Return the moments that are shown at a time, and how fast they pass."""
    mode = tree.menu(tree.read("Playback"), MODES)
    inputs = {name: tree.read(name) for name in ("Frames", "Fade")}
    playback = tree.call(playback_group(), {"Mode": mode, "Time": time, **inputs})
    runs = 1.0 - tree.read("Freeze")
    frozen = held(tree, tree.read("Freeze Frame"), tree.read("Frames") - 1.0)
    now = tree.switch("FLOAT", tree.read("Freeze"), tree.output(playback, "Time"), frozen)
    clip = {name: tree.read(name) for name in ("Frames", "Knot Spacing")}
    wraps = tree.output(playback, "Wraps") * runs
    moment = tree.call(moment_group(), {"Time": now, "Wraps": wraps, **clip})
    ending = tree.call(moment_group(), {"Time": tree.output(playback, "End Time"), **clip})
    moments = {
        "Moment": tree.output(moment, "Moment"),
        "End Moment": tree.output(ending, "Moment"),
        "End Weight": tree.output(playback, "End Weight") * runs,
    }
    rates = {
        "Rate": tree.output(moment, "Rate"),
        "End Rate": tree.output(ending, "Rate"),
        "Fade Rate": tree.output(playback, "Fade Rate"),
        "Speed": per_second * tree.output(playback, "Direction") * runs,
    }
    return _Shown(moments, rates)


def _played(tree: Tree, geometry: Field, moments: dict[str, Field]) -> Field:
    """Return the points with the values of the moments that are shown."""

    def current(pattern: str, kind: Kind) -> tuple[Field, Field]:
        node = tree.call(read_group(kind), {"Name": pattern, **moments})
        return tree.output(node, "Value"), tree.output(node, "Exists")

    def stored(points: Field, name: str, kind: str, value: Field, there: Field) -> Field:
        # Even a selection of nothing makes the node copy what is there.
        present = tree.sample(points, "BOOLEAN", there, 0)
        changed = tree.store(points, name, kind, value)
        return tree.switch("GEOMETRY", present, points, changed)

    position, moves = current("pos_#", "Vector")
    inputs = {"Geometry": geometry, "Selection": moves, "Position": position}
    geometry = tree.output(tree.node("GeometryNodeSetPosition", inputs))
    geometry = stored(geometry, "rotation", "QUATERNION", *current("rot_#", "Rotation"))
    geometry = stored(geometry, "scale", "FLOAT_VECTOR", *current("scl_#", "Vector"))
    geometry = stored(geometry, "opacity", "FLOAT", *current("opa_#", "Number"))
    encoded, changes = current("col_#", "Vector")
    color = _splat_color(tree, encoded, tree.read("sRGB Blend"))
    return stored(geometry, "splat_color", "FLOAT_COLOR", color, changes)


def _splat_color(tree: Tree, encoded: Field, keep: Field) -> Field:
    """Return the signed color: linear light unless `keep`. Drawing cuts it off at 0."""
    return tree.switch("VECTOR", keep, decoded(tree, encoded), encoded)
