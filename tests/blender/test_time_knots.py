# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips that are too large keep fewer moments and play at the same pace."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import set_input
from ds4d_blender.player import set_playback
from ds4d_blender.seam import read_asset
from ds4d_blender.splat_layers import layers
from ds4d_blender.time_knots import MEGABYTE, bytes_of, within
from ds4d_engine.seam import Asset, Gaussians, write_asset
from tests.blender.observe import played, same_rotation_error
from tests.blender.synthetic import asset

FRAMES, START, KEPT = 9, 10, 4
LAST = FRAMES - 1
SPACING = LAST / (KEPT - 1)
TOLERANCE = 1e-5


@pytest.fixture
def clip() -> Asset:
    """Nine frames of which four moments fit into the limit."""
    return asset(10, 30, frames=FRAMES, frame_start=START, opacities=True, bases=3)


def limit_of(clip: Asset, moments: int) -> float:
    """Return a memory limit in MB that so many moments meet, and one more does not."""
    return (bytes_of(clip, moments) + 1) / MEGABYTE


def stored(clip: Asset, moment: int) -> Gaussians:
    return clip.at(min(moment * SPACING, LAST))


def test_a_clip_within_the_limit_is_left_alone(clip: Asset) -> None:
    assert within(clip, limit_of(clip, FRAMES), "x.ds4d") == (clip, "")


def test_the_bytes_are_those_of_the_attributes(clip: Asset) -> None:
    for kept in (FRAMES, KEPT):
        thinned, _ = within(clip, limit_of(clip, kept), "x.ds4d")
        assert bytes_of(clip, kept) == sum(layer.values.nbytes for layer in layers(thinned))


def test_the_sentence_says_what_was_kept_and_how_to_keep_all(clip: Asset) -> None:
    large = asset(0, 40, frames=100)
    large.motion.means = np.broadcast_to(np.float32(0), (100, 1_000_000, 3))
    large.motion.quats = large.motion.scales = None
    large.dynamic.means = np.broadcast_to(np.float32(0), (1_000_000, 3))
    _, sentence = within(large, 700, "x.ds4d")
    assert sentence == (
        "'x.ds4d' would take 1.3 GB in Blender; 51 of its 100 moments were kept (700 MB). Raise "
        "Memory Limit in the import options to keep all."
    )


def test_two_moments_are_kept_whatever_the_limit(clip: Asset) -> None:
    thinned, sentence = within(clip, 0.0, "x.ds4d")
    assert len(thinned.motion.means) == 2
    assert np.array_equal(thinned.motion.means[1], clip.motion.means[-1])
    assert "2 of its 9 moments" in sentence


def test_moments_are_mixed_one_at_a_time_from_the_mapped_file(clip: Asset, tmp_path: Path) -> None:
    write_asset(tmp_path / "clip.ds4d", clip)
    thinned, _ = within(read_asset(tmp_path / "clip.ds4d"), limit_of(clip, KEPT), "clip.ds4d")
    for moment in range(KEPT):
        expected = stored(clip, moment)
        still = len(clip.static)
        assert np.abs(thinned.motion.means[moment] - expected.means[still:]).max() < 1e-6
        turned = thinned.motion.quats[moment].astype(float)
        assert same_rotation_error(turned, expected.quats[still:].astype(float)) < 1e-5


def test_fewer_moments_play_at_the_same_pace_in_every_mode(clip: Asset, tmp_path: Path) -> None:
    write_asset(tmp_path / "clip.ds4d", clip)
    target = import_asset(
        tmp_path / "clip.ds4d", set_scene_time=True, memory_limit=limit_of(clip, KEPT)
    )
    assert f"{KEPT} of its {FRAMES} moments" in target["ds4d_note"]
    assert f"pos_{KEPT}" not in target.data.attributes
    assert bpy.context.scene.frame_end == START + LAST
    player = target.modifiers["DS4D Play"]

    def place(frame: float) -> np.ndarray:
        """Return where the splats are at a frame of the clip, LAST to FRAMES being the wrap."""
        if frame > LAST:
            first, second, weight = KEPT - 1, 0, frame - LAST
        else:
            first = min(int(frame / SPACING), KEPT - 2)
            second, weight = first + 1, frame / SPACING - first
        return stored(clip, first).means * (1 - weight) + stored(clip, second).means * weight

    set_input(player, "Fade", 2.0)
    fading = place(1.0) * 0.5 + place(7.0) * 0.5
    for mode, speed, time, expected in (
        *(("Loop", 1.0, 3.25, place(3.25)), ("Loop", 1.0, LAST + 0.75, place(LAST + 0.75))),
        *(("Loop", 1.0, FRAMES + 1.5, place(1.5)), ("Loop", 0.5, 5.0, place(2.5))),
        *(("Ping-Pong", 1.0, LAST + 2.0, place(LAST - 2.0)), ("Clamp", 1.0, 40.0, place(LAST))),
        *(("Cross-Fade", 1.0, 3.5, place(3.5)), ("Cross-Fade", 1.0, 7.0, fading)),
    ):
        set_playback(player, mode)
        set_input(player, "Speed", speed)
        bpy.context.scene.frame_set(START + int(time), subframe=time % 1)
        assert np.abs(played(target)["position"] - expected).max() < TOLERANCE, (mode, time)
