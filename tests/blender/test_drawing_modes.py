# SPDX-License-Identifier: GPL-3.0-or-later
"""What *DS4D Draw* makes of splats in each of its modes, and in which order."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from numpy.typing import NDArray

from ds4d_blender.cameras import use_camera
from ds4d_blender.drawing import MODES
from ds4d_blender.drawing.order import SORT
from ds4d_blender.drawing.points import INVERSE_AXES
from ds4d_blender.importer import import_asset
from ds4d_blender.material import point_material
from ds4d_blender.nodes import set_input, set_menu
from ds4d_blender.point_cloud import attribute_values, set_attribute
from ds4d_blender.rendering import setup_render
from ds4d_engine.seam import write_asset
from tests.blender.observe import drawn
from tests.blender.reference import rotation_matrices
from tests.blender.synthetic import CAMERAS, asset

Array = NDArray[np.float64]

# What the tree is made of as a mesh, and what it keeps to itself.
BUILT_IN = {"position", "material_index", "sharp_face"}


@pytest.fixture
def splats(scene: bpy.types.Scene, tmp_path: Path) -> bpy.types.Object:
    """An imported clip of 60 splats under the first of its cameras."""
    write_asset(tmp_path / "clip.ds4d", asset(30, 30))
    target = import_asset(tmp_path / "clip.ds4d", cameras=True, set_scene_time=True)
    use_camera(scene, bpy.data.objects[CAMERAS[0].name])
    return target


def drawing(target: bpy.types.Object) -> bpy.types.NodesModifier:
    return target.modifiers["DS4D Draw"]


def points(target: bpy.types.Object) -> dict[str, NDArray[np.float32]]:
    """Return the attributes of the point cloud that an object evaluates to."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    geometry = target.evaluated_get(depsgraph).evaluated_geometry()
    assert geometry.mesh is None
    cloud = geometry.pointcloud
    return {item.name: attribute_values(cloud, item.name) for item in cloud.attributes}


def names(mesh: bpy.types.Mesh) -> set[str]:
    return {item.name for item in mesh.attributes if not item.name.startswith(".")} - BUILT_IN


def test_quads_carry_what_the_material_reads_and_nothing_else(
    scene: bpy.types.Scene, splats: bpy.types.Object
) -> None:
    wanted = {"ds4d_corner", "opacity", "splat_color"}
    assert names(drawn(splats)) == wanted
    scene.frame_set(scene.frame_current + 2)
    assert names(drawn(splats)) == wanted  # other names would compile shaders anew


def test_projected_points_keep_their_places_and_carry_their_ellipses(
    splats: bpy.types.Object,
) -> None:
    set_input(drawing(splats), "Projected", True)
    projected = points(splats)
    set_input(drawing(splats), "Projected", False)
    drawing(splats).show_viewport = False
    assert np.array_equal(projected["position"], points(splats)["position"])
    assert set(projected) == {"position", "opacity", "splat_color", "ds4d_factor"}
    assert (projected["ds4d_factor"].reshape(-1, 3)[:, 0] > 0).all()


def test_soft_points_hold_the_inverse_of_each_covariance_for_every_camera(
    scene: bpy.types.Scene, splats: bpy.types.Object
) -> None:
    set_menu(drawing(splats), "Mode", "Soft Points", MODES)
    found = points(splats)
    use_camera(scene, bpy.data.objects[CAMERAS[2].name])
    elsewhere = points(splats)
    assert found.keys() == elsewhere.keys()
    assert all(np.array_equal(found[name], elsewhere[name]) for name in found if name != "radius")
    drawing(splats).show_viewport = False
    played = points(splats)
    quats = played["rotation"].reshape(-1, 4).astype(float)
    scales = played["scale"].reshape(-1, 3).astype(float)
    axes = rotation_matrices(quats) * scales[:, None, :]
    inverses = np.stack([found[name].reshape(-1, 3) for name in INVERSE_AXES], axis=1)
    assert np.abs(inverses.astype(float) @ axes - np.eye(3)).max() < 1e-4
    # They reach as far as alpha does, with the filter of 0.3 square pixels at their distance.
    view = CAMERAS[0].viewmat
    distances = np.linalg.norm(
        played["position"].reshape(-1, 3) + view[:3, :3].T @ view[:3, 3], axis=1
    )
    widest = np.sqrt(scales.max(axis=1) ** 2 + 0.3 * (distances / CAMERAS[0].K[0, 0]) ** 2)
    reach = widest * np.sqrt(2 * np.log(255 * played["opacity"]))
    assert np.allclose(found["radius"], reach, rtol=1e-4)


def test_solid_points_are_small_and_opaque(splats: bpy.types.Object) -> None:
    set_menu(drawing(splats), "Mode", "Points", MODES)
    found = points(splats)
    drawing(splats).show_viewport = False
    played = points(splats)
    assert (found["opacity"] == 1).all()
    assert (found["radius"] <= played["scale"].reshape(-1, 3).max(axis=1)).all()
    assert not set(found) & {"rotation", "scale", *INVERSE_AXES}


def test_solid_points_leave_it_to_the_material_to_cut_a_color_off_that_nothing_changes(
    scene: bpy.types.Scene, splats: bpy.types.Object
) -> None:
    came = attribute_values(splats.data, "splat_color").copy()
    came[:, 1] = -0.25
    set_attribute(splats.data, "splat_color", "FLOAT_COLOR", came)
    colors = {}
    for mode in MODES[1:]:
        set_menu(drawing(splats), "Mode", mode, MODES)
        colors[mode] = points(splats)["splat_color"]
    assert (colors["Points"][-30:, 1] == -0.25).all() and (colors["Soft Points"] >= 0).all()
    assert np.array_equal(np.maximum(colors["Points"], 0), colors["Soft Points"])
    set_input(drawing(splats), "Exposure", 1.0)
    assert (points(splats)["splat_color"] >= 0).all()
    steps = point_material().node_tree.nodes
    assert any(getattr(node, "operation", "") == "MAXIMUM" for node in steps)


def rendered_depths(target: bpy.types.Object, folder: Path) -> Array:
    """Return how far the quads are from the first camera, in order, as a render evaluates them."""
    path = folder / "quads.obj"
    target.select_set(True)
    bpy.ops.wm.obj_export(
        filepath=str(path),
        export_selected_objects=True,
        export_eval_mode="DAG_EVAL_RENDER",
        export_materials=False,
        forward_axis="Y",
        up_axis="Z",
    )
    lines = [line.split()[1:4] for line in path.read_text().splitlines() if line.startswith("v ")]
    centres = np.array(lines, float).reshape(-1, 4, 3).mean(axis=1)
    assert len(centres) == 60
    return centres @ CAMERAS[0].viewmat[2, :3]


def test_automatic_order_is_by_depth_where_the_engine_needs_it(
    scene: bpy.types.Scene, splats: bpy.types.Object, tmp_path: Path
) -> None:
    setup_render(scene, "CYCLES")
    assert (np.diff(rendered_depths(splats, tmp_path)) > 1e-4).any()
    viewport = np.array([v.co for v in drawn(splats).vertices]).reshape(-1, 4, 3).mean(axis=1)
    assert (np.diff(viewport @ CAMERAS[0].viewmat[2, :3]) < 1e-5).all()
    setup_render(scene, "EEVEE")
    assert (np.diff(rendered_depths(splats, tmp_path)) < 1e-4).all()


@pytest.mark.parametrize(("choice", "engine"), [("On", "CYCLES"), ("Off", "EEVEE")])
def test_order_can_be_chosen_against_the_engine(
    scene: bpy.types.Scene, splats: bpy.types.Object, tmp_path: Path, choice: str, engine: str
) -> None:
    setup_render(scene, engine)
    set_menu(drawing(splats), "Sort", choice, SORT)
    falls = (np.diff(rendered_depths(splats, tmp_path)) < 1e-4).all()
    assert falls == (choice == "On")
