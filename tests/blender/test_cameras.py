# SPDX-License-Identifier: GPL-3.0-or-later
"""Imported cameras see what the calibrated cameras saw."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from ds4d_blender.cameras import add_cameras, use_camera
from ds4d_blender.importer import import_asset
from ds4d_engine.seam import Camera, write_asset
from tests.blender.synthetic import CAMERAS, asset, camera

WIDE = camera("wide", (0.5, 3.0, 0.4), width=160, height=90, focal=(300.0, 250.0), centre=(20, 80))


@pytest.mark.parametrize("view", [*CAMERAS, WIDE], ids=lambda view: view.name)
def test_points_project_to_the_same_pixels(view: Camera, scene: bpy.types.Scene) -> None:
    (target,) = add_cameras([view], scene.collection)
    use_camera(scene, target)
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    render = scene.render
    projection = np.array(
        target.calc_matrix_camera(
            depsgraph,
            x=render.resolution_x,
            y=render.resolution_y,
            scale_x=render.pixel_aspect_x,
            scale_y=render.pixel_aspect_y,
        )
    )
    size = np.array([view.width, view.height])
    random = np.random.default_rng(3)
    for expected in random.random((20, 2)) * size:
        ray = np.linalg.solve(view.K, [*expected, 1.0])
        point = (view.camtoworld @ [*(ray * random.uniform(0.5, 5.0)), 1.0])[:3]
        local = np.array(target.matrix_world.inverted()) @ [*point, 1.0]
        clip = projection @ local
        pixels = (clip[:2] / clip[3] * [0.5, -0.5] + 0.5) * size
        assert np.abs(pixels - expected).max() < 1e-3


def test_square_pixels_agree_with_blenders_own_projection(scene: bpy.types.Scene) -> None:
    view = camera("shifted", (2.0, -2.0, 1.0), width=120, height=70, centre=(50.0, 41.0))
    (target,) = add_cameras([view], scene.collection)
    use_camera(scene, target)
    bpy.context.view_layer.update()
    u, v, depth = world_to_camera_view(scene, target, Vector((0.2, 0.1, 0.3)))
    seen = view.K @ (view.viewmat @ [0.2, 0.1, 0.3, 1.0])[:3]
    assert np.allclose([u * 120, (1 - v) * 70, depth], [*(seen[:2] / seen[2]), seen[2]], atol=1e-3)


def test_pose_is_exact(scene: bpy.types.Scene) -> None:
    targets = add_cameras(CAMERAS, scene.collection)
    bpy.context.view_layer.update()
    for target, view in zip(targets, CAMERAS, strict=True):
        expected = view.camtoworld @ np.diag([1.0, -1.0, -1.0, 1.0])
        assert np.abs(np.array(target.matrix_world) - expected).max() < 1e-6


def test_resolution_of_the_first_test_camera_is_adopted_when_asked(
    tmp_path: Path, scene: bpy.types.Scene
) -> None:
    write_asset(tmp_path / "clip.ds4d", asset(4, 4))
    import_asset(tmp_path / "clip.ds4d", set_resolution=True)
    assert scene.camera.name == "odd"
    assert (scene.render.resolution_x, scene.render.resolution_y) == (128, 80)
    assert scene.render.pixel_aspect_x / scene.render.pixel_aspect_y == pytest.approx(105 / 90)
