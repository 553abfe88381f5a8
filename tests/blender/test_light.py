# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats under the scene's lamps: normals, light and shade, and nothing of it when switched off."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.cameras import use_camera
from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import set_input
from ds4d_blender.rendering import setup_render
from ds4d_engine.seam import write_asset
from tests.blender.observe import drawn, rendered
from tests.blender.reference import rotation_matrices
from tests.blender.synthetic import asset, camera

VIEW = camera(
    "front", (0.0, -3.0, 0.0), width=48, height=48, focal=(100.0, 100.0), target=(0, 0, 0)
)
# A ball of moving splats in the middle, which do not move at its first frame's time.
BALL = asset(0, 600, frames=1, cameras=(VIEW,))


@pytest.fixture
def ball(scene: bpy.types.Scene, tmp_path: Path) -> bpy.types.Object:
    write_asset(tmp_path / "ball.ds4d", BALL)
    target = import_asset(tmp_path / "ball.ds4d", cameras=True, set_scene_time=True)
    use_camera(scene, bpy.data.objects["front"])
    return target


def add_sun(scene: bpy.types.Scene) -> None:
    """Add a lamp that shines from the left, along +X."""
    lamp = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    lamp.data.energy = 3.0
    lamp.rotation_euler = (0.0, -np.pi / 2, 0.0)
    scene.collection.objects.link(lamp)


def lit(target: bpy.types.Object, *, smooth: float) -> None:
    set_input(target.modifiers["DS4D Draw"], "Lit by Scene", 1.0)
    set_input(target.modifiers["DS4D Draw"], "Smooth Normals", smooth)


def quad_normals(target: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """Return the normals [N,3] of the quads and their centres [N,3], farthest first."""
    mesh = drawn(target)
    normals = np.array([corner.vector for corner in mesh.corner_normals])
    corners = np.array([vertex.co for vertex in mesh.vertices])
    return normals.reshape(-1, 4, 3).mean(1), corners.reshape(-1, 4, 3).mean(1)


def test_without_light_a_lamp_changes_nothing_and_nothing_is_stored(
    scene: bpy.types.Scene, ball: bpy.types.Object, tmp_path: Path
) -> None:
    setup_render(scene, "CYCLES")
    before = rendered(scene, tmp_path)
    add_sun(scene)
    assert np.array_equal(rendered(scene, tmp_path), before)
    names = {attribute.name for attribute in drawn(ball).attributes}
    assert not names & {"ds4d_lit", "ds4d_normal", "custom_normal"}


def test_unsmoothed_normals_are_the_shortest_axes_seen_from_the_camera(
    ball: bpy.types.Object,
) -> None:
    lit(ball, smooth=0.0)
    normals, centres = quad_normals(ball)
    shortest = BALL.dynamic.scales.argmin(axis=1)
    axes = rotation_matrices(BALL.motion.quats[0].astype(float))
    expected = np.take_along_axis(axes, shortest[:, None, None], axis=2)[..., 0]
    expected = expected[np.argsort(-BALL.motion.means[0, :, 1])]  # the camera looks along +Y
    assert np.abs(np.abs((normals * expected).sum(1)) - 1.0).max() < 1e-3
    toward = np.array([0.0, -3.0, 0.0]) - centres
    assert ((normals * toward).sum(1) > -1e-3).all()


def test_smooth_normals_are_those_of_the_body_that_the_camera_sees(
    ball: bpy.types.Object,
) -> None:
    lit(ball, smooth=1.0)
    normals, centres = quad_normals(ball)
    toward = np.array([0.0, -3.0, 0.0]) - centres
    # Where the ray from the camera meets a ball around the splats.
    direction = -toward / np.linalg.norm(toward, axis=1, keepdims=True)
    eye = np.array([0.0, -3.0, 0.0])
    along = -(direction @ eye)
    squared = 0.45**2 - (eye @ eye - along**2)
    met = squared > 0.05
    outward = eye + direction * (along - np.sqrt(np.maximum(squared, 0)))[:, None]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    assert np.median((normals * outward).sum(1)[met]) > 0.85


def test_the_side_toward_the_lamp_is_bright_and_the_other_dark(
    scene: bpy.types.Scene, ball: bpy.types.Object, tmp_path: Path
) -> None:
    setup_render(scene, "CYCLES", samples=4, antialias=True)
    scene.cycles.diffuse_bounces = 0
    ball.visible_shadow = False
    lit(ball, smooth=1.0)
    add_sun(scene)
    image = rendered(scene, tmp_path)[16:32, :, :3].sum(axis=2)
    bright, dark = image[:, 4:16].mean(), image[:, 32:44].mean()
    assert bright > 0.1
    assert bright > 2.5 * dark
