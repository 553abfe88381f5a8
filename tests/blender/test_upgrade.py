# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of an older file get the trees of today and keep what the artist set and animated."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.drawing.selection import SHOWN
from ds4d_blender.importer import import_asset, refill
from ds4d_blender.material import MATERIAL_VERSION
from ds4d_blender.nodes import input_path, input_value, set_input, set_menu
from ds4d_blender.player import MODES
from ds4d_blender.seam import DS4DError
from ds4d_blender.splat_objects import static_child
from ds4d_blender.upgrade import is_outdated, upgrade_all
from ds4d_engine.seam import Asset, write_asset
from tests.blender.observe import played
from tests.blender.old_trees import invented, make_old
from tests.blender.synthetic import asset

PLAY, DRAW, INVENTED = "DS4D Play", "DS4D Draw", "DS4D Invented"


@pytest.fixture
def clip() -> Asset:
    clip = asset(30, 40, opacities=True)
    clip.static.sh0[:5] = -3.0  # darker than black
    clip.dynamic.observed = (np.arange(40) % 2).astype(np.float32)
    return clip


@pytest.fixture
def old(clip: Asset, tmp_path: Path) -> bpy.types.Object:
    """An object as the first version left it in a file."""
    write_asset(tmp_path / "clip.ds4d", clip)
    target = import_asset(tmp_path / "clip.ds4d", set_scene_time=True)
    make_old(target)
    assert is_outdated(target)
    return target


def keyframe(target: bpy.types.Object, modifier: str, name: str, *values: object) -> None:
    for frame, value in enumerate(values, 1):
        set_input(target.modifiers[modifier], name, value)
        target.keyframe_insert(input_path(target.modifiers[modifier], name), frame=frame)


def value(target: bpy.types.Object, modifier: str, name: str) -> object:
    return input_value(target.modifiers[modifier], name)


def curves(target: bpy.types.Object) -> list[bpy.types.FCurve]:
    (bag,) = target.animation_data.action.layers[0].strips[0].channelbags
    return list(bag.fcurves)


def test_values_stay_and_the_third_modifier_becomes_part_of_drawing(
    old: bpy.types.Object, clip: Asset
) -> None:
    set_input(old.modifiers[PLAY], "Speed", -0.5)
    set_input(old.modifiers[PLAY], "Use Scene Time", False)
    set_input(old.modifiers[PLAY], "Time", 2.5)
    set_menu(old.modifiers[PLAY], "Playback", "Clamp", MODES[:3])
    invented.set_shown(old.modifiers[INVENTED], "Invented Only")
    set_input(old.modifiers[INVENTED], "Tint", (0.2, 0.4, 0.6, 1.0))
    old.modifiers[DRAW].show_viewport = False
    child = static_child(old)
    outcome = upgrade_all()
    assert (outcome.upgraded, outcome.edited) == ([old.name], [])
    assert not is_outdated(old) and upgrade_all().upgraded == []
    assert [modifier.name for modifier in old.modifiers] == [PLAY, DRAW]
    assert value(old, PLAY, "Speed") == -0.5 and static_child(old) == child
    assert not old.modifiers[DRAW].show_viewport
    assert value(old, PLAY, "Playback") in ("Clamp", MODES.index("Clamp"))
    assert value(old, DRAW, "Show") in ("Invented", SHOWN.index("Invented"))
    assert np.allclose(value(old, DRAW, "Invented Tint"), (0.2, 0.4, 0.6, 1.0))
    assert value(old, DRAW, "Sort") in ("Automatic", 0)
    assert value(old, DRAW, "Material")["ds4d_version"] == MATERIAL_VERSION
    assert value(old, DRAW, "Point Material") is not None
    set_input(old.modifiers[PLAY], "Speed", 1.0)
    assert np.allclose(played(old)["position"], clip.at(2.5).means, atol=1e-5)


def test_keyframes_and_drivers_follow_their_inputs(old: bpy.types.Object) -> None:
    keyframe(old, PLAY, "Offset", 0.0, 3.0)
    keyframe(old, INVENTED, "Invented Opacity", 1.0, 0.25)
    keyframe(old, INVENTED, "Show", *invented_only(old))
    keyframe(old, DRAW, "Sort", False, True)
    driver = old.driver_add(input_path(old.modifiers[PLAY], "Speed")).driver
    driver.expression = "0.5 * 3"
    reader = bpy.data.objects.new("Reader", None)
    variable = reader.driver_add("location", 2).driver.variables.new()
    variable.targets[0].id = old
    variable.targets[0].data_path = input_path(old.modifiers[PLAY], "Offset")
    upgrade_all()
    offset = input_path(old.modifiers[PLAY], "Offset")
    wanted = {input_path(old.modifiers[DRAW], name) for name in ("Invented Opacity", "Show")}
    assert {curve.data_path for curve in curves(old)} == wanted | {offset}
    assert variable.targets[0].data_path == offset
    for frame, expected in ((1, (0.0, 1.0, "All")), (2, (3.0, 0.25, "Invented"))):
        bpy.context.scene.frame_set(frame)
        assert value(old, PLAY, "Offset") == expected[0]
        assert value(old, DRAW, "Invented Opacity") == expected[1]
        assert value(old, DRAW, "Show") in (expected[2], SHOWN.index(expected[2]))
    assert value(old, PLAY, "Speed") == 1.5
    assert all(driven.is_valid for driven in old.animation_data.drivers)


def test_keyframes_that_objects_share_move_once_and_those_of_nobody_too(
    old: bpy.types.Object,
) -> None:
    keyframe(old, PLAY, "Offset", 0.0, 3.0)
    spare = old.animation_data.action.copy()
    spare.use_fake_user = True
    twin = old.copy()
    bpy.context.scene.collection.objects.link(twin)
    twin.animation_data.action = old.animation_data.action
    twin.animation_data.action_slot = old.animation_data.action_slot
    assert sorted(upgrade_all().upgraded) == sorted([old.name, twin.name])
    wanted = input_path(old.modifiers[PLAY], "Offset")
    for action in (old.animation_data.action, spare):
        (bag,) = action.layers[0].strips[0].channelbags
        assert [curve.data_path for curve in bag.fcurves] == [wanted]


def invented_only(old: bpy.types.Object) -> tuple[object, object]:
    """What the old menu holds for All and Invented Only."""
    words = isinstance(value(old, INVENTED, "Show"), str)
    return ("All", "Invented Only") if words else (0, 2)


def test_clouds_get_what_they_lack(old: bpy.types.Object, clip: Asset) -> None:
    upgrade_all()
    points = played(old)
    assert points["splat_color"].min() < 0
    assert np.array_equal(np.sort(points["density_rank"]), np.arange(70, dtype=np.float32) / 70)


def test_an_import_upgrades_what_else_the_file_holds(old: bpy.types.Object, tmp_path: Path) -> None:
    import_asset(tmp_path / "clip.ds4d")
    assert not is_outdated(old)
    make_old(old)
    refill(old, tmp_path / "clip.ds4d")
    assert not is_outdated(old) and "density_rank" in old.data.attributes


@pytest.mark.parametrize("how", ["renamed", "relinked", "constant"])
def test_edited_trees_stay_until_their_replacement_is_asked_for(
    old: bpy.types.Object, tmp_path: Path, how: str
) -> None:
    tree = old.modifiers[DRAW].node_group = old.modifiers[DRAW].node_group.copy()
    edit(tree, how)
    outcome = upgrade_all()
    assert outcome.edited == [old.name] and "Edited Too" in outcome.sentence
    assert len(old.modifiers) == 3 and old.modifiers[DRAW].node_group == tree
    with pytest.raises(DS4DError, match="Edited Too"):
        refill(old, tmp_path / "clip.ds4d")
    assert upgrade_all(edited=True).upgraded == [old.name]
    assert old.modifiers[DRAW].node_group != tree and tree.use_fake_user


def edit(tree: bpy.types.NodeTree, how: str) -> None:
    if how == "renamed":
        tree.name = "My Drawing"
    elif how == "relinked":
        tree.links.remove(tree.links[3])
    else:
        node = next(item for item in tree.nodes if item.bl_idname == "ShaderNodeMath")
        next(socket for socket in node.inputs if not socket.is_linked).default_value = 0.123


def test_a_material_of_the_artists_own_stays(old: bpy.types.Object) -> None:
    mine = bpy.data.materials.new("Mine")
    set_input(old.modifiers[DRAW], "Material", mine)
    upgrade_all()
    assert value(old, DRAW, "Material") == mine
