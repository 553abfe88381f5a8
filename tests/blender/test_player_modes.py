# SPDX-License-Identifier: GPL-3.0-or-later
"""Playback beyond the plain loop: cross-fade, freeze, reverse, velocity, and times of any size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import input_path, input_value, set_input
from ds4d_blender.pace import bind_time
from ds4d_blender.player import MODES, default_fade, set_playback
from ds4d_engine.seam import Asset, Gaussians, write_asset
from ds4d_engine.seam.quaternions import slerp
from tests.blender.observe import played, same_rotation_error
from tests.blender.synthetic import asset

FRAMES, START, STATIC, DYNAMIC = 7, 10, 8, 24
LAST, FADE = FRAMES - 1, 2.5
PERIOD = LAST - FADE
TOLERANCE = 1e-5
# Blender 5.2 takes two rotations less than 6e-4 apart for the same.
TURN_TOLERANCE = 5e-4


ORDER = (3.0, 0.5, 6.0, 1.0, 2.25)
PLAY_ELSEWHERE = f"""
import importlib.util, sys
import bpy, numpy as np

assert importlib.util.find_spec("ds4d_blender") is None
bpy.ops.wm.open_mainfile(filepath=sys.argv[3], use_scripts=False)
target, seen = bpy.data.objects[sys.argv[1]], {{}}
for frame in {(*ORDER, *sorted(ORDER))}:
    whole = int(frame)
    bpy.context.scene.frame_set(int(sys.argv[2]) + whole, subframe=frame - whole)
    graph = bpy.context.evaluated_depsgraph_get()
    geometry = target.evaluated_get(graph).evaluated_geometry()
    for name in ("position", "velocity"):
        data = geometry.pointcloud.attributes[name].data
        values = np.empty(3 * len(data), np.float32)
        data.foreach_get("vector", values)
        assert np.array_equal(values, seen.setdefault((frame, name), values))
np.save("seen.npy", [seen[frame, "position"].reshape(-1, 3) for frame in {ORDER}])
"""


@pytest.fixture
def clip() -> Asset:
    """Seven frames in which everything changes."""
    clip = asset(STATIC, DYNAMIC, frames=FRAMES, frame_start=START, opacities=True, blend="srgb")
    rng = np.random.default_rng(4)
    clip.motion.sh0 = rng.uniform(-2.2, 1.6, (FRAMES, DYNAMIC, 1, 3)).astype(np.float32)
    return clip


@pytest.fixture
def target(clip: Asset, tmp_path: Path) -> bpy.types.Object:
    write_asset(tmp_path / "clip.ds4d", clip)
    target = import_asset(tmp_path / "clip.ds4d", set_scene_time=True)
    set_input(target.modifiers["DS4D Play"], "Fade", FADE)
    return target


def choose(target: bpy.types.Object, mode: str = "", **inputs: object) -> None:
    """Set the playback and any other inputs, with _ for a space."""
    modifier = target.modifiers["DS4D Play"]
    if mode:
        set_playback(modifier, mode)
    for name, value in inputs.items():
        set_input(modifier, name.replace("_", " "), value)


def go_to(frame: float) -> None:
    whole = int(np.floor(frame))
    bpy.context.scene.frame_set(whole, subframe=frame - whole)


def assert_shows(target: bpy.types.Object, expected: Gaussians, note: object = "") -> None:
    seen = played(target)
    for name, values in (
        ("position", expected.means),
        ("scale", expected.scales),
        ("opacity", expected.opacities),
    ):
        assert np.abs(seen[name] - values).max() < TOLERANCE, (name, note)
    colours = expected.sh0[:, 0] * 0.28209479177387814 + 0.5
    assert np.abs(seen["splat_color"][:, :3] - colours).max() < TOLERANCE, note
    turned = same_rotation_error(seen["rotation"].astype(float), expected.quats.astype(float))
    assert turned < TURN_TOLERANCE, note


def mixed(a: Gaussians, b: Gaussians, weight: float) -> Gaussians:
    """Mix two states: rotations along the shorter arc, all else linearly."""

    def mix(name: str) -> np.ndarray:
        return getattr(a, name) * (1 - weight) + getattr(b, name) * weight

    values = {name: mix(name) for name in ("means", "scales", "opacities", "sh0")}
    quats = slerp(a.quats, b.quats, weight)
    return Gaussians(
        **values, quats=quats, shN=a.shN, dynamic_scores=a.dynamic_scores, observed=a.observed
    )


def test_cross_fade_mixes_the_end_into_the_start_and_has_no_seam(
    target: bpy.types.Object, clip: Asset
) -> None:
    choose(target, "Cross-Fade")
    for time in (0.0, 0.5, 1.75, 2.5, 3.0, 3.25, PERIOD, PERIOD + 1.0, -0.25, -5.75):
        phase = time % PERIOD
        expected = clip.at(phase)
        if phase < FADE:
            expected = mixed(expected, clip.at(phase + PERIOD), 1 - phase / FADE)
        go_to(START + time)
        assert_shows(target, expected, time)
    before, after = (
        (go_to(START + PERIOD + side), played(target)["position"])[1] for side in (-1e-3, 1e-3)
    )
    inside = np.abs(np.diff(clip.motion.means, axis=0)).max()
    assert np.abs(after - before).max() < 3e-3 * inside


def test_a_fade_is_a_third_of_the_clip_until_the_artist_changes_it(
    clip: Asset, tmp_path: Path
) -> None:
    write_asset(tmp_path / "clip.ds4d", clip)
    target = import_asset(tmp_path / "clip.ds4d")
    assert input_value(target.modifiers["DS4D Play"], "Fade") == pytest.approx(LAST / 3)
    assert default_fade(100) == 8


def test_a_fade_of_any_length_stays_within_the_clip(target: bpy.types.Object, clip: Asset) -> None:
    choose(target, "Cross-Fade", Fade=1000.0)  # half the clip
    go_to(START + 1)
    assert_shows(target, mixed(clip.at(1.0), clip.at(LAST / 2 + 1), 1 - 2 / LAST))
    choose(target, Fade=0.0)  # a cut
    go_to(START + LAST + 1.5)
    assert_shows(target, clip.at(1.5))


@pytest.mark.parametrize("mode", MODES)
def test_reverse_plays_from_the_last_frame_in_every_mode(
    target: bpy.types.Object, clip: Asset, mode: str
) -> None:
    def shown(reverse: bool, time: float) -> np.ndarray:
        choose(target, mode, Reverse=reverse)
        go_to(START + time)
        return played(target)["position"]

    if mode != "Cross-Fade":
        assert np.abs(shown(True, 0.0) - clip.at(LAST).means).max() < TOLERANCE
    for time in (-2.25, 1.5, LAST + 3.75):
        assert np.abs(shown(True, time) - shown(False, LAST - time)).max() < TOLERANCE


def test_freeze_holds_a_frame_that_can_be_keyframed(target: bpy.types.Object, clip: Asset) -> None:
    modifier = target.modifiers["DS4D Play"]
    for mode in ("Loop", "Cross-Fade"):
        choose(target, mode, Freeze=True, Freeze_Frame=1.25, Reverse=True, Speed=3.0)
        go_to(START + 1)
        assert_shows(target, clip.at(1.25))
    for scene_frame, frame in ((START, 0.0), (START + 10, 5.0)):
        choose(target, Freeze_Frame=frame)
        target.keyframe_insert(input_path(modifier, "Freeze Frame"), frame=scene_frame)
    go_to(START + 5)
    assert_shows(target, clip.at(2.5))


def test_no_time_explodes(target: bpy.types.Object, clip: Asset) -> None:
    low, high = clip.motion.means.min(axis=0), clip.motion.means.max(axis=0)
    choose(target, Use_Scene_Time=False, Velocity=True)
    for mode in MODES:
        for time in (1e6 + 0.5, -1e6, 1e20, -1e20, 3e38):
            for speed in (0.0, 1.0, -3e38):
                choose(target, mode, Time=time, Speed=speed)
                seen = played(target)
                place = seen["position"][STATIC:]
                assert (place >= low - 1e-4).all() and (place <= high + 1e-4).all(), (mode, time)
                assert all(np.isfinite(seen[name]).all() for name in ("rotation", "velocity"))


@pytest.mark.parametrize("frames", [1, 2])
def test_shortest_clips_play_in_every_mode(tmp_path: Path, frames: int) -> None:
    clip = asset(0, DYNAMIC, frames=frames, frame_start=START)
    write_asset(tmp_path / "short.ds4d", clip)
    target = import_asset(tmp_path / "short.ds4d", set_scene_time=True)
    between = mixed(clip.at(0), clip.at(frames - 1), 0.5).means
    for mode in MODES:
        choose(target, mode, Velocity=True)
        go_to(START + 0.5)
        seen = played(target)
        assert np.isfinite(seen["velocity"]).all()
        assert np.abs(seen["position"] - between).max() < TOLERANCE, mode


@pytest.mark.parametrize("real_time", [True, False])
def test_velocity_is_the_motion_in_a_second(
    target: bpy.types.Object, clip: Asset, real_time: bool
) -> None:
    scene = bpy.context.scene
    scene.render.fps = 30
    choose(target, Velocity=True, Real_Time=real_time, Speed=0.5)
    step = 0.01
    for mode, reverse, frame in (
        *(("Loop", False, 2.1), ("Loop", False, LAST + 0.4), ("Loop", True, 2.1)),
        *(("Ping-Pong", False, 2.1), ("Ping-Pong", False, LAST + 1.6), ("Clamp", False, 2.1)),
        *(("Clamp", False, LAST + 3.0), ("Clamp", True, -1.0), ("Cross-Fade", False, 1.2)),
        *(("Cross-Fade", False, 3.1), ("Cross-Fade", True, 4.7)),
    ):
        choose(target, mode, Reverse=reverse)
        rate = (clip.fps / 30 if real_time else 1.0) * 0.5
        at = START + frame / rate
        go_to(at)
        velocity = played(target)["velocity"]
        places = [(go_to(at + side), played(target)["position"])[1] for side in (-step, step)]
        moved = (places[1] - places[0]) / (2 * step) * 30
        assert np.abs(velocity - moved).max() < 5e-3, (mode, reverse, frame)
        assert np.abs(velocity[:STATIC]).max() == 0
    choose(target, "Loop", Freeze=True)
    assert np.abs(played(target)["velocity"]).max() == 0


def test_velocity_is_stored_only_when_wanted(target: bpy.types.Object) -> None:
    assert "velocity" not in played(target)


def test_a_saved_file_shows_the_same_in_any_order_without_the_addon(
    target: bpy.types.Object, tmp_path: Path
) -> None:
    choose(target, "Cross-Fade", Velocity=True)
    target.modifiers["DS4D Draw"].show_viewport = False
    saved = str(tmp_path / "clip.blend")
    bpy.ops.wm.save_as_mainfile(filepath=saved)
    command = [sys.executable, "-I", "-c", PLAY_ELSEWHERE, target.name, str(START), saved]
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user")}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    elsewhere = np.load(tmp_path / "seen.npy")
    for frame, places in zip(ORDER, elsewhere, strict=True):
        go_to(START + frame)
        assert np.abs(played(target)["position"] - places).max() < 1e-6


def test_a_keyframed_speed_becomes_a_clip_that_keeps_that_speed_at_every_moment(
    target: bpy.types.Object, clip: Asset
) -> None:
    scene, modifier = bpy.context.scene, target.modifiers["DS4D Play"]
    scene.frame_end = START + 20
    choose(target, "Clamp")
    for frame, speed in ((START, 0.0), (START + 4, 1.0)):  # eases in, evenly with these handles
        choose(target, Speed=speed)
        target.keyframe_insert(input_path(modifier, "Speed"), frame=frame)
    bind_time(target, scene, keyframes=True)
    shown = []
    for time in range(9):
        go_to(START + time)
        shown.append(input_value(modifier, "Time"))
    steps = np.diff(shown)
    assert shown[0] == 0
    assert (steps >= -1e-6).all() and steps.max() < 1.0 + 1e-5
    assert np.allclose(shown[4], 2.0, atol=1e-3)
    assert np.allclose(shown[8], 6.0, atol=1e-3)
    assert input_value(modifier, "Speed") == 1
    assert_shows(target, clip.at(LAST))
