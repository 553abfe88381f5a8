# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw splats as EWA quads with Geometry Nodes (Zwicker et al. 2001; Kerbl et al. 2023).

Each splat becomes one parallelogram parallel to the image plane, at the depth of its centre, so
that rays meet splats in the order in which the rasteriser blends them. The parallelogram is the
image of a square under a factor L of the projected 2D covariance L L^T, and every corner knows
its place in that square in sigmas (`ds4d_sigmas`): the material needs no more than that.

Everything is computed in the space of the scene's active camera, whatever the transform of the
object, and follows the camera, its lens and shift, and the render resolution.
"""

from __future__ import annotations

import math

import bpy

from ds4d_blender.nodes import Field, Tree, set_input, shared_group

GROUP_NAME = "DS4D Draw"
GROUP_VERSION = 2
MODIFIER_NAME = "DS4D Draw"

# The engine's constants (see its rasteriser): near plane in scene units, variance of the
# low-pass filter in pixels^2, and how far beyond the border the projection is linearised.
NEAR_PLANE = 0.01
LOW_PASS = 0.3
BORDER = 1.3
MAX_SIGMAS = 3.33
# What the quads no longer need; four copies of it would be expensive.
_CONSUMED = ("radiance:*", "rotation", "scale", "dynamic_score", "observed")


def add_drawing(
    target: bpy.types.Object, material: bpy.types.Material, *, sort: bool
) -> bpy.types.NodesModifier:
    """Add the modifier that draws the splats of `target`."""
    modifier = target.modifiers.new(MODIFIER_NAME, "NODES")
    modifier.node_group = shared_group(GROUP_NAME, GROUP_VERSION, _build)
    set_input(modifier, "Material", material)
    set_input(modifier, "Sort", sort)
    return modifier


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("Material", "Material")
    tree.declare(
        "Sort",
        "Bool",
        False,
        tip="Order the splats by depth. EEVEE needs it; leave it off in Cycles",
    )
    source = tree.node("NodeGroupInput")
    points = tree.output(source, "Geometry")
    to_camera, from_camera = _camera_space(tree)
    camera = _Projection(tree)

    position = tree.output(tree.node("GeometryNodeInputPosition"))
    centre = tree.output(
        tree.node("FunctionNodeTransformPoint", {"Vector": position, "Transform": to_camera})
    )
    factor, sigmas = _footprint(tree, camera, to_camera, centre)
    drawn = tree.store(points, "ds4d_factor", "FLOAT_VECTOR", factor)
    drawn = tree.store(drawn, "ds4d_extent", "FLOAT", sigmas)
    drawn = tree.output(
        tree.node("GeometryNodeSetPosition", {"Geometry": drawn, "Position": centre})
    )
    drawn = tree.switch("GEOMETRY", tree.output(source, "Sort"), drawn, _sorted(tree, drawn))
    drawn = _quads(tree, drawn)
    drawn = tree.output(
        tree.node(
            "GeometryNodeSetMaterial",
            {"Geometry": drawn, "Material": tree.output(source, "Material")},
        )
    )
    drawn = _transformed(tree, drawn, from_camera)
    # Without a camera there is no image plane: leave the points.
    tree.node(
        "NodeGroupOutput", {"Geometry": tree.switch("GEOMETRY", camera.present, points, drawn)}
    )


def _camera_space(tree: Tree) -> tuple[Field, Field]:
    """Return the matrices from object space to camera space and back."""
    camera = tree.node(
        "GeometryNodeObjectInfo", {"Object": tree.node("GeometryNodeInputActiveCamera")}
    )
    # Renderers ignore the scale of a camera.
    pose = tree.node(
        "FunctionNodeCombineTransform",
        {
            "Translation": tree.output(camera, "Location"),
            "Rotation": tree.output(camera, "Rotation"),
        },
    )
    own = tree.node("GeometryNodeObjectInfo", {"Object": tree.node("GeometryNodeSelfObject")})
    inverse = tree.node("FunctionNodeInvertMatrix", {"Matrix": pose})
    to_camera = tree.output(
        tree.node(
            "FunctionNodeMatrixMultiply",
            {0: tree.output(inverse, "Matrix"), 1: tree.output(own, "Transform")},
        )
    )
    back = tree.node("FunctionNodeInvertMatrix", {"Matrix": to_camera})
    return to_camera, tree.output(back, "Matrix")


class _Projection:
    """The active camera's projection matrix, entry by entry, and the size of a pixel.

    A point (X, Y, -z) in camera space lies at (p00 X / z - p02, p11 Y / z - p12) in a
    perspective image whose borders are -1 and 1.
    """

    def __init__(self, tree: Tree) -> None:
        info = tree.node(
            "GeometryNodeCameraInfo", {"Camera": tree.node("GeometryNodeInputActiveCamera")}
        )
        matrix = tree.node(
            "FunctionNodeSeparateMatrix", {"Matrix": tree.output(info, "Projection Matrix")}
        )

        def entry(row: int, column: int) -> Field:
            return tree.output(matrix, f"Column {column + 1} Row {row + 1}")

        self.scale = (entry(0, 0), entry(1, 1))
        self.shift = (entry(0, 2), entry(1, 2))
        self.present = tree.math("LESS_THAN", entry(2, 2), 0.0)
        self.perspective = -entry(3, 2)  # 1, or 0 for an orthographic camera
        resolution = (
            tree.driven(
                "size * percentage / 100",
                {"size": f"render.resolution_{axis}", "percentage": "render.resolution_percentage"},
                f"Resolution {axis.upper()}",
            )
            for axis in "xy"
        )
        # Size of a pixel at unit depth.
        self.pixel = tuple(
            2.0 / (scale * size) for scale, size in zip(self.scale, resolution, strict=True)
        )


def _footprint(
    tree: Tree, camera: _Projection, to_camera: Field, centre: Field
) -> tuple[Field, Field]:
    """Return L as (L11, L21, L22) in scene units at the splat's depth, and its extent in sigmas.

    The extent is where alpha falls to 1/255, and zero for splats that are not drawn.
    """
    x, y, minus_z = tree.separate(centre)
    depth = -minus_z
    opacity = tree.attribute("opacity", "FLOAT")
    visible = tree.math("GREATER_THAN", depth, NEAR_PLANE)
    extent = tree.math("SQRT", tree.math("LOGARITHM", opacity * 255.0, math.e) * 2.0)
    visible = visible * tree.math("GREATER_THAN", opacity, 1.0 / 255.0)
    sigmas = tree.math("MINIMUM", extent, MAX_SIGMAS) * visible

    def slope(coordinate: Field, axis: int) -> Field:
        """Return X / z, held within 15 % of the image size beyond its border."""
        shift, scale = camera.shift[axis], camera.scale[axis]
        low = tree.math("MAXIMUM", coordinate / depth, (shift - BORDER) / scale)
        held = tree.math("MINIMUM", low, (shift + BORDER) / scale)
        return held * camera.perspective

    slopes = (slope(x, 0), slope(y, 1))
    axes = [tree.separate(axis) for axis in _axes(tree, to_camera)]
    rows = [
        [axis[row] + slopes[row] * axis[2] for axis in axes] for row in range(2)
    ]  # the 2x3 matrix whose product with its transpose is the covariance
    # 1 for an orthographic camera, whose pixels are equally large everywhere.
    distance = depth * camera.perspective + (1.0 - camera.perspective)
    blur = [distance * distance * (pixel * pixel * LOW_PASS) for pixel in camera.pixel]
    sxx, sxy, syy = _sum(rows[0], rows[0]), _sum(rows[0], rows[1]), _sum(rows[1], rows[1])
    # det(A A^T) as a sum of squared minors does not cancel for needles; then the blur on top.
    minors = [
        rows[0][i] * rows[1][j] - rows[0][j] * rows[1][i] for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    a = sxx + blur[0]
    determinant = _sum(minors, minors) + syy * blur[0] + a * blur[1]
    l11 = tree.math("SQRT", a)
    factor = tree.combine(l11, sxy / l11, tree.math("SQRT", determinant / a))
    return factor, sigmas


def _axes(tree: Tree, to_camera: Field) -> list[Field]:
    """Return the splat's three principal axes, one sigma long, in camera space."""
    rotation = tree.attribute("rotation", "QUATERNION")
    lengths = tree.separate(tree.attribute("scale", "FLOAT_VECTOR"))
    axes = []
    for index, length in enumerate(lengths):
        unit = tuple(float(index == other) for other in range(3))
        turned = tree.node("FunctionNodeRotateVector", {"Vector": unit, "Rotation": rotation})
        axis = tree.node(
            "FunctionNodeTransformDirection",
            {"Direction": tree.output(turned) * length, "Transform": to_camera},
        )
        axes.append(tree.output(axis))
    return axes


def _sum(a: list[Field], b: list[Field]) -> Field:
    products = [left * right for left, right in zip(a, b, strict=True)]
    return products[0] + products[1] + products[2]


def _sorted(tree: Tree, points: Field) -> Field:
    """Return the points, which lie in camera space, with the farthest first."""
    position = tree.output(tree.node("GeometryNodeInputPosition"))
    node = tree.node(
        "GeometryNodeSortElements",
        {"Geometry": points, "Sort Weight": tree.separate(position)[2]},
        domain="POINT",
    )
    return tree.output(node)


def _quads(tree: Tree, points: Field) -> Field:
    """Return one quad per point: the points and the quads lie in camera space.

    Splats that are not drawn become quads of no size: a constant number of faces in constant
    order is what motion blur needs.
    """
    grid = tree.node(
        "GeometryNodeMeshGrid", {"Size X": 2.0, "Size Y": 2.0, "Vertices X": 2, "Vertices Y": 2}
    )
    corner = tree.output(tree.node("GeometryNodeInputPosition"))
    square = tree.store(tree.output(grid, "Mesh"), "ds4d_sigmas", "FLOAT_VECTOR", corner)
    points = tree.remove(points, _CONSUMED)
    # Zero scale puts all four corners on the centre, exactly.
    instances = tree.node(
        "GeometryNodeInstanceOnPoints",
        {"Points": points, "Instance": square, "Scale": (0.0, 0.0, 0.0)},
    )
    quads = tree.output(tree.node("GeometryNodeRealizeInstances", {"Geometry": instances}))
    sigmas = tree.attribute("ds4d_sigmas", "FLOAT_VECTOR") * tree.attribute("ds4d_extent", "FLOAT")
    quads = tree.store(quads, "ds4d_sigmas", "FLOAT_VECTOR", sigmas)
    u, v, _ = tree.separate(tree.attribute("ds4d_sigmas", "FLOAT_VECTOR"))
    l11, l21, l22 = tree.separate(tree.attribute("ds4d_factor", "FLOAT_VECTOR"))
    offset = tree.combine(l11 * u, l21 * u + l22 * v, 0.0)
    quads = tree.output(tree.node("GeometryNodeSetPosition", {"Geometry": quads, "Offset": offset}))
    return tree.remove(quads, ["ds4d_factor", "ds4d_extent"])


def _transformed(tree: Tree, geometry: Field, matrix: Field) -> Field:
    node = tree.node("GeometryNodeTransform", {"Geometry": geometry})
    if hasattr(node, "mode"):
        node.mode = "MATRIX"
    else:  # an input socket since Blender 5.0
        node.inputs["Mode"].default_value = "Matrix"
    tree.connect(tree.input(node, "Transform"), matrix)
    return tree.output(node)
