# SPDX-License-Identifier: GPL-3.0-or-later
"""Project splats to the image plane: *DS4D Footprint* (Zwicker et al. 2001; Kerbl et al. 2023).

A splat's covariance in the image plane, low-pass filter included, is L L^T with a lower triangle
L. The group stores it on the points, as `ds4d_factor` = e (L11, L21, L22) in scene units at the
depth of the splat: e is the extent in sigmas at which alpha falls to 1/255, and zero for splats
that are not drawn. The centres stay where they are.
"""

from __future__ import annotations

import math

import bpy

from ..nodes import Field, Tree, shared_group
from .camera import call_camera

GROUP_NAME = "DS4D Footprint"
GROUP_VERSION = 1
FACTOR = "ds4d_factor"

# The engine's constants (see its rasteriser): near plane in scene units, variance of the
# low-pass filter in pixels^2, and how far beyond the border the projection is linearised.
NEAR_PLANE = 0.01
LOW_PASS = 0.3
BORDER = 1.3

# What projected points no longer need: sorting them would take twice as long. Cycles would use
# `velocity` in place of the motion between frames.
_CONSUMED = (
    "radiance:*",
    "rotation",
    "scale",
    "velocity",
    "dynamic_score",
    "observed",
    "density_rank",
)


def call_footprint(tree: Tree, points: Field) -> Field:
    """Return the points with the ellipses that they cover in the image."""
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    return tree.output(tree.call(group, {"Geometry": points}))


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    camera = call_camera(tree)
    with tree.frame("Where the splat lies"):
        centre = tree.transformed_point(tree.position(), tree.output(camera, "To Camera"))
        x, y, minus_z = tree.separate(centre)
        depth = -minus_z
    with tree.frame("Extent in sigmas: alpha reaches 1/255; 0 where nothing is drawn"):
        extent = _extent(tree, depth)
    with tree.frame("Principal axes, one sigma long, in the image plane"):
        rows = _rows(tree, camera, x / depth, y / depth)
    with tree.frame("Low-pass: 0.3 square pixels"):
        blur = _blur(tree, camera, depth)
    with tree.frame("Factor of the covariance"):
        factor = _factor(tree, rows, blur) * extent
    with tree.frame("Keep"):
        drawn = tree.store(tree.read("Geometry"), FACTOR, "FLOAT_VECTOR", factor)
        drawn = tree.remove(drawn, _CONSUMED)
    tree.node("NodeGroupOutput", {"Geometry": drawn})


def _extent(tree: Tree, depth: Field) -> Field:
    opacity = tree.attribute("opacity", "FLOAT")
    squared = tree.math("LOGARITHM", opacity * 255.0, math.e) * 2.0
    visible = tree.math("GREATER_THAN", depth, NEAR_PLANE)
    return tree.math("SQRT", tree.math("MAXIMUM", squared, 0.0)) * visible


def _rows(tree: Tree, camera: bpy.types.Node, x: Field, y: Field) -> list[Field]:
    """Return the rows of the 2x3 matrix whose product with its transpose is the covariance.

    `x` and `y` are the slopes of the ray to the centre. A row is a direction of the image turned
    into the splat's own axes, times its standard deviations.
    """
    scale, shift = tree.output(camera, "Scale"), tree.output(camera, "Shift")
    border = (BORDER, BORDER, 0.0)
    # Held within 15 % of the image size beyond its border.
    low = tree.vector_math("MAXIMUM", tree.combine(x, y, 0.0), (shift - border) / scale)
    held = tree.vector_math("MINIMUM", low, (shift + border) / scale)
    slopes = tree.separate(held * tree.output(camera, "Perspective"))
    depth = tree.output(camera, "Z Slope")
    rotation = tree.attribute("rotation", "QUATERNION")
    back = tree.output(tree.node("FunctionNodeInvertRotation", {"Rotation": rotation}))
    scales = tree.attribute("scale", "FLOAT_VECTOR")
    rows = []
    for axis, slope in zip("XY", slopes[:2], strict=True):
        across = tree.output(camera, f"{axis} Slope")
        direction = tree.vector_math("MULTIPLY_ADD", depth, slope, across)
        inputs = {"Vector": direction, "Rotation": back}
        rows.append(tree.output(tree.node("FunctionNodeRotateVector", inputs)) * scales)
    return rows


def _blur(tree: Tree, camera: bpy.types.Node, depth: Field) -> tuple[Field, Field]:
    """Return the variances of the filter in x and y at the depth of the splat."""
    perspective = tree.output(camera, "Perspective")
    # 1 for an orthographic camera, whose pixels are equally large everywhere.
    distance = depth * perspective + (1.0 - perspective)
    pixel = tree.output(camera, "Pixel")
    x, y, _ = tree.separate(pixel * pixel * LOW_PASS)
    squared = distance * distance
    return squared * x, squared * y


def _factor(tree: Tree, rows: list[Field], blur: tuple[Field, Field]) -> Field:
    """Return (L11, L21, L22)."""
    first, second = rows
    a = tree.dot(first, first) + blur[0]
    b = tree.dot(first, second)
    # det(A A^T) as the squared length of a cross product does not cancel for needles; then the
    # blur on top.
    minors = tree.vector_math("CROSS_PRODUCT", first, second)
    determinant = tree.dot(minors, minors) + tree.dot(second, second) * blur[0] + a * blur[1]
    l11 = tree.math("SQRT", a)
    return tree.combine(l11, b / l11, tree.math("SQRT", determinant / a))
