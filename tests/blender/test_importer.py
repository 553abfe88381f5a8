# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import leaves in the file."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.importer import import_asset, splat_colors
from ds4d_blender.point_cloud import attribute_values
from ds4d_blender.seam import AssetError
from ds4d_engine.seam import Asset, write_asset
from tests.blender.observe import played
from tests.blender.synthetic import asset


def imported(clip: Asset, tmp_path: Path, **options: object) -> bpy.types.Object:
    write_asset(tmp_path / "clip.ds4d", clip)
    return import_asset(tmp_path / "clip.ds4d", **options)


def test_object_is_a_point_cloud_named_after_the_file(tmp_path: Path) -> None:
    target = imported(asset(5, 7), tmp_path)
    assert target.type == "POINTCLOUD"
    assert target.name == "clip"
    assert len(target.data.points) == 7


def test_static_and_dynamic_splats_evaluate_as_one_cloud(tmp_path: Path) -> None:
    clip = asset(30, 20)
    seen = played(imported(clip, tmp_path))
    assert len(seen["position"]) == 50
    assert np.array_equal(seen["dynamic_score"], clip.frame(0).dynamic_scores)


def test_static_splats_carry_no_attributes_per_frame(tmp_path: Path) -> None:
    target = imported(asset(30, 20), tmp_path)
    (static,) = target.children
    names = {attribute.name for attribute in static.data.attributes}
    assert not [name for name in names if name.endswith("_0") and name != "radiance:sh_0"]
    assert "pos_0" in target.data.attributes


def test_opacity_is_baked_per_frame_only_where_it_changes(tmp_path: Path) -> None:
    still = imported(asset(0, 8), tmp_path)
    fading = imported(asset(0, 8, opacities=True), tmp_path)
    assert "opa_0" not in still.data.attributes
    assert "opa_5" in fading.data.attributes


def test_attributes_follow_blenders_native_splats(tmp_path: Path) -> None:
    clip = asset(9, 0, bases=3)
    cloud = imported(clip, tmp_path).data
    still = clip.static
    assert np.array_equal(attribute_values(cloud, "position"), still.means)
    assert np.array_equal(attribute_values(cloud, "scale"), still.scales)
    assert np.allclose(attribute_values(cloud, "rotation"), still.quats, atol=1e-6)
    base = attribute_values(cloud, "radiance:base")
    assert np.array_equal(base[:, :3], still.sh0[:, 0])
    assert np.array_equal(base[:, 3], still.opacities)
    for k in range(3):
        assert np.array_equal(attribute_values(cloud, f"radiance:sh_{k}"), still.shN[:, k])


@pytest.mark.parametrize(("static", "dynamic"), [(12, 0), (0, 12)])
def test_asset_of_one_kind_needs_one_object(tmp_path: Path, static: int, dynamic: int) -> None:
    clip = asset(static, dynamic)
    target = imported(clip, tmp_path)
    assert not target.children
    bpy.context.scene.frame_set(clip.frame_start)
    assert np.allclose(played(target)["position"], clip.frame(0).means, atol=1e-6)


def test_colours_are_linear_unless_the_asset_blends_encoded_values() -> None:
    sh0 = np.array([[0.0, (0.8 - 0.5) / 0.28209479177387814, -9.0]], np.float32)
    linear, encoded = splat_colors(sh0, "linear")[0], splat_colors(sh0, "srgb")[0]
    below = 0.5 - 9.0 * 0.28209479177387814
    assert np.allclose(encoded, [0.5, 0.8, below], atol=1e-6)
    assert np.allclose(linear, [0.21404114, 0.60382734, below / 12.92], atol=1e-6)


def test_import_goes_into_the_given_collection(tmp_path: Path) -> None:
    collection = bpy.data.collections.new("Props")
    bpy.context.scene.collection.children.link(collection)
    target = imported(asset(4, 4), tmp_path, collection=collection, name="Vase", cameras=True)
    assert target.name == "Vase"
    assert set(collection.objects) == {target, *target.children}
    views = collection.children["Vase Cameras"].objects
    assert [view.name for view in views] == ["square", "odd", "inside"]


def test_import_leaves_the_scene_alone_unless_asked(tmp_path: Path, scene: bpy.types.Scene) -> None:
    def settings() -> tuple[object, ...]:
        render = scene.render
        size = (render.resolution_x, render.resolution_y, render.pixel_aspect_x)
        return (
            *size,
            render.fps,
            render.fps_base,
            scene.frame_start,
            scene.frame_end,
            scene.camera,
        )

    before = settings()
    imported(asset(4, 4, fps=12.5), tmp_path, cameras=True)
    assert settings() == before


def test_scene_time_is_adopted_when_asked(tmp_path: Path, scene: bpy.types.Scene) -> None:
    imported(asset(4, 4, frames=7, fps=23.976, frame_start=3), tmp_path, set_scene_time=True)
    assert scene.render.fps / scene.render.fps_base == pytest.approx(23.976, rel=1e-6)
    assert (scene.frame_start, scene.frame_end) == (3, 9)


def test_two_imports_share_trees_and_materials(tmp_path: Path) -> None:
    first, second = imported(asset(4, 4), tmp_path), imported(asset(4, 4), tmp_path)
    assert first.name != second.name
    for name in ("DS4D Play", "DS4D Draw"):
        assert first.modifiers[name].node_group == second.modifiers[name].node_group
    assert {m.name for m in bpy.data.materials} == {"DS4D Splat", "DS4D Point"}
    assert not any("." in group.name for group in bpy.data.node_groups)


def test_import_leaves_nothing_unused_behind(tmp_path: Path) -> None:
    imported(asset(4, 4), tmp_path)
    assert {group.name for group in bpy.data.node_groups if group.is_modifier} == {
        "DS4D Play",
        "DS4D Draw",
    }
    assert all(data.users for data in (*bpy.data.node_groups, *bpy.data.materials))
    assert not bpy.data.meshes


@pytest.mark.parametrize("damage", ["missing", "text", "truncated", "empty"])
def test_bad_files_are_refused_in_one_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "clip.ds4d"
    if damage == "text":
        path.write_text("not an asset")
    elif damage == "empty":
        write_asset(path, asset(0, 0))
    elif damage == "truncated":
        write_asset(path, asset(4, 4))
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AssetError) as raised:
        import_asset(path)
    message = str(raised.value)
    assert "clip.ds4d" in message
    assert message.endswith(".") and "\n" not in message
    assert not bpy.data.objects


def test_resolution_of_an_asset_without_cameras_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no cameras"):
        imported(asset(4, 4, cameras=()), tmp_path, set_resolution=True)
    assert not bpy.data.objects
