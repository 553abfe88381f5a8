# SPDX-License-Identifier: GPL-3.0-or-later
"""Playback: which frames of the clip show at which time, and what lies between them."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import input_path, set_input
from ds4d_blender.player import set_playback
from ds4d_engine.seam import Asset, write_asset
from tests.blender.observe import played, same_rotation_error, slerp
from tests.blender.synthetic import asset

FRAMES = 6
START = 10
STATIC, DYNAMIC = 20, 40
TOLERANCE = 1e-5


@pytest.fixture
def clip() -> Asset:
    """Six frames at 24 per second that start at scene frame 10, with fading opacity."""
    return asset(STATIC, DYNAMIC, frames=FRAMES, frame_start=START, opacities=True)


@pytest.fixture
def target(clip: Asset, tmp_path: Path) -> bpy.types.Object:
    write_asset(tmp_path / "clip.ds4d", clip)
    return import_asset(tmp_path / "clip.ds4d", set_scene_time=True)


def player(target: bpy.types.Object) -> bpy.types.NodesModifier:
    return target.modifiers["DS4D Play"]


def go_to(frame: float) -> None:
    whole = int(np.floor(frame))
    bpy.context.scene.frame_set(whole, subframe=frame - whole)


def assert_shows(target: bpy.types.Object, clip: Asset, frame: float, following: int) -> None:
    """Assert that the splats are those of `frame`, on the way from its floor to `following`."""
    before, factor = int(np.floor(frame)), frame - np.floor(frame)
    motion, seen = clip.motion, played(target)

    def mix(values: np.ndarray) -> np.ndarray:
        return values[before] * (1 - factor) + values[following] * factor

    rotations = slerp(
        motion.quats[before].astype(float), motion.quats[following].astype(float), factor
    )
    moving = slice(STATIC, None)
    assert np.abs(seen["position"][moving] - mix(motion.means)).max() < TOLERANCE
    assert np.abs(seen["scale"][moving] - mix(motion.scales)).max() < TOLERANCE
    assert np.abs(seen["opacity"][moving] - mix(motion.opacities)).max() < TOLERANCE
    assert same_rotation_error(seen["rotation"][moving].astype(float), rotations) < TOLERANCE


@pytest.mark.parametrize("frame", range(FRAMES))
def test_scene_frame_shows_the_frame_of_the_clip(
    target: bpy.types.Object, clip: Asset, frame: int
) -> None:
    go_to(START + frame)
    assert_shows(target, clip, frame, frame)


@pytest.mark.parametrize("frame", [0.25, 1.5, 3.9])
def test_sub_frames_are_interpolated(target: bpy.types.Object, clip: Asset, frame: float) -> None:
    go_to(START + frame)
    assert_shows(target, clip, frame, int(frame) + 1)


def test_playback_agrees_with_the_asset(target: bpy.types.Object, clip: Asset) -> None:
    go_to(START + 2.375)
    seen, expected = played(target), clip.at(2.375)
    assert np.abs(seen["position"] - expected.means).max() < TOLERANCE
    assert np.abs(seen["scale"] - expected.scales).max() < TOLERANCE
    assert np.abs(seen["opacity"] - expected.opacities).max() < TOLERANCE
    assert same_rotation_error(seen["rotation"].astype(float), expected.quats) < TOLERANCE


@pytest.mark.parametrize(
    ("scene_frame", "frame", "following"),
    [(FRAMES, 0, 0), (FRAMES + 2.5, 2.5, 3), (FRAMES - 0.25, FRAMES - 0.25, 0),
     (-1, FRAMES - 1, FRAMES - 1), (-0.5, FRAMES - 0.5, 0), (-FRAMES * 3 + 1, 1, 1)],
)  # fmt: skip
def test_loop_wraps_and_interpolates_from_the_last_frame_to_the_first(
    target: bpy.types.Object, clip: Asset, scene_frame: float, frame: float, following: int
) -> None:
    set_playback(player(target), "Loop")
    go_to(START + scene_frame)
    assert_shows(target, clip, frame, following)


@pytest.mark.parametrize(
    ("scene_frame", "frame"),
    [(FRAMES - 1, FRAMES - 1), (FRAMES, FRAMES - 2), (FRAMES + 0.5, FRAMES - 2.5),
     (2 * (FRAMES - 1), 0), (-1.5, 1.5)],
)  # fmt: skip
def test_ping_pong_turns_at_both_ends(
    target: bpy.types.Object, clip: Asset, scene_frame: float, frame: float
) -> None:
    set_playback(player(target), "Ping-Pong")
    go_to(START + scene_frame)
    assert_shows(target, clip, frame, min(int(frame) + 1, FRAMES - 1))


@pytest.mark.parametrize(
    ("scene_frame", "frame"), [(-40, 0), (-0.5, 0), (3.5, 3.5), (FRAMES - 0.5, FRAMES - 1), (90, 5)]
)
def test_clamp_holds_the_first_and_last_frame(
    target: bpy.types.Object, clip: Asset, scene_frame: float, frame: float
) -> None:
    set_playback(player(target), "Clamp")
    go_to(START + scene_frame)
    assert_shows(target, clip, frame, min(int(frame) + 1, FRAMES - 1))


@pytest.mark.parametrize(
    ("speed", "offset", "frame"), [(0.5, 0.0, 1.5), (2.0, 0.0, 0.0), (1.0, 1.25, 4.25), (-1, 0, 3)]
)
def test_speed_multiplies_time_and_offset_adds_frames(
    target: bpy.types.Object, clip: Asset, speed: float, offset: float, frame: float
) -> None:
    set_input(player(target), "Speed", speed)
    set_input(player(target), "Offset", offset)
    go_to(START + 3)
    assert_shows(target, clip, frame, (int(frame) + 1) % FRAMES)


def test_keyframed_time_replaces_the_scene_time(target: bpy.types.Object, clip: Asset) -> None:
    set_input(player(target), "Use Scene Time", False)
    for scene_frame, time in ((1, 4.0), (101, 0.0)):
        set_input(player(target), "Time", time)
        target.keyframe_insert(input_path(player(target), "Time"), frame=scene_frame)
    for curve in fcurves(target):
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
    go_to(26)  # a quarter of the way from 4 to 0
    assert_shows(target, clip, 3.0, 3)
    go_to(38.5)
    assert_shows(target, clip, 2.5, 3)


def fcurves(target: bpy.types.Object) -> list[bpy.types.FCurve]:
    """Return the curves of an object's action, which Blender 5.0 moved."""
    action = target.animation_data.action
    if hasattr(action, "fcurves"):
        return list(action.fcurves)
    return [
        curve
        for layer in action.layers
        for strip in layer.strips
        for bag in strip.channelbags
        for curve in bag.fcurves
    ]


@pytest.mark.parametrize(("real_time", "frame"), [(True, 1.6), (False, 2.0)])
def test_clip_keeps_its_speed_in_a_scene_of_another_frame_rate(
    target: bpy.types.Object, clip: Asset, real_time: bool, frame: float
) -> None:
    bpy.context.scene.render.fps = 30
    set_input(player(target), "Real Time", real_time)
    go_to(START + 2)
    assert_shows(target, clip, frame, int(frame) + 1)


def test_clip_of_one_frame_stands_still(tmp_path: Path) -> None:
    clip = asset(0, DYNAMIC, frames=1)
    write_asset(tmp_path / "one.ds4d", clip)
    target = import_asset(tmp_path / "one.ds4d")
    for mode in ("Loop", "Ping-Pong", "Clamp"):
        set_playback(player(target), mode)
        go_to(7.5)
        assert np.abs(played(target)["position"] - clip.motion.means[0]).max() < TOLERANCE
