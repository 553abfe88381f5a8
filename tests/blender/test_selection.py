# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer splats still look whole; what is cropped or masked is hidden and keeps its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from ds4d_blender.cameras import use_camera
from ds4d_blender.density_order import GROWTH, density_ranks
from ds4d_blender.drawing import selection
from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import input_path, set_input, set_menu
from ds4d_blender.rendering import setup_render
from ds4d_blender.splat_layers import layers
from ds4d_engine.seam import Asset, Gaussians, write_asset
from tests.blender import reference
from tests.blender.observe import drawn, played, rendered
from tests.blender.point_groups import Values, evaluated, points_object
from tests.blender.synthetic import CAMERAS, asset, gaussians

COUNT = 400
rng = np.random.default_rng(9)
POINTS: Values = {
    "position": rng.normal(size=(COUNT, 3)),
    "scale": rng.uniform(0.01, 0.1, (COUNT, 3)),
    "opacity": rng.uniform(0.0, 1.0, COUNT),
    "dynamic_score": rng.uniform(0.0, 1.0, COUNT),
    "observed": rng.choice([0.0, 0.3, 0.7, 1.0], COUNT),
    "density_rank": rng.permutation(COUNT) / COUNT,
}
POINTS = {name: values.astype(np.float32) for name, values in POINTS.items()}
OPACITY = POINTS["opacity"]


@pytest.fixture
def target() -> bpy.types.Object:
    return points_object(POINTS, selection)


def set_inputs(target: bpy.types.Object, **inputs: object) -> None:
    for name, value in inputs.items():
        set_input(target.modifiers[-1], name, value)


def show(target: bpy.types.Object, kind: str) -> None:
    set_menu(target.modifiers[-1], "Show", kind, selection.SHOWN)


def test_nothing_changes_until_an_input_is_set(target: bpy.types.Object) -> None:
    seen = evaluated(target)
    assert all(np.array_equal(seen[name], values) for name, values in POINTS.items())


def test_density_keeps_the_first_of_the_order_and_enlarges_them(target: bpy.types.Object) -> None:
    for density in (0.1, 0.5):
        set_inputs(target, Density=density)
        kept = POINTS["density_rank"] < np.float32(density)
        seen = evaluated(target)
        assert np.array_equal(seen["position"], POINTS["position"][kept])
        assert np.allclose(seen["scale"], larger(POINTS["scale"], density)[kept], rtol=1e-5)


def larger(scales: np.ndarray, density: float) -> np.ndarray:
    size = np.linalg.norm(scales, axis=1, keepdims=True)
    return scales * (1 + (density**-GROWTH - 1) * size.mean() / size)


def test_size_and_opacity_are_multiplied_and_opacity_ends_at_1(target: bpy.types.Object) -> None:
    set_inputs(target, **{"Splat Size": 1.5, "Opacity": 3.0})
    seen = evaluated(target)
    assert np.allclose(seen["scale"], POINTS["scale"] * 1.5)
    assert np.allclose(seen["opacity"], np.minimum(OPACITY * 3, 1))


def test_minimum_opacity_hides_what_is_fainter_before_it_is_dimmed(
    target: bpy.types.Object,
) -> None:
    set_inputs(target, **{"Minimum Opacity": 0.25, "Opacity": 0.5})
    expected = OPACITY * 0.5 * (OPACITY >= 0.25)
    assert np.allclose(evaluated(target)["opacity"], expected)


def test_a_crop_box_hides_what_lies_outside_or_inside_wherever_both_stand(
    target: bpy.types.Object,
) -> None:
    box = bpy.data.objects.new("box", None)
    bpy.context.scene.collection.objects.link(box)
    turn = Matrix.Rotation(0.7, 3, (1.0, 2.0, -0.5))
    target.matrix_world = Matrix.LocRotScale((1.0, 2.0, 3.0), turn, (2.0, 0.7, 1.3))
    box.matrix_world = Matrix.LocRotScale((1.5, 1.5, 3.0), turn.inverted(), (1.2, 0.8, 1.9))
    set_inputs(target, **{"Crop Box": box})
    to_box = np.array(box.matrix_world.inverted() @ target.matrix_world)
    places = POINTS["position"] @ to_box[:3, :3].T + to_box[:3, 3]
    inside = np.abs(places).max(axis=1) <= 1
    assert 20 < inside.sum() < COUNT - 20
    assert np.array_equal(evaluated(target)["opacity"], OPACITY * inside)
    set_inputs(target, **{"Crop Outside": True})
    assert np.array_equal(evaluated(target)["opacity"], OPACITY * ~inside)


def test_show_hides_the_other_kinds_and_keeps_every_point(target: bpy.types.Object) -> None:
    for moving_from, observed_from in ((0.1, 0.5), (0.6, 0.9)):
        set_inputs(target, **{"Moving From": moving_from, "Observed From": observed_from})
        moving = POINTS["dynamic_score"] >= np.float32(moving_from)
        observed = POINTS["observed"] >= np.float32(observed_from)
        kept = {"Moving": moving, "Still": ~moving, "Observed": observed, "Invented": ~observed}
        for kind, chosen in kept.items():
            show(target, kind)
            assert np.array_equal(evaluated(target)["opacity"], OPACITY * chosen), kind


def test_invented_opacity_dims_and_can_be_keyframed(target: bpy.types.Object) -> None:
    modifier = target.modifiers[0]
    for frame, value in ((1, 1.0), (11, 0.0)):
        set_input(modifier, "Invented Opacity", value)
        target.keyframe_insert(input_path(modifier, "Invented Opacity"), frame=frame)
    bpy.context.scene.frame_set(6)
    expected = OPACITY * np.where(POINTS["observed"] < 0.5, 0.5, 1.0)
    assert np.allclose(evaluated(target)["opacity"], expected, atol=1e-5)


def test_any_beginning_of_the_order_covers_each_region_in_proportion() -> None:
    count = 4096
    means = np.random.default_rng(1).uniform(-1, 1, (count, 3)).astype(np.float32)
    ranks = density_ranks(means, np.ones(count, np.float32))
    assert np.array_equal(np.sort(ranks), (np.arange(count) / count).astype(np.float32))
    octant = (means > 0) @ [1, 2, 4]
    for density in (0.02, 0.1, 0.3, 0.7):
        kept = np.bincount(octant[ranks < density], minlength=8)
        # A random order strays by 3 times the square root of what is expected.
        assert np.abs(kept - density * np.bincount(octant)).max() < 5


def test_opaque_splats_come_first() -> None:
    splats = gaussians(2000)
    ranks = density_ranks(splats.means, splats.opacities)
    opaque = splats.opacities > np.median(splats.opacities)
    assert ranks[opaque].mean() < ranks[~opaque].mean() - 0.05


def test_the_order_takes_any_number_of_points_anywhere() -> None:
    for count in (0, 1, 2):
        splats = gaussians(count)
        assert len(density_ranks(splats.means, splats.opacities)) == count
    same = np.zeros((5, 3), np.float32)
    assert len(set(density_ranks(same, same[:, 0]))) == 5


def test_a_tenth_of_the_splats_keeps_the_silhouette() -> None:
    whole, view = gaussians(3000), CAMERAS[0]
    ranks = density_ranks(whole.means, whole.opacities)
    _, full = reference.render(whole, view)

    def overlap(order: np.ndarray, scales: np.ndarray) -> float:
        fewer = taken(replace(whole, scales=scales), order < 0.1)
        _, alphas = reference.render(fewer, view)
        either, both = (full > 0.5) | (alphas > 0.5), (full > 0.5) & (alphas > 0.5)
        return float(both.sum() / either.sum())

    at_random = np.random.default_rng(0).permutation(3000) / 3000
    ours = overlap(ranks, larger(whole.scales, 0.1))
    assert ours > 0.9
    assert ours > overlap(at_random, larger(whole.scales, 0.1)) > overlap(at_random, whole.scales)


def taken(splats: Gaussians, chosen: np.ndarray) -> Gaussians:
    return Gaussians(**{name: values[chosen] for name, values in vars(splats).items()})


# -- imported assets ------------------------------------------------------------------------


@pytest.fixture
def clip() -> Asset:
    """Some splats seen, some half, some not at all, in both parts."""
    clip = asset(60, 40, opacities=True)
    for part in (clip.static, clip.dynamic):
        part.observed = rng.choice([0.0, 0.3, 0.7, 1.0], len(part)).astype(np.float32)
    return clip


@pytest.fixture
def imported(clip: Asset, tmp_path: Path) -> bpy.types.Object:
    write_asset(tmp_path / "clip.ds4d", clip)
    return import_asset(tmp_path / "clip.ds4d", cameras=True, set_scene_time=True)


def test_still_and_moving_splats_stand_in_one_order(clip: Asset) -> None:
    ranks = {layer.part: layer.values for layer in layers(clip) if layer.name == "density_rank"}
    both = np.concatenate([ranks["static"], ranks["dynamic"]])
    assert np.array_equal(np.sort(both), (np.arange(100) / 100).astype(np.float32))
    assert 10 < (ranks["static"] < 0.5).sum() < 50


def test_every_point_says_how_much_of_it_was_observed(
    imported: bpy.types.Object, clip: Asset
) -> None:
    assert np.array_equal(played(imported)["observed"], clip.frame(0).observed)


def test_the_splats_that_density_keeps_are_the_same_at_every_time(
    imported: bpy.types.Object, scene: bpy.types.Scene, clip: Asset
) -> None:
    use_camera(scene, bpy.data.objects["square"])
    set_inputs(imported, Density=0.3)
    for frame in (0, 3):
        scene.frame_set(clip.frame_start + frame, subframe=0.5)
        assert len(drawn(imported).polygons) == 30


def test_what_is_hidden_is_drawn_without_size(
    imported: bpy.types.Object, scene: bpy.types.Scene, clip: Asset
) -> None:
    use_camera(scene, bpy.data.objects["square"])
    set_menu(imported.modifiers[-1], "Sort", "Off", ("Automatic", "On", "Off"))
    show(imported, "Observed")
    corners = np.array([vertex.co for vertex in drawn(imported).vertices]).reshape(-1, 4, 3)
    frame = clip.frame(0)
    kept = (frame.observed >= 0.5) & (frame.opacities > 1 / 255)
    assert np.array_equal(np.ptp(corners, axis=1).max(axis=1) > 1e-5, kept)


def test_cycles_draws_only_the_chosen_splats(
    imported: bpy.types.Object, scene: bpy.types.Scene, clip: Asset, tmp_path: Path
) -> None:
    view = CAMERAS[0]
    use_camera(scene, bpy.data.objects[view.name])
    setup_render(scene, "CYCLES")
    show(imported, "Invented")
    frame = clip.frame(0)
    colours, _ = reference.render(
        replace(frame, opacities=frame.opacities * (frame.observed < 0.5)), view
    )
    assert reference.psnr(rendered(scene, tmp_path)[..., :3], colours) > 60
