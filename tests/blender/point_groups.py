# SPDX-License-Identifier: GPL-3.0-or-later
"""Put plain points through the parts of the drawing that keep them points."""

from __future__ import annotations

from types import ModuleType

import bpy
import numpy as np
from numpy.typing import NDArray

from ds4d_blender.drawing import color, selection
from ds4d_blender.nodes import Tree, shared_group
from ds4d_blender.point_cloud import attribute_values, empty_point_cloud, set_attribute

Values = dict[str, NDArray[np.float32]]

_KINDS = {"splat_color": "FLOAT_COLOR", "rotation": "QUATERNION"}


def points_object(values: Values, *parts: ModuleType) -> bpy.types.Object:
    """Add a cloud of points with these attributes and a modifier made of those parts."""
    cloud = empty_point_cloud("points", len(values["position"]))
    for name, array in values.items():
        kind = _KINDS.get(name, "FLOAT" if array.ndim == 1 else "FLOAT_VECTOR")
        set_attribute(cloud, name, kind, np.ascontiguousarray(array, np.float32).ravel())
    target = bpy.data.objects.new("points", cloud)
    bpy.context.scene.collection.objects.link(target)
    modifier = target.modifiers.new("parts", "NODES")

    def build(tree: Tree) -> None:
        tree.declare("Geometry", "Geometry", output=True)
        tree.declare("Geometry", "Geometry")
        tree.declare("sRGB Blend", "Bool", False)
        for part in (selection, color):  # each may need what the other declares
            part.declare(tree)
        points = tree.read("Geometry")
        for part in parts:
            points = part.apply(tree, points)
        tree.node("NodeGroupOutput", {"Geometry": points})

    modifier.node_group = shared_group("Parts", 1, build)
    return target


def evaluated(target: bpy.types.Object) -> Values:
    """Return the attributes of the points after their modifiers."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    geometry = target.evaluated_get(depsgraph).evaluated_geometry()  # owns the cloud
    cloud = geometry.pointcloud
    return {item.name: attribute_values(cloud, item.name) for item in cloud.attributes}
