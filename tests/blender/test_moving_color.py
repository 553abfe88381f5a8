# SPDX-License-Identifier: GPL-3.0-or-later
"""A colour that changes over time plays like positions do."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.cameras import use_camera
from ds4d_blender.importer import import_asset, splat_colors
from ds4d_blender.rendering import setup_render
from ds4d_engine.seam import Asset, write_asset
from tests.blender import reference
from tests.blender.observe import played, rendered
from tests.blender.synthetic import CAMERAS, asset

FRAMES, START = 6, 10
STATIC, DYNAMIC = 20, 40
TOLERANCE = 2e-6


def coloured(static: int = STATIC, dynamic: int = DYNAMIC, blend: str = "linear") -> Asset:
    """Colours that travel far, below 0 too, from frame to frame; opacities fade."""
    clip = asset(static, dynamic, frames=FRAMES, frame_start=START, blend=blend, opacities=True)
    rng = np.random.default_rng(4)
    clip.motion.sh0 = rng.uniform(-2.2, 1.6, (FRAMES, dynamic, 1, 3)).astype(np.float32)
    return clip


def imported(clip: Asset, folder: Path) -> bpy.types.Object:
    write_asset(folder / "clip.ds4d", clip)
    return import_asset(folder / "clip.ds4d", cameras=True, set_scene_time=True)


@pytest.mark.parametrize("frame", [0.0, 1.0, 2.375, 4.9])
@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_the_drawn_colour_is_that_of_the_asset_at_any_frame(
    tmp_path: Path, blend: str, frame: float
) -> None:
    clip = coloured(blend=blend)
    target = imported(clip, tmp_path)
    bpy.context.scene.frame_set(START + int(frame), subframe=frame % 1)
    seen, expected = played(target), clip.at(frame)
    colours = splat_colors(expected.sh0[:, 0], blend)
    assert (colours < 0).any()
    assert np.abs(seen["splat_color"][:, :3] - colours).max() < TOLERANCE
    assert np.array_equal(seen["splat_color"][:, 3], np.ones(STATIC + DYNAMIC))
    assert np.abs(seen["opacity"] - expected.opacities).max() < 1e-5


def test_a_loop_mixes_the_last_colour_with_the_first(tmp_path: Path) -> None:
    clip = coloured(0)
    target = imported(clip, tmp_path)
    bpy.context.scene.frame_set(START + FRAMES - 1, subframe=0.25)
    mixed = clip.motion.sh0[-1] * 0.75 + clip.motion.sh0[0] * 0.25
    expected = splat_colors(mixed[:, 0], "linear")
    assert np.abs(played(target)["splat_color"][:, :3] - expected).max() < TOLERANCE


def test_colours_are_baked_per_frame_only_where_they_change(tmp_path: Path) -> None:
    still = imported(asset(0, 8), tmp_path)
    assert not [a.name for a in still.data.attributes if a.name.startswith("col_")]
    moving = imported(coloured(4, 8), tmp_path)
    assert f"col_{FRAMES - 1}" in moving.data.attributes
    assert not [name for name in played(moving) if name.startswith("col_")]


def test_what_keeps_its_canonical_value_is_baked_once_and_plays(tmp_path: Path) -> None:
    clip = asset(4, 8, frames=FRAMES, frame_start=START)
    clip.motion.quats = clip.motion.scales = None
    target = imported(clip, tmp_path)
    assert not [a.name for a in target.data.attributes if a.name.startswith(("rot_", "scl_"))]
    bpy.context.scene.frame_set(START + 2, subframe=0.5)
    seen, expected = played(target), clip.at(2.5)
    assert np.abs(seen["position"] - expected.means).max() < 1e-5
    assert np.abs(seen["scale"] - expected.scales).max() < TOLERANCE


def test_cycles_renders_the_moving_colours_and_opacities(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    clip = coloured(200, 200)
    imported(clip, tmp_path)
    use_camera(scene, bpy.data.objects["square"])
    setup_render(scene, "CYCLES")
    scene.frame_set(START + 3, subframe=0.5)
    colours, _ = reference.render(clip.at(3.5), CAMERAS[0])
    assert reference.psnr(rendered(scene, tmp_path)[..., :3], colours) > 60.0
