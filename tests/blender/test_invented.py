# SPDX-License-Identifier: GPL-3.0-or-later
"""What no source picture shows can be told apart: shown alone, hidden, dimmed, tinted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.cameras import use_camera
from ds4d_blender.importer import import_asset
from ds4d_blender.invented import SHOWN, set_shown
from ds4d_blender.nodes import input_path, set_input
from ds4d_blender.rendering import setup_render
from ds4d_engine.seam import Asset, write_asset
from tests.blender import reference
from tests.blender.observe import drawn, played, rendered
from tests.blender.synthetic import CAMERAS, asset


def half_invented(static: int = 60, dynamic: int = 40) -> Asset:
    """Some splats seen, some half, some not at all, in both parts."""
    clip = asset(static, dynamic, opacities=True)
    rng = np.random.default_rng(9)
    for part in (clip.static, clip.dynamic):
        part.observed = rng.choice([0.0, 0.3, 0.7, 1.0], len(part)).astype(np.float32)
    return clip


@pytest.fixture
def clip() -> Asset:
    return half_invented()


@pytest.fixture
def target(clip: Asset, tmp_path: Path) -> bpy.types.Object:
    write_asset(tmp_path / "clip.ds4d", clip)
    return import_asset(tmp_path / "clip.ds4d", cameras=True, set_scene_time=True)


def mask(target: bpy.types.Object) -> bpy.types.NodesModifier:
    return target.modifiers["DS4D Invented"]


def test_every_point_says_how_much_of_it_was_observed(
    target: bpy.types.Object, clip: Asset
) -> None:
    assert np.array_equal(played(target)["observed"], clip.frame(0).observed)


def test_an_asset_seen_whole_gets_the_attribute_and_no_modifier(tmp_path: Path) -> None:
    write_asset(tmp_path / "clip.ds4d", asset(5, 5))
    target = import_asset(tmp_path / "clip.ds4d")
    assert [modifier.name for modifier in target.modifiers] == ["DS4D Play", "DS4D Draw"]
    assert np.array_equal(played(target)["observed"], np.ones(10))


@pytest.mark.parametrize(("static", "dynamic"), [(12, 0), (0, 12), (6, 6)])
def test_the_modifier_stands_before_the_drawing_and_changes_nothing_at_first(
    tmp_path: Path, static: int, dynamic: int
) -> None:
    clip = half_invented(static, dynamic)
    write_asset(tmp_path / "clip.ds4d", clip)
    target = import_asset(tmp_path / "clip.ds4d", set_scene_time=True)
    assert [modifier.name for modifier in target.modifiers][-2:] == ["DS4D Invented", "DS4D Draw"]
    seen = played(target)
    assert np.allclose(seen["opacity"], clip.frame(0).opacities, atol=1e-6)
    mask(target).show_viewport = False
    assert np.array_equal(seen["splat_color"], played(target)["splat_color"])


@pytest.mark.parametrize("shown", SHOWN)
def test_show_hides_the_other_kind_and_keeps_every_point(
    target: bpy.types.Object, clip: Asset, shown: str
) -> None:
    set_shown(mask(target), shown)
    bpy.context.scene.frame_set(clip.frame_start + 2, subframe=0.5)
    expected = clip.at(2.5)
    kept = {
        "All": np.ones(100, bool),
        "Observed Only": expected.observed >= 0.5,
        "Invented Only": expected.observed < 0.5,
    }[shown]
    assert np.allclose(played(target)["opacity"], expected.opacities * kept, atol=1e-6)


def test_what_is_hidden_is_drawn_without_size(target: bpy.types.Object, clip: Asset) -> None:
    use_camera(bpy.context.scene, bpy.data.objects["square"])
    setup_render(bpy.context.scene, "CYCLES")  # leaves the splats in order
    set_shown(mask(target), "Observed Only")
    corners = np.array([vertex.co for vertex in drawn(target).vertices]).reshape(-1, 4, 3)
    sizes = np.ptp(corners, axis=1).max(axis=1)
    frame = clip.frame(0)
    kept = (frame.observed >= 0.5) & (frame.opacities > 1 / 255)
    assert np.array_equal(sizes > 1e-5, kept)


def test_invented_opacity_dims_and_can_be_keyframed(target: bpy.types.Object, clip: Asset) -> None:
    for frame, value in ((1, 1.0), (11, 0.0)):
        set_input(mask(target), "Invented Opacity", value)
        target.keyframe_insert(input_path(mask(target), "Invented Opacity"), frame=frame)
    bpy.context.scene.frame_set(6)
    frame = clip.frame(5)
    expected = np.where(frame.observed < 0.5, 0.5, 1.0) * frame.opacities
    assert np.allclose(played(target)["opacity"], expected, atol=1e-5)


def test_the_threshold_decides_what_counts_as_invented(
    target: bpy.types.Object, clip: Asset
) -> None:
    set_input(mask(target), "Observed From", 0.9)
    set_input(mask(target), "Invented Opacity", 0.0)
    visible = played(target)["opacity"] > 0
    frame = clip.frame(0)
    assert np.array_equal(visible, (frame.observed >= 0.9) & (frame.opacities > 0))


def test_tint_colours_what_is_invented_and_nothing_else(
    target: bpy.types.Object, clip: Asset
) -> None:
    before = played(target)["splat_color"][:, :3]
    set_input(mask(target), "Tint Invented", 0.75)
    set_input(mask(target), "Tint", (0.1, 0.2, 0.9, 1.0))
    after = played(target)["splat_color"][:, :3]
    invented = clip.frame(0).observed < 0.5
    assert np.array_equal(after[~invented], before[~invented])
    mixed = before * 0.25 + np.array([0.1, 0.2, 0.9]) * 0.75
    assert np.allclose(after[invented], mixed[invented], atol=1e-6)


@pytest.mark.parametrize("shown", SHOWN[1:])
def test_cycles_draws_only_the_chosen_splats(
    target: bpy.types.Object, clip: Asset, tmp_path: Path, shown: str
) -> None:
    scene, view = bpy.context.scene, CAMERAS[0]
    use_camera(scene, bpy.data.objects[view.name])
    setup_render(scene, "CYCLES")
    set_shown(mask(target), shown)
    frame = clip.frame(0)
    kept = (frame.observed < 0.5) == (shown == "Invented Only")
    colours, _ = reference.render(replace(frame, opacities=frame.opacities * kept), view)
    assert reference.psnr(rendered(scene, tmp_path)[..., :3], colours) > 60.0
