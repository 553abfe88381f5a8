# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes that stand in for splats: they follow the clip, and cast its shadow."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.drawing.selection import SHOWN
from ds4d_blender.importer import import_asset, refill
from ds4d_blender.mirrored import mirror_of
from ds4d_blender.nodes import set_input, set_menu
from ds4d_blender.player import set_playback
from ds4d_blender.point_cloud import attribute_values
from ds4d_blender.proxy import add_proxy
from ds4d_blender.rendering import setup_render
from ds4d_blender.shadow_catcher import add_shadow_catcher
from ds4d_engine.seam import write_asset
from tests.blender.observe import played, rendered
from tests.blender.synthetic import asset


@pytest.fixture
def splats(scene: bpy.types.Scene, tmp_path: Path) -> bpy.types.Object:
    write_asset(tmp_path / "clip.ds4d", asset(150, 150))
    return import_asset(tmp_path / "clip.ds4d", set_scene_time=True)


def mirrored(target: bpy.types.Object) -> np.ndarray:
    """Return the positions that a proxy is made of."""
    mirror = mirror_of(target)
    mirror.hide_viewport = False
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    geometry = mirror.evaluated_get(depsgraph).evaluated_geometry()  # owns the cloud
    return attribute_values(geometry.pointcloud, "position")


def vertices(proxy: bpy.types.Object) -> np.ndarray:
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    mesh = proxy.evaluated_get(depsgraph).to_mesh()
    return np.array([vertex.co for vertex in mesh.vertices])


def test_a_proxy_is_made_of_the_splats_as_the_asset_plays_them(
    scene: bpy.types.Scene, splats: bpy.types.Object
) -> None:
    add_proxy(splats)
    player = splats.modifiers["DS4D Play"]
    set_input(player, "Speed", -0.5)
    set_input(player, "Offset", 1.7)
    set_playback(player, "Ping-Pong")
    scene.frame_set(3, subframe=0.3)
    assert np.array_equal(mirrored(splats), played(splats)["position"])
    set_input(player, "Use Scene Time", False)
    set_input(player, "Time", 2.2)
    assert np.array_equal(mirrored(splats), played(splats)["position"])


def test_a_proxy_encloses_the_splats_and_moves_with_them(
    scene: bpy.types.Scene, splats: bpy.types.Object
) -> None:
    proxy = add_proxy(splats)
    set_input(proxy.modifiers[0], "Grow", 0.0)
    first = vertices(proxy)
    scene.frame_set(scene.frame_start + 3)
    second = vertices(proxy)
    positions = played(splats)["position"]
    assert first.shape != second.shape or np.abs(first - second).max() > 1e-3
    for found, places in ((second.min(0), positions.min(0)), (second.max(0), positions.max(0))):
        assert np.abs(found - places).max() < 0.2  # two voxels


def test_a_proxy_follows_an_asset_that_is_read_again(
    scene: bpy.types.Scene, splats: bpy.types.Object, tmp_path: Path
) -> None:
    add_proxy(splats)
    write_asset(tmp_path / "next.ds4d", asset(0, 80, frames=3))
    refill(splats, tmp_path / "next.ds4d")
    assert len(mirrored(splats)) == 80
    assert np.array_equal(mirrored(splats), played(splats)["position"])


def test_a_proxy_is_made_of_what_crop_and_masks_leave(splats: bpy.types.Object) -> None:
    box = bpy.data.objects.new("Box", None)
    box.location = (1.0, 0.0, 0.0)
    bpy.context.scene.collection.objects.link(box)
    proxy = add_proxy(splats)
    drawing = splats.modifiers["DS4D Draw"]
    whole = vertices(proxy)
    set_input(drawing, "Crop Box", box)
    assert add_proxy(splats) is proxy  # the box follows no driver
    assert whole[:, 0].min() < -1.0 and vertices(proxy)[:, 0].min() > -0.3
    set_input(drawing, "Crop Outside", True)
    assert vertices(proxy)[:, 0].min() < -1.0
    set_input(drawing, "Crop Box", None)
    add_proxy(splats)
    assert np.array_equal(vertices(proxy), whole)
    set_menu(drawing, "Show", "Observed", SHOWN)
    set_input(drawing, "Observed From", 1.1)
    assert len(vertices(proxy)) == 0


def test_each_role_is_given_once_and_does_what_it_says(splats: bpy.types.Object) -> None:
    caster = add_proxy(splats, "SHADOW")
    assert add_proxy(splats, "SHADOW") is caster
    assert caster.visible_shadow and not caster.visible_camera and not splats.visible_shadow
    assert add_proxy(splats, "HOLDOUT").is_holdout
    collider = add_proxy(splats, "COLLISION")
    assert collider.hide_render and collider.collision is not None
    assert len([child for child in splats.children if child.type == "MESH"]) == 3


def test_the_floor_shows_the_subject_s_shadow_and_nothing_else(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    write_asset(tmp_path / "dense.ds4d", asset(1500, 50))
    splats = import_asset(tmp_path / "dense.ds4d")
    add_proxy(splats, "SHADOW")
    floor = add_shadow_catcher(splats)
    splats.visible_camera = False
    lamp = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    view = bpy.data.objects.new("Above", bpy.data.cameras.new("Above"))
    view.location, view.data.type, view.data.ortho_scale = (0.0, 0.0, 5.0), "ORTHO", 4.0
    for item in (lamp, view):
        scene.collection.objects.link(item)
    scene.camera = view
    scene.render.resolution_x = scene.render.resolution_y = 48
    setup_render(scene, "CYCLES", samples=2)
    alpha = rendered(scene, tmp_path)[..., 3]
    # A torus with a ball in it, from above, under a lamp from above: the ring, the gap, outside.
    x, y = (np.mgrid[:48, :48] - 23.5) / 12.0
    radius = np.hypot(x, y)
    assert floor.is_shadow_catcher
    assert alpha[np.abs(radius - 1.0) < 0.15].mean() > 0.8
    assert alpha[radius > 1.7].max() < 0.1
