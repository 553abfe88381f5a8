# SPDX-License-Identifier: GPL-3.0-or-later
"""Make real Blender point clouds from numpy arrays."""

from __future__ import annotations

from itertools import pairwise

import bpy
import numpy as np
from numpy.typing import NDArray

LAYOUT = {
    "FLOAT": ("value", 1),
    "FLOAT_VECTOR": ("vector", 3),
    "FLOAT_COLOR": ("color", 4),
    "FLOAT4": ("vector", 4),
    "QUATERNION": ("value", 4),
}
"""Attribute type -> (the property that holds the value, number of components)."""


def empty_point_cloud(name: str, count: int) -> bpy.types.PointCloud:
    """Create a point cloud of `count` points that lie anywhere; no scene shows it yet."""
    cloud = bpy.data.pointclouds.new(name)
    if not count:
        return cloud
    if hasattr(cloud, "resize"):  # Blender 5.1 and later
        cloud.resize(count)
        return cloud
    bpy.data.pointclouds.remove(cloud)
    return _converted_from_mesh(name, count)


def new_point_cloud(name: str, positions: NDArray[np.float32]) -> bpy.types.PointCloud:
    """Create a point cloud with points at `positions` [N,3] (object space)."""
    cloud = empty_point_cloud(name, len(positions))
    set_attribute(cloud, "position", "FLOAT_VECTOR", positions)
    return cloud


def set_attribute(
    cloud: bpy.types.PointCloud, name: str, kind: str, values: NDArray[np.floating]
) -> None:
    """Write a point attribute, created when missing; `values` [N] or [N,components]."""
    field, components = LAYOUT[kind]
    flat = np.ascontiguousarray(values, dtype=np.float32).ravel()
    if flat.size != len(cloud.points) * components:
        raise ValueError(
            f"attribute {name!r} has {flat.size} values, "
            f"{len(cloud.points)} points need {len(cloud.points) * components}"
        )
    attribute = cloud.attributes.get(name) or cloud.attributes.new(name, kind, "POINT")
    attribute.data.foreach_set(field, flat)


def attribute_values(data: bpy.types.ID, name: str) -> NDArray[np.float32]:
    """Return a copy of a float attribute [N] or [N,components] of a point cloud or mesh."""
    attribute = data.attributes[name]
    field, components = LAYOUT[attribute.data_type]
    values = np.empty(len(attribute.data) * components, np.float32)
    attribute.data.foreach_get(field, values)
    return values if components == 1 else values.reshape(-1, components)


def _converted_from_mesh(name: str, count: int) -> bpy.types.PointCloud:
    """Return a point cloud of `count` points in a Blender that cannot resize one.

    A mesh of loose vertices goes through Mesh to Points, and the evaluated cloud is copied. A scene
    of its own keeps the artist's from being evaluated for it.
    """
    scene = bpy.data.scenes.new(name)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(count)
    group = bpy.data.node_groups.new(name, "GeometryNodeTree")
    group.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    nodes = [
        group.nodes.new(kind)
        for kind in ("NodeGroupInput", "GeometryNodeMeshToPoints", "NodeGroupOutput")
    ]
    for left, right in pairwise(nodes):
        group.links.new(left.outputs[0], right.inputs[0])
    carrier = bpy.data.objects.new(name, mesh)
    scene.collection.objects.link(carrier)
    try:
        carrier.modifiers.new(name, "NODES").node_group = group
        layer = scene.view_layers[0]
        layer.update()
        # The geometry set owns the evaluated cloud: it has to outlive the copy.
        geometry = carrier.evaluated_get(layer.depsgraph).evaluated_geometry()
        cloud = geometry.pointcloud.copy()
    finally:
        bpy.data.objects.remove(carrier)
        bpy.data.meshes.remove(mesh)
        bpy.data.node_groups.remove(group)
        bpy.data.scenes.remove(scene)
    cloud.name = name
    # The mesh leaves a selection, the node a radius.
    for extra in [item.name for item in cloud.attributes if item.name != "position"]:
        cloud.attributes.remove(cloud.attributes[extra])
    return cloud
