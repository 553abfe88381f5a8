# SPDX-License-Identifier: GPL-3.0-or-later
"""A closed surface around splats, made in Geometry Nodes: for shadows, collisions, normals."""

from __future__ import annotations

import bpy

from .nodes import Field, Tree, shared_group

GROUP_NAME = "DS4D Body"
GROUP_VERSION = 2

# A cloud is about so many standard deviations of its positions wide; a few stray splats far away
# change a bounding box, but hardly this.
_WIDTH_IN_DEVIATIONS = 4.0
# A point is a ball of so many voxels at least: smaller ones leave holes.
_RADIUS_IN_VOXELS = 2.0
# So many splats, times the square of the detail, leave no hole; the time goes into their number.
_SPLATS_PER_PATCH = 1.5


def body_group() -> bpy.types.GeometryNodeTree:
    """Return the group that turns points with `opacity` and `scale` into a mesh around them."""
    return shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)


def _build(tree: Tree) -> None:
    tree.declare("Mesh", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("Detail", "Float", 48.0, minimum=4.0, tip="Voxels across the cloud")
    tree.declare("Opacity From", "Float", 0.3, factor=True, tip="Fainter splats are left out")
    tree.declare("Smooth", "Int", 2, minimum=0, tip="How often the surface is smoothed")
    tree.declare("Grow", "Float", 0.0, tip="Moves the surface outwards, in voxels")
    with tree.frame("Splats that count"):
        shown = tree.math(
            "GREATER_THAN", tree.attribute("opacity", "FLOAT"), tree.read("Opacity From")
        )
        shown = shown * _first(tree, tree.read("Geometry"))
        points = tree.node(
            "GeometryNodeSeparateGeometry",
            {"Geometry": tree.read("Geometry"), "Selection": shown},
            domain="POINT",
        )
        points = tree.output(points, "Selection")
    with tree.frame("Size of a voxel, from the size of the cloud"):
        voxel = _width(tree, points) / tree.read("Detail")
    with tree.frame("Balls around the splats"):
        # Half of a flat splat's width: its neighbors fill what it leaves.
        x, y, z = tree.separate(tree.attribute("scale", "FLOAT_VECTOR"))
        largest = tree.math("MAXIMUM", tree.math("MAXIMUM", x, y), z)
        smallest = tree.math("MINIMUM", tree.math("MINIMUM", x, y), z)
        middle = x + y + z - largest - smallest
        radius = tree.math("MAXIMUM", middle, voxel * _RADIUS_IN_VOXELS)
        volume = tree.node("GeometryNodePointsToVolume", {"Points": points, "Radius": radius})
        _sized(tree, volume, voxel)
        mesh = tree.node("GeometryNodeVolumeToMesh", {"Volume": volume, "Threshold": 0.5})
    with tree.frame("Smooth surface"):
        smooth = tree.node(
            "GeometryNodeBlurAttribute",
            {
                "Value": tree.node("GeometryNodeInputPosition"),
                "Iterations": tree.read("Smooth"),
            },
            data_type="FLOAT_VECTOR",
        )
        mesh = tree.node("GeometryNodeSetPosition", {"Geometry": mesh, "Position": smooth})
        normal = tree.output(tree.node("GeometryNodeInputNormal"))
        mesh = tree.node(
            "GeometryNodeSetPosition",
            {"Geometry": mesh, "Offset": normal * (voxel * tree.read("Grow"))},
        )
        mesh = tree.node("GeometryNodeSetShadeSmooth", {0: mesh})
    tree.node("NodeGroupOutput", {"Mesh": mesh})


def _first(tree: Tree, points: Field) -> Field:
    """Tell which splats come first in an order of which any beginning looks whole."""
    size = tree.node("GeometryNodeAttributeDomainSize", {0: points}, component="POINTCLOUD")
    detail = tree.read("Detail")
    enough = detail * detail * _SPLATS_PER_PATCH / tree.output(size, "Point Count")
    return tree.math("LESS_THAN", tree.attribute("density_rank", "FLOAT"), enough)


def _width(tree: Tree, points: Field) -> Field:
    """Return about how wide a cloud is, in its own units."""
    statistic = tree.node(
        "GeometryNodeAttributeStatistic",
        {"Geometry": points, "Attribute": tree.node("GeometryNodeInputPosition")},
        data_type="FLOAT_VECTOR",
    )
    deviation = tree.output(statistic, "Standard Deviation")
    return tree.vector_math("LENGTH", deviation) * _WIDTH_IN_DEVIATIONS


def _sized(tree: Tree, node: bpy.types.Node, voxel: Field) -> None:
    """Give a node that makes a volume its voxel size."""
    if hasattr(node, "resolution_mode"):
        node.resolution_mode = "VOXEL_SIZE"
    else:  # an input socket since Blender 5.0
        node.inputs["Resolution Mode"].default_value = "Size"
    tree.connect(tree.input(node, "Voxel Size"), voxel)
