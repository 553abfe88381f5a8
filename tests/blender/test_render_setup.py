# SPDX-License-Identifier: GPL-3.0-or-later
"""Render settings: what they become, what is said about it, and how they come back."""

from __future__ import annotations

from pathlib import Path

import bpy
import pytest

from ds4d_blender.importer import import_asset
from ds4d_blender.rendering import BEFORE_KEY, restore_render, setup_render
from ds4d_engine.seam import write_asset
from tests.blender.synthetic import asset


@pytest.fixture
def splats(scene: bpy.types.Scene, registered: None, tmp_path: Path) -> bpy.types.Object:
    write_asset(tmp_path / "clip.ds4d", asset(10, 10))
    target = import_asset(tmp_path / "clip.ds4d")
    bpy.context.view_layer.objects.active = target
    return target


def settings(scene: bpy.types.Scene) -> dict[str, object]:
    """Everything that a set-up may touch."""
    found: dict[str, object] = {}
    for owner in ("cycles", "eevee", "render", "view_settings"):
        for name, value in scene.path_resolve(owner).bl_rna.properties.items():
            if value.type == "ENUM" or not getattr(value, "is_array", True):
                found[f"{owner}.{name}"] = getattr(scene.path_resolve(owner), name)
    sun = scene.world.use_sun_shadow if scene.world else None
    return found | {"world": scene.world, "sun": sun}


def test_only_what_changes_is_listed_in_words(scene: bpy.types.Scene) -> None:
    scene.cycles.transparent_max_bounces = 8
    words = [str(change) for change in setup_render(scene, "CYCLES")]
    assert any("8 → 1024" in line for line in words)
    assert setup_render(scene, "CYCLES") == []


@pytest.mark.parametrize("engine", ["CYCLES", "EEVEE"])
def test_every_setting_comes_back_even_after_two_set_ups(
    scene: bpy.types.Scene, engine: str
) -> None:
    scene.world = bpy.data.worlds.new("Mine")
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Punchy"
    before = settings(scene)
    setup_render(scene, engine, background=(1, 0, 0), motion_blur=True)
    setup_render(scene, "CYCLES", samples=9, view_transform="Raw")
    assert settings(scene) != before
    restore_render(scene)
    assert settings(scene) == before
    assert BEFORE_KEY not in scene


def test_a_scene_with_other_objects_keeps_its_view(
    scene: bpy.types.Scene, splats: bpy.types.Object
) -> None:
    scene.view_settings.view_transform = "AgX"
    scene.render.dither_intensity = 0.7
    bpy.ops.ds4d.setup_render(engine="CYCLES", look="MIXED", film_transparent=False)
    assert scene.view_settings.view_transform == "AgX"
    assert scene.render.dither_intensity == pytest.approx(0.7)
    assert (scene.cycles.samples, scene.cycles.pixel_filter_type) == (64, "BOX")
    assert not scene.render.film_transparent
    bpy.ops.ds4d.restore_render()
    assert not bpy.ops.ds4d.restore_render.poll()


def test_clips_fitted_for_encoded_blending_are_shown_raw(
    scene: bpy.types.Scene, splats: bpy.types.Object
) -> None:
    splats["ds4d_blend"] = "srgb"
    bpy.ops.ds4d.setup_render(engine="EEVEE", motion_blur=True)
    assert scene.view_settings.view_transform == "Raw"
    assert scene.render.engine.startswith("BLENDER_EEVEE")
    assert scene.render.use_motion_blur


def test_eevee_draws_no_maps_for_a_sun_that_the_world_has_not(scene: bpy.types.Scene) -> None:
    scene.world = bpy.data.worlds.new("Grey")
    words = [str(change) for change in setup_render(scene, "EEVEE")]
    assert "Sun Shadow of the World: on → off" in words
    assert not scene.world.use_sun_shadow
    assert scene.eevee.use_shadows  # those of lamps
    restore_render(scene)
    assert scene.world.use_sun_shadow


def test_the_sun_of_a_sky_keeps_its_shadows(scene: bpy.types.Scene) -> None:
    scene.world = sky = bpy.data.worlds.new("Sky")
    if sky.node_tree is None:  # until Blender 5.0
        sky.use_nodes = True
    sky.node_tree.nodes.new("ShaderNodeTexEnvironment")
    setup_render(scene, "EEVEE")
    assert sky.use_sun_shadow


def test_settings_come_back_where_the_world_was_removed(scene: bpy.types.Scene) -> None:
    scene.world = grey = bpy.data.worlds.new("Grey")
    setup_render(scene, "EEVEE")
    bpy.data.worlds.remove(grey)
    restore_render(scene)
    assert scene.world is None
    scene.world = grey = bpy.data.worlds.new("Grey")
    setup_render(scene, "EEVEE")
    setup_render(scene, "EEVEE", background=(1, 1, 1))
    bpy.data.worlds.remove(grey)
    restore_render(scene)
    assert scene.world is None
