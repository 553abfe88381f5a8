# SPDX-License-Identifier: GPL-3.0-or-later
"""Several assets in one scene draw as one, and can be taken apart again."""

from __future__ import annotations

import ctypes.util
import os
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.cameras import use_camera
from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import input_path, input_value, set_input
from ds4d_blender.rendering import setup_render
from ds4d_blender.seam import DS4DError
from ds4d_blender.together import draw_apart, draw_together, is_left_over, joint_of, members
from ds4d_engine.seam import Asset, Gaussians, write_asset
from tests.blender import reference
from tests.blender.observe import drawn, rendered
from tests.blender.synthetic import CAMERAS, asset, transformed

CYCLES_DB, EEVEE_DB = 50.0, 42.0
VIEW = CAMERAS[0]


def imported(folder: Path, name: str, clip: Asset) -> bpy.types.Object:
    write_asset(folder / f"{name}.ds4d", clip)
    return import_asset(folder / f"{name}.ds4d", cameras=name == "a", set_scene_time=True)


@pytest.fixture
def clips() -> tuple[Asset, Asset]:
    return asset(250, 250), asset(200, 150, opacities=True)


@pytest.fixture
def pair(clips: tuple[Asset, Asset], tmp_path: Path) -> list[bpy.types.Object]:
    """Two assets that overlap; the second is turned, moved and of uneven scale."""
    pair = [imported(tmp_path, name, clip) for name, clip in zip("ab", clips, strict=True)]
    pair[1].location = (0.35, -0.3, 0.2)
    pair[1].rotation_quaternion = (0.9, 0.3, -0.2, 0.25)
    pair[1].scale = (0.7, 1.1, 0.9)
    use_camera(bpy.context.scene, bpy.data.objects[VIEW.name])
    return pair


def joined(parts: list[Gaussians]) -> Gaussians:
    """Both as one set, without what drawing does not need."""
    names = ("means", "quats", "scales", "opacities", "sh0", "shN", "dynamic_scores", "observed")
    values = {n: np.concatenate([getattr(part, n) for part in parts]) for n in names}
    return Gaussians(**values)


def truth(clips: tuple[Asset, Asset], pair: list[bpy.types.Object], frame: int) -> np.ndarray:
    bpy.context.view_layer.update()
    parts = [
        transformed(clip.frame(frame), np.array(target.matrix_world))
        for clip, target in zip(clips, pair, strict=True)
    ]
    colors, alphas = reference.render(joined(parts), VIEW)
    return np.concatenate([colors, alphas[..., None]], axis=-1)


def test_two_assets_that_overlap_sort_together_in_both_engines(
    clips: tuple[Asset, Asset],
    pair: list[bpy.types.Object],
    scene: bpy.types.Scene,
    tmp_path: Path,
) -> None:
    draw_together(pair, scene.collection)
    scene.frame_set(clips[0].frame_start + 2)
    expected = truth(clips, pair, 2)
    engines = [("CYCLES", CYCLES_DB)]
    if sys.platform != "linux" or ctypes.util.find_library("EGL"):
        engines.append(("EEVEE", EEVEE_DB))
    elif os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail("EEVEE needs a graphics driver: install libegl1 and libgl1-mesa-dri")
    for engine, required in engines:
        setup_render(scene, engine)
        found = reference.psnr(rendered(scene, tmp_path), expected)
        assert found > required, f"{engine}: {found:.1f} dB"


def test_normals_turn_with_their_member(pair: list[bpy.types.Object]) -> None:
    for target in pair:
        set_input(target.modifiers["DS4D Draw"], "Lit by Scene", 1.0)
        set_input(target.modifiers["DS4D Draw"], "Sort", off(target))
    alone = np.concatenate([world_normals(target) for target in pair])
    joint = draw_together(pair, bpy.context.scene.collection)
    set_input(joint.modifiers["DS4D Draw Together"], "Sort", off(pair[0]))
    together = world_normals(joint)
    assert len(alone) == len(together) == 850
    order = [np.lexsort(np.round(values, 4).T) for values in (alone, together)]
    assert np.allclose(alone[order[0]], together[order[1]], atol=1e-3)


def off(target: bpy.types.Object) -> int | str:
    """The third entry of the menu Sort."""
    return "Off" if isinstance(input_value(target.modifiers["DS4D Draw"], "Sort"), str) else 2


def world_normals(target: bpy.types.Object) -> np.ndarray:
    """[faces,3], as the material turns them."""
    mesh = drawn(target)
    values = np.empty(len(mesh.loops) * 3, np.float32)
    mesh.corner_normals.foreach_get("vector", values)
    turn = np.linalg.inv(np.array(target.matrix_world)[:3, :3])
    normals = values.reshape(-1, 4, 3)[:, 0] @ turn
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def test_members_keep_their_settings_and_come_apart_as_they_were(
    pair: list[bpy.types.Object], scene: bpy.types.Scene
) -> None:
    drawing = pair[1].modifiers["DS4D Draw"]
    for frame, value in ((1, 1.0), (3, 0.5)):
        set_input(drawing, "Density", value)
        pair[1].keyframe_insert(input_path(drawing, "Density"), frame=frame)
    pair[0].display_type = "WIRE"
    before = [state(target) for target in pair]
    joint = draw_together(pair, scene.collection)
    assert members(joint) == pair and {joint_of(target) for target in pair} == {joint}
    assert all(target.hide_render for target in pair) and not joint.hide_render
    counts = []
    for frame in (1, 3):
        scene.frame_set(frame)
        counts.append(len(drawn(joint).polygons))
    assert counts == [850, 500 + 350 // 2]
    draw_apart([pair[0]])
    assert [state(target) for target in pair] == before
    assert "DS4D Together" not in bpy.data.objects
    assert "DS4D Together" not in bpy.data.collections


def state(target: bpy.types.Object) -> tuple[object, ...]:
    drawing = target.modifiers["DS4D Draw"]
    shown = (target.hide_render, target.display_type, target.visible_camera)
    return (*shown, input_value(drawing, "Projected"), input_value(drawing, "Mode"))


def test_a_third_asset_joins_later_and_one_of_three_leaves(
    pair: list[bpy.types.Object], scene: bpy.types.Scene, tmp_path: Path
) -> None:
    joint = draw_together(pair, scene.collection)
    third = imported(tmp_path, "c", asset(40, 0))
    assert draw_together([third, pair[0]], scene.collection) == joint
    assert len(drawn(joint).polygons) == 890
    draw_apart([pair[1]])
    assert members(joint) == [pair[0], third] and not pair[1].hide_render
    assert len(drawn(joint).polygons) == 540


def test_a_copy_of_a_member_and_members_of_what_is_gone_come_apart(
    pair: list[bpy.types.Object], scene: bpy.types.Scene
) -> None:
    before = state(pair[0])
    bpy.data.objects.remove(draw_together(pair, scene.collection))
    copy = pair[0].copy()
    scene.collection.objects.link(copy)
    assert all(is_left_over(target) for target in (*pair, copy))
    draw_apart([copy])
    assert state(copy) == before and not is_left_over(copy)
    joint = draw_together([copy, *pair], scene.collection)
    assert len(drawn(joint).polygons) == 1350
    draw_apart([joint])
    assert [state(target) for target in (copy, pair[0])] == [before, before]


def test_what_cannot_be_drawn_together_is_refused(
    pair: list[bpy.types.Object], scene: bpy.types.Scene
) -> None:
    with pytest.raises(DS4DError, match="two or more"):
        draw_together(pair[:1], scene.collection)
    pair[0]["ds4d_blend"] = "srgb"
    with pytest.raises(DS4DError, match="sRGB"):
        draw_together(pair, scene.collection)
    assert not pair[0].hide_render and len(bpy.data.collections) == 1
