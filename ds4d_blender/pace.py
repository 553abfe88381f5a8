# SPDX-License-Identifier: GPL-3.0-or-later
"""What drives a clip: the scene's time, or keyframes of its own.

A Speed that changes over time multiplies the time that has passed, so that the clip jumps: what
the artist means is a clip that runs at that speed at every moment. As keyframes it does.
"""

from __future__ import annotations

import math
from itertools import pairwise

import bpy

from .nodes import input_path, input_value, set_input
from .player import MODIFIER_NAME


def bind_time(target: bpy.types.Object, scene: bpy.types.Scene, *, keyframes: bool) -> None:
    """Let the scene's time play a clip, or keyframes of Time.

    Two keyframes play it once, evenly, from where it starts to where it ends. Where Speed is
    animated, a keyframe at every scene frame keeps that pace, and Speed becomes 1.
    """
    player = target.modifiers[MODIFIER_NAME]
    set_input(player, "Use Scene Time", not keyframes)
    if not keyframes:
        return
    keys = _paced_keys(target, scene, player) or _even_keys(scene, player)
    set_input(player, "Speed", 1.0)
    path = input_path(player, "Time")
    for frame, time in keys:
        set_input(player, "Time", time)
        target.keyframe_insert(path, frame=frame)
    # Blender's own interpolation would ease in and out.
    for _, curve in _curves(target, path):
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"


def _rate(scene: bpy.types.Scene, player: bpy.types.NodesModifier) -> float:
    """Return how many frames of the clip pass in a frame of the scene at speed 1."""
    if not input_value(player, "Real Time"):
        return 1.0
    rate: float = input_value(player, "FPS") * scene.render.fps_base / scene.render.fps
    return rate


def _even_keys(
    scene: bpy.types.Scene, player: bpy.types.NodesModifier
) -> list[tuple[float, float]]:
    """Return scene frames and times of the clip: its first and its last frame."""
    speed = input_value(player, "Speed")
    rate = _rate(scene, player) * (speed if speed > 0 else 1.0)
    start, last = input_value(player, "Start Frame"), float(input_value(player, "Frames") - 1)
    return [(start, 0.0), (start + last / rate, last)]


def _paced_keys(
    target: bpy.types.Object, scene: bpy.types.Scene, player: bpy.types.NodesModifier
) -> list[tuple[float, float]]:
    """Return scene frames and times of the clip under an animated Speed, which is removed."""
    animated = _curves(target, input_path(player, "Speed"))
    if not animated:
        return []
    rate, start = _rate(scene, player), input_value(player, "Start Frame")
    end = max(scene.frame_end, math.ceil(start) + 1)
    frames = [start, *range(math.floor(start) + 1, end + 1)]
    curves, curve = animated[0]
    keys = [(start, 0.0)]
    for before, after in pairwise(frames):
        speed = (curve.evaluate(before) + curve.evaluate(after)) / 2
        keys.append((after, keys[-1][1] + speed * rate * (after - before)))
    curves.remove(curve)
    return keys


def _curves(
    target: bpy.types.Object, path: str
) -> list[tuple[bpy.types.bpy_prop_collection, bpy.types.FCurve]]:
    """Return the curves that animate a path of an object, each with where it is kept."""
    if target.animation_data is None or target.animation_data.action is None:
        return []
    action, slot = target.animation_data.action, target.animation_data.action_slot
    bags = [strip.channelbag(slot) for layer in action.layers for strip in layer.strips]
    return [
        (bag.fcurves, curve)
        for bag in bags
        if bag is not None
        for curve in bag.fcurves
        if curve.data_path == path
    ]
