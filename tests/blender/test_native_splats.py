# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Blender has splats of its own, an import uses them; a property stands in for them here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.importer import import_asset
from ds4d_blender.native_splats import has_native_splats
from ds4d_blender.nodes import input_value, set_input
from ds4d_blender.point_cloud import attribute_values
from ds4d_blender.splat_layers import FOUR_FLOATS
from ds4d_blender.splat_objects import static_child
from ds4d_engine.seam import write_asset
from tests.blender.synthetic import asset


@pytest.fixture
def native() -> Iterator[None]:
    """Point clouds with a type, as Blender 5.3 plans them."""
    items = (("POINTS", "Points", ""), ("GAUSSIAN_SPLAT", "3D Gaussian Splats", ""))
    bpy.types.PointCloud.type = bpy.props.EnumProperty(items=items)
    yield
    del bpy.types.PointCloud.type


def imported(folder: Path, blend: str = "linear") -> bpy.types.Object:
    write_asset(folder / "clip.ds4d", asset(20, 30, opacities=True, bases=3, blend=blend))
    return import_asset(folder / "clip.ds4d", set_scene_time=True)


def evaluated(target: bpy.types.Object) -> dict[str, tuple[str, np.ndarray]]:
    geometry = target.evaluated_get(bpy.context.evaluated_depsgraph_get()).evaluated_geometry()
    return {
        item.name: (item.data_type, attribute_values(geometry.pointcloud, item.name))
        for item in geometry.pointcloud.attributes
        if item.data_type.startswith(("FLOAT", "QUAT"))
    }


def test_without_the_feature_everything_is_drawn_as_before(tmp_path: Path) -> None:
    target = imported(tmp_path)
    assert has_native_splats() == hasattr(bpy.types.PointCloud, "type")
    assert input_value(target.modifiers["DS4D Draw"], "Native") == has_native_splats()


@pytest.mark.usefixtures("native")
def test_both_clouds_become_native_splats_unless_they_blend_encoded_colors(tmp_path: Path) -> None:
    for blend, kind in (("linear", "GAUSSIAN_SPLAT"), ("srgb", "POINTS")):
        target = imported(tmp_path, blend)
        assert target.data.type == static_child(target).data.type == kind
        assert input_value(target.modifiers["DS4D Draw"], "Native") == (blend == "linear")


@pytest.mark.usefixtures("native")
def test_the_points_that_blender_draws_have_the_names_types_and_values_of_its_splats(
    tmp_path: Path,
) -> None:
    target = imported(tmp_path)
    clip = asset(20, 30, opacities=True, bases=3)
    set_input(target.modifiers["DS4D Draw"], "SH Degree", 0)
    set_input(target.modifiers["DS4D Draw"], "Opacity", 0.5)
    bpy.context.scene.frame_set(clip.frame_start + 2)
    seen, points = clip.frame(2), evaluated(target)
    kinds = {"position": "FLOAT_VECTOR", "scale": "FLOAT_VECTOR", "rotation": "QUATERNION"}
    assert target.data.attributes["radiance:base"].data_type == FOUR_FLOATS
    for name, kind in (kinds | {"radiance:base": "FLOAT_COLOR"}).items():
        assert points[name][0] == kind
    assert not any(name.startswith("radiance:sh_") for name in points)
    assert np.allclose(points["position"][1], seen.means, atol=1e-5)
    assert np.allclose(points["scale"][1], seen.scales, atol=1e-6)
    base = points["radiance:base"][1]
    shown = np.maximum(seen.sh0[:, 0] * 0.28209479 + 0.5, 0.0)
    assert np.allclose(base[:, :3] * 0.28209479 + 0.5, shown, atol=2e-4)
    assert np.allclose(base[:, 3], seen.opacities * 0.5, atol=1e-5)
