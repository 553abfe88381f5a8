# SPDX-License-Identifier: GPL-3.0-or-later
"""The modifier that plays a clip: put it on an object, tell it which clip, choose how it plays."""

from __future__ import annotations

import bpy

from .nodes import input_value, set_input, set_menu
from .playing import MODES, play_group

MODIFIER_NAME = "DS4D Play"
LONGEST_FADE = 8.0

__all__ = ["MODES", "MODIFIER_NAME", "add_player", "default_fade", "set_clip", "set_playback"]


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
    modifier.node_group = play_group()
    set_input(modifier, "Fade", default_fade(1))
    set_clip(modifier, frame_count=frame_count, fps=fps, encoded=encoded)
    set_input(modifier, "Start Frame", start_frame)
    if static is not None:
        set_input(modifier, "Static", static)
    return modifier


def set_clip(
    modifier: bpy.types.NodesModifier,
    *,
    frame_count: int,
    fps: float,
    moments: int | None = None,
    encoded: bool = False,
) -> None:
    """Tell the modifier what the object carries: `moments`, by default one for every frame.

    A fade that the artist has not changed follows the length of the clip.
    """
    before = int(input_value(modifier, "Frames"))
    steps = max((moments or frame_count) - 1, 1)
    values: dict[str, object] = {
        "Frames": frame_count,
        "FPS": fps,
        "Knot Spacing": max(frame_count - 1, 1) / steps,
        "sRGB Blend": encoded,
    }
    if abs(input_value(modifier, "Fade") - default_fade(before)) < 1e-4:
        values["Fade"] = default_fade(frame_count)
    for name, value in values.items():
        if input_value(modifier, name) != value:
            set_input(modifier, name, value)


def default_fade(frame_count: int) -> float:
    """Return over how many frames a clip blends into its start: a third of it, 8 at most."""
    return min(LONGEST_FADE, (frame_count - 1) / 3)


def set_playback(modifier: bpy.types.NodesModifier, mode: str) -> None:
    """Choose one of MODES."""
    set_menu(modifier, "Playback", mode, MODES)
