# SPDX-License-Identifier: GPL-3.0-or-later
"""Play baked frames with Geometry Nodes: no Python runs while the file plays or renders.

The dynamic point cloud carries `pos_0`, `rot_0`, `scl_0`, `pos_1`, ... (and `opa_0`, ... when
its opacity changes, `col_0`, ... when its colour does). The tree reads the two frames around the
current time and interpolates: positions, scales, opacities and encoded colours linearly, rotations
along the shortest arc.
"""

from __future__ import annotations

import bpy

from ds4d_blender.nodes import Field, Tree, set_input, set_menu, shared_group

GROUP_NAME = "DS4D Play"
GROUP_VERSION = 2
MODIFIER_NAME = "DS4D Play"
MODES = ("Loop", "Ping-Pong", "Clamp")
FRAME_PATTERNS = ("pos_*", "rot_*", "scl_*", "opa_*", "col_*")


def add_player(
    target: bpy.types.Object,
    *,
    frame_count: int,
    fps: float,
    start_frame: float,
    static: bpy.types.Object | None = None,
    encoded: bool = False,
) -> bpy.types.NodesModifier:
    """Add the modifier that plays `target` and joins the points of `static` to it.

    `encoded` keeps colours as sRGB-encoded values, for assets that blend those.
    """
    modifier = target.modifiers.new(MODIFIER_NAME, "NODES")
    modifier.node_group = shared_group(GROUP_NAME, GROUP_VERSION, _build)
    set_input(modifier, "Frames", frame_count)
    set_input(modifier, "FPS", fps)
    set_input(modifier, "Start Frame", start_frame)
    set_input(modifier, "sRGB Blend", encoded)
    if static is not None:
        set_input(modifier, "Static", static)
    return modifier


def set_playback(modifier: bpy.types.NodesModifier, mode: str) -> None:
    """Choose one of MODES."""
    set_menu(modifier, "Playback", mode, MODES)


def _declare(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("Static", "Object", tip="Point cloud that does not move, drawn with this one")
    tree.declare("Playback", "Menu", tip="What happens before the first and after the last frame")
    tree.declare("Speed", "Float", 1.0, tip="Playback speed; negative plays backwards")
    tree.declare("Offset", "Float", 0.0, tip="Added to the time, in frames of the clip")
    tree.declare("Start Frame", "Float", 0.0, tip="Scene frame that shows the clip's first frame")
    tree.declare(
        "Real Time", "Bool", True, tip="Play at the clip's own frame rate, whatever the scene's is"
    )
    tree.declare("Use Scene Time", "Bool", True, tip="Follow the scene; off: follow Time")
    tree.declare("Time", "Float", 0.0, tip="Time in frames of the clip; can be keyframed")
    tree.declare("Frames", "Int", 1, tip="Number of frames of the clip")
    tree.declare("FPS", "Float", 24.0, tip="Frame rate of the clip")
    tree.declare(
        "sRGB Blend", "Bool", False, tip="The clip was fitted for blending encoded colours"
    )


def _build(tree: Tree) -> None:
    _declare(tree)
    source = tree.node("NodeGroupInput")
    first, second, factor = _frames(tree, source)

    def name(pattern: str, index: Field) -> Field:
        digits = tree.node("FunctionNodeValueToString", data_type="INT")
        tree.connect(tree.input(digits, "Value"), index)
        inputs = {"String": pattern, "Find": "#", "Replace": digits}
        return tree.output(tree.node("FunctionNodeReplaceString", inputs))

    def current(pattern: str, kind: str, mix: str) -> tuple[Field, Field]:
        names = [name(pattern, index) for index in (first, second)]
        a, b = (tree.attribute(item, kind) for item in names)
        return tree.mix(mix, factor, a, b), tree.exists(names[0])

    geometry = tree.output(source, "Geometry")
    position, moves = current("pos_#", "FLOAT_VECTOR", "VECTOR")
    geometry = tree.output(
        tree.node(
            "GeometryNodeSetPosition",
            {"Geometry": geometry, "Selection": moves, "Position": position},
        )
    )
    for pattern, kind, mix, target in (
        ("rot_#", "QUATERNION", "ROTATION", "rotation"),
        ("scl_#", "FLOAT_VECTOR", "VECTOR", "scale"),
        ("opa_#", "FLOAT", "FLOAT", "opacity"),
    ):
        value, present = current(pattern, kind, mix)
        geometry = tree.store(geometry, target, kind, value, selection=present)
    encoded, present = current("col_#", "FLOAT_VECTOR", "VECTOR")
    color = _splat_color(tree, encoded, tree.output(source, "sRGB Blend"))
    geometry = tree.store(geometry, "splat_color", "FLOAT_COLOR", color, selection=present)
    geometry = tree.remove(geometry, FRAME_PATTERNS)
    # Both clouds share one object space: the static one is parented without an offset.
    static = tree.node("GeometryNodeObjectInfo", {"Object": tree.output(source, "Static")})
    joined = tree.node(
        "GeometryNodeJoinGeometry", {"Geometry": [tree.output(static, "Geometry"), geometry]}
    )
    tree.node("NodeGroupOutput", {"Geometry": joined})


def _splat_color(tree: Tree, encoded: Field, keep: Field) -> Field:
    """Return the colour to draw: at least 0, and linear light unless `keep`."""
    positive = tree.vector_math("MAXIMUM", encoded, (0.0, 0.0, 0.0))

    def decode(channel: Field) -> Field:
        curve = tree.math("POWER", (channel + 0.055) / 1.055, 2.4)
        bright = tree.math("GREATER_THAN", channel, 0.04045)
        return tree.switch("FLOAT", bright, channel / 12.92, curve)

    linear = tree.combine(*(decode(channel) for channel in tree.separate(positive)))
    return tree.switch("VECTOR", keep, linear, positive)


def _clip_time(tree: Tree, source: bpy.types.Node) -> Field:
    """Return the time in frames of the clip, before looping."""
    scene_frame = tree.output(tree.node("GeometryNodeInputSceneTime"), "Frame")
    scene_fps = tree.driven(
        "fps / base", {"fps": "render.fps", "base": "render.fps_base"}, "Scene FPS"
    )
    rate = tree.switch(
        "FLOAT", tree.output(source, "Real Time"), 1.0, tree.output(source, "FPS") / scene_fps
    )
    since_start = (scene_frame - tree.output(source, "Start Frame")) * rate
    time = tree.switch(
        "FLOAT",
        tree.output(source, "Use Scene Time"),
        tree.output(source, "Time"),
        since_start,
    )
    return time * tree.output(source, "Speed") + tree.output(source, "Offset")


def _frames(tree: Tree, source: bpy.types.Node) -> tuple[Field, Field, Field]:
    """Return the frames before and after the current time, and the fraction between them."""
    time = _clip_time(tree, source)
    count = tree.output(source, "Frames")
    last = count - 1.0
    loop = tree.math("FLOORED_MODULO", time, count)
    ping_pong = tree.math("PINGPONG", time, last)
    clamp = tree.math("MINIMUM", tree.math("MAXIMUM", time, 0.0), last)

    # Two menu switches on one input would be two menus in conflict: this one gives a number.
    mode = tree.menu(tree.output(source, "Playback"), MODES)
    frame = tree.choose(mode, (loop, ping_pong, clamp))
    first = tree.math("FLOOR", frame)
    # A loop interpolates from the last frame to the first; elsewhere the last frame holds.
    following = first + 1.0
    held = tree.math("MINIMUM", following, last)
    second = tree.choose(mode, (tree.math("FLOORED_MODULO", following, count), held, held))
    return first, second, frame - first
