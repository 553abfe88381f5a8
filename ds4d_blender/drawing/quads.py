# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw projected splats as quads: *DS4D Quads*.

Each splat becomes one parallelogram parallel to the image plane, at the depth of its centre, so
that rays meet splats in the order in which the rasteriser blends them. It is the image of the
square from -1 to 1 under `ds4d_factor`, and each corner knows its place in that square
(`ds4d_corner`): with the opacity, the material needs no more than that.

The group takes points with `ds4d_factor` (see footprint.py) in the space of the object whose
modifier it is part of; several assets can be joined before it, and then sort together. The number
and order of faces are those of the points, which motion blur needs: what is not drawn has no size.
"""

from __future__ import annotations

from ..nodes import Field, Tree, shared_group
from .camera import call_camera
from .footprint import FACTOR
from .order import sorted_by

GROUP_NAME = "DS4D Quads"
GROUP_VERSION = 1
CORNER = "ds4d_corner"

# What a quad takes over from its point, and what it does only where some point has it: every
# attribute costs time and memory.
CARRIED = (("opacity", "FLOAT"), ("splat_color", "FLOAT_COLOR"))
OPTIONAL = (("ds4d_lit", "FLOAT"),)


def call_quads(tree: Tree, points: Field, *, sort: Field, material: Field) -> Field:
    """Return one quad for each projected point."""
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    return tree.output(tree.call(group, {"Points": points, "Sort": sort, "Material": material}))


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Points", "Geometry", tip="Projected points of one or several assets")
    tree.declare("Sort", "Bool", False, tip="Draw the farthest splat first")
    tree.declare("Material", "Material")
    camera = call_camera(tree)
    with tree.frame("Farthest first"):
        points = tree.read("Points")
        depth = tree.transformed_point(tree.position(), tree.output(camera, "To Camera"))
        ordered = sorted_by(tree, points, tree.separate(depth)[2])
        points = tree.switch("GEOMETRY", tree.read("Sort"), points, ordered)
    with tree.frame("One square for each point"):
        quads = _squares(tree, points)
    with tree.frame("Shape it as the splat's ellipse"):
        corners = _corners(tree, points, tree.output(camera, "Right"), tree.output(camera, "Up"))
        quads = tree.output(
            tree.node("GeometryNodeSetPosition", {"Geometry": quads, "Position": corners})
        )
    with tree.frame("Attributes and material"):
        for name, kind in CARRIED:
            quads = _carried(tree, quads, points, name, kind)
        for name, kind in OPTIONAL:
            present = tree.sample(points, "BOOLEAN", tree.exists(name), 0)
            more = _carried(tree, quads, points, name, kind)
            quads = tree.switch("GEOMETRY", present, quads, more)
        quads = _with_normals(tree, quads, points)
        inputs = {"Geometry": quads, "Material": tree.read("Material")}
        quads = tree.output(tree.node("GeometryNodeSetMaterial", inputs))
    tree.node("NodeGroupOutput", {"Geometry": quads})


def _squares(tree: Tree, points: Field) -> Field:
    """Return as many separate squares as there are points.

    Duplicating one face takes a tenth of the time that instances take to become real.
    """
    count = tree.node(
        "GeometryNodeAttributeDomainSize", {"Geometry": points}, component="POINTCLOUD"
    )
    grid = tree.node(
        "GeometryNodeMeshGrid", {"Size X": 2.0, "Size Y": 2.0, "Vertices X": 2, "Vertices Y": 2}
    )
    square = tree.store(tree.output(grid, "Mesh"), CORNER, "FLOAT2", tree.position())
    inputs = {"Geometry": square, "Amount": tree.output(count, "Point Count")}
    return tree.output(
        tree.node("GeometryNodeDuplicateElements", inputs, domain="FACE"), "Geometry"
    )


def _corners(tree: Tree, points: Field, right: Field, up: Field) -> Field:
    """Return where the corners of the quads lie: centre + u U + v V."""
    l11, l21, l22 = tree.separate(tree.attribute(FACTOR, "FLOAT_VECTOR"))
    splat = _splat_of_corner(tree)
    centre, along_u, along_v = (
        tree.sample(points, "FLOAT_VECTOR", value, splat)
        for value in (tree.position(), right * l11 + up * l21, up * l22)
    )
    u, v, _ = tree.separate(tree.position())  # of the square
    corner = tree.vector_math("MULTIPLY_ADD", along_v, v, centre)
    return tree.vector_math("MULTIPLY_ADD", along_u, u, corner)


def _splat_of_corner(tree: Tree) -> Field:
    index = tree.output(tree.node("GeometryNodeInputIndex"))
    return tree.output(tree.node("FunctionNodeIntegerMath", {0: index, 1: 4}, operation="DIVIDE"))


def _carried(tree: Tree, quads: Field, points: Field, name: str, kind: str) -> Field:
    index = tree.output(tree.node("GeometryNodeInputIndex"))
    value = tree.sample(points, kind, tree.attribute(name, kind), index)
    return tree.store(quads, name, kind, value, domain="FACE")


def _with_normals(tree: Tree, quads: Field, points: Field) -> Field:
    """Give quads the normals of their splats, where lamps light them.

    As normals of the mesh, not of the shader: Cycles lets no light through that comes from behind
    the one and from before the other.
    """
    normal = tree.attribute("ds4d_normal", "FLOAT_VECTOR")
    # Of the corners of smooth faces: Cycles takes no notice of normals that flat ones have.
    splat = _splat_of_corner(tree)
    smooth = tree.node("GeometryNodeSetShadeSmooth", {0: quads})
    inputs = {"Mesh": smooth, "Custom Normal": tree.sample(points, "FLOAT_VECTOR", normal, splat)}
    node = tree.node("GeometryNodeSetMeshNormal", inputs, mode="FREE", domain="POINT")
    turned = tree.output(node)
    present = tree.sample(points, "BOOLEAN", tree.exists("ds4d_normal"), 0)
    return tree.switch("GEOMETRY", present, quads, turned)
