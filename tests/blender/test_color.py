# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats have the color the engine gives them from where the camera stands, then a grade."""

from __future__ import annotations

import colorsys
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from ds4d_blender.cameras import use_camera
from ds4d_blender.drawing import color
from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import input_value, set_input
from ds4d_blender.rendering import setup_render
from ds4d_engine.seam import write_asset
from tests.blender import reference
from tests.blender.observe import rendered
from tests.blender.point_groups import Values, evaluated, points_object
from tests.blender.synthetic import CAMERAS, asset

COUNT = 300
EYE = np.array([2.0, -3.0, 1.5])
BASES = {0: 0, 1: 3, 2: 8, 3: 15}
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
rng = np.random.default_rng(3)
ENCODED = rng.normal(0.4, 0.4, (COUNT, 3))  # some are negative
HIGHER = rng.normal(0.0, 0.25, (COUNT, 15, 3))
POSITIONS = rng.normal(size=(COUNT, 3))
OBSERVED = rng.choice([0.0, 0.4, 0.6, 1.0], COUNT)


def signed_decode(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, reference.decode_srgb(encoded))


def points(*, degree: int = 0, encoded: bool = False) -> bpy.types.Object:
    """Points whose signed colors stand in `splat_color`, drawn without a camera so far."""
    values: Values = {
        "position": POSITIONS,
        "splat_color": np.column_stack(
            [ENCODED if encoded else signed_decode(ENCODED), np.ones(COUNT)]
        ),
        "observed": OBSERVED,
    }
    for k in range(BASES[degree]):
        values[f"radiance:sh_{k}"] = HIGHER[:, k]
    target = points_object(values, color)
    set_inputs(target, **{"sRGB Blend": encoded})
    return target


def set_inputs(target: bpy.types.Object, **inputs: object) -> None:
    for name, value in inputs.items():
        set_input(target.modifiers[0], name, value)


def add_camera(*, orthographic: bool = False) -> bpy.types.Object:
    data = bpy.data.cameras.new("camera")
    data.type = "ORTHO" if orthographic else "PERSP"
    camera = bpy.data.objects.new("camera", data)
    bpy.context.scene.collection.objects.link(camera)
    camera.location, camera.rotation_euler, camera.scale = EYE, (1.0, 0.2, 0.6), (2, 2, 2)
    bpy.context.scene.camera = camera
    return camera


def drawn(target: bpy.types.Object) -> np.ndarray:
    return evaluated(target)["splat_color"][:, :3]


def seen(directions: np.ndarray, degree: int) -> np.ndarray:
    """The encoded colors of the points seen along directions [N,3]."""
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    basis = reference.harmonics(directions, degree)
    return ENCODED + np.einsum("nk,nkc->nc", basis, HIGHER[:, : BASES[degree]])


@pytest.mark.parametrize("encoded", [False, True])
def test_view_dependent_color_is_the_engines_and_turns_with_the_object(encoded: bool) -> None:
    target = points(degree=3, encoded=encoded)
    target.matrix_world = Matrix.LocRotScale(
        (1.0, 2.0, 3.0), Matrix.Rotation(2.0, 3, (1.0, -2.0, 0.5)), (2.0, 0.7, 1.3)
    )
    add_camera()
    eye = np.array(target.matrix_world.inverted() @ Matrix.Translation(EYE))[:3, 3]
    for degree in range(4):
        set_inputs(target, **{"SH Degree": degree})
        expected = seen(POSITIONS - eye, degree)
        assert (expected < 0).any() and (ENCODED < 0).any()
        expected = np.maximum(expected if encoded else signed_decode(expected), 0)
        assert np.abs(drawn(target) - expected).max() < 1e-5, degree


def test_coefficients_that_are_missing_lower_the_degree() -> None:
    add_camera()
    for degree in range(3):
        expected = np.maximum(signed_decode(seen(POSITIONS - EYE, degree)), 0)
        assert np.abs(drawn(points(degree=degree)) - expected).max() < 1e-5, degree


def test_an_orthographic_camera_looks_everywhere_in_one_direction() -> None:
    target = points(degree=3)
    forward = -np.array(add_camera(orthographic=True).rotation_euler.to_matrix())[:, 2]
    expected = np.maximum(signed_decode(seen(np.tile(forward, (COUNT, 1)), 3)), 0)
    assert np.abs(drawn(target) - expected).max() < 1e-5


@pytest.mark.parametrize("encoded", [False, True])
def test_without_a_camera_or_a_grade_the_color_is_exactly_what_came_in(encoded: bool) -> None:
    target = points(degree=3, encoded=encoded)
    came = ENCODED if encoded else signed_decode(ENCODED)
    assert np.array_equal(drawn(target), np.maximum(came.astype(np.float32), 0))


def hue_turned(linear: np.ndarray, turns: float) -> np.ndarray:
    parts = [colorsys.rgb_to_hsv(*color) for color in linear]
    return np.array([colorsys.hsv_to_rgb((h + turns) % 1.0, s, v) for h, s, v in parts])


GRADES = {
    "exposure": ({"Exposure": 1.5}, lambda c: c * 2**1.5),
    "tint": ({"Color Tint": (1.0, 0.5, 0.2, 1.0)}, lambda c: c * [1.0, 0.5, 0.2]),
    "gray": ({"Saturation": 0.0}, lambda c: np.repeat((c @ LUMINANCE)[:, None], 3, axis=1)),
    "vivid": (
        {"Saturation": 1.6},
        lambda c: np.maximum((c - (c @ LUMINANCE)[:, None]) * 1.6 + (c @ LUMINANCE)[:, None], 0),
    ),
    "hue": ({"Hue": -75.0}, lambda c: hue_turned(c, -75 / 360)),
}


@pytest.mark.parametrize("encoded", [False, True])
def test_the_grade_works_in_linear_light(encoded: bool) -> None:
    for grade, (inputs, expected) in GRADES.items():
        target = points(encoded=encoded)
        set_inputs(target, **inputs)
        graded = expected(signed_decode(np.maximum(ENCODED, 0)))
        if encoded:
            graded = reference.encode_srgb(graded)
        assert np.abs(drawn(target) - graded).max() < 1e-5, grade


def test_a_tint_colors_what_is_invented_and_nothing_else() -> None:
    target = points()
    plain = drawn(target)
    tint = np.array([0.1, 0.2, 0.9])
    set_inputs(target, **{"Tint Invented": 0.75, "Invented Tint": (*tint, 1.0)})
    invented = OBSERVED < 0.5
    assert np.array_equal(drawn(target)[~invented], plain[~invented])
    assert np.allclose(drawn(target)[invented], plain[invented] * 0.25 + tint * 0.75, atol=1e-6)
    set_inputs(target, **{"Observed From": 0.9})
    assert np.array_equal((drawn(target) != plain).any(axis=1), OBSERVED < 0.9)


def test_the_import_says_in_which_space_colors_are_drawn(tmp_path: Path) -> None:
    for blend in ("linear", "srgb"):
        write_asset(tmp_path / "clip.ds4d", asset(4, 4, blend=blend))
        target = import_asset(tmp_path / "clip.ds4d")
        assert input_value(target.modifiers["DS4D Draw"], "sRGB Blend") == (blend == "srgb")


def test_cycles_renders_view_dependent_color_as_the_engine_does(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    clip = asset(60, 60, bases=15)
    write_asset(tmp_path / "clip.ds4d", clip)
    import_asset(tmp_path / "clip.ds4d", cameras=True, set_scene_time=True)
    view = CAMERAS[1]
    use_camera(scene, bpy.data.objects[view.name])
    setup_render(scene, "CYCLES")
    expected, _ = reference.render(clip.frame(0), view)
    assert reference.psnr(rendered(scene, tmp_path)[..., :3], expected) > 60
