# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw splats as native points, which look the same to every camera, mirror and viewport.

*DS4D Soft Points* gives each point the axes of its Gaussian; the point material takes the peak of
that along the ray. Lens and resolution of the scene camera, and the camera's distance, decide no
more than how wide the low-pass filter is, and how far it reaches.

*DS4D Points* are small and solid.
"""

from __future__ import annotations

import math

import bpy

from ..nodes import Field, Tree, shared_group
from .camera import call_camera
from .footprint import LOW_PASS

GROUP_VERSION = 1
INVERSE_AXES = ("ds4d_inverse_x", "ds4d_inverse_y", "ds4d_inverse_z")
"""Attributes: the principal axes in object space, each as long as 1 / its standard deviation."""

BLUR = "ds4d_blur"
"""Attribute: (a, b, 0) of the filter's standard deviation, a z + b at depth z, in object space."""

# Points need none of it once they are drawn. `velocity` stays: Cycles blurs points with it.
_CONSUMED = ("radiance:*", "rotation", "scale")


def call_soft_points(tree: Tree, points: Field, *, material: Field) -> Field:
    """Return points that the material draws as Gaussians."""
    return _call(tree, "DS4D Soft Points", _build_soft, points, material)


def call_solid_points(tree: Tree, points: Field, *, material: Field) -> Field:
    """Return small solid points."""
    return _call(tree, "DS4D Points", _build_solid, points, material)


def _call(tree: Tree, name: str, build: object, points: Field, material: Field) -> Field:
    group = shared_group(name, GROUP_VERSION, build, modifier=False)
    return tree.output(tree.call(group, {"Geometry": points, "Material": material}))


def _declare(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("Material", "Material")


def _build_soft(tree: Tree) -> None:
    _declare(tree)
    points = tree.read("Geometry")
    camera = call_camera(tree)
    with tree.frame("Low-pass: 0.3 square pixels"):
        growth, constant = _blur(tree, camera)
        points = tree.store(points, BLUR, "FLOAT_VECTOR", tree.combine(growth, constant, 0.0))
    lengths = tree.separate(tree.attribute("scale", "FLOAT_VECTOR"))
    with tree.frame("Radius: where alpha reaches 1/255 along the longest axis"):
        longest = tree.math("MAXIMUM", tree.math("MAXIMUM", lengths[0], lengths[1]), lengths[2])
        centre = tree.transformed_point(tree.position(), tree.output(camera, "To Camera"))
        blur = tree.vector_math("LENGTH", centre) * growth + constant
        widest = tree.math("SQRT", longest * longest + blur * blur)
        opacity = tree.attribute("opacity", "FLOAT")
        squared = tree.math("LOGARITHM", opacity * 255.0, math.e) * 2.0
        radius = widest * tree.math("SQRT", tree.math("MAXIMUM", squared, 0.0))
        points = _with_radius(tree, points, radius)
    with tree.frame("Axes of the Gaussian, inverted"):
        rotation = tree.attribute("rotation", "QUATERNION")
        for index, (name, length) in enumerate(zip(INVERSE_AXES, lengths, strict=True)):
            unit = tuple(float(index == other) for other in range(3))
            turned = tree.node("FunctionNodeRotateVector", {"Vector": unit, "Rotation": rotation})
            points = tree.store(points, name, "FLOAT_VECTOR", tree.output(turned) * (1.0 / length))
    _finish(tree, points)


def _build_solid(tree: Tree) -> None:
    _declare(tree)
    points = tree.read("Geometry")
    with tree.frame("Radius: the mean standard deviation, less for faint splats"):
        x, y, z = tree.separate(tree.attribute("scale", "FLOAT_VECTOR"))
        mean = (x + y + z) * (1.0 / 3.0)
        points = _with_radius(tree, points, mean * tree.attribute("opacity", "FLOAT"))
    with tree.frame("Solid"):
        points = tree.store(points, "opacity", "FLOAT", 1.0)
    _finish(tree, points)


def _blur(tree: Tree, camera: bpy.types.Node) -> tuple[Field, Field]:
    """Return a and b of `ds4d_blur`; 0 without a camera, whose pixels have no size."""
    x, y, _ = tree.separate(tree.output(camera, "Pixel"))
    # The camera's unit in object space.
    unit = tree.vector_math("LENGTH", tree.output(camera, "Right"))
    deviation = tree.math("SQRT", x * y * LOW_PASS) * unit * tree.output(camera, "Present")
    perspective = tree.output(camera, "Perspective")
    return deviation * perspective, deviation * (1.0 - perspective)


def _with_radius(tree: Tree, points: Field, radius: Field) -> Field:
    node = tree.node("GeometryNodeSetPointRadius", {"Points": points, "Radius": radius})
    return tree.output(node)


def _finish(tree: Tree, points: Field) -> None:
    with tree.frame("Attributes and material"):
        points = tree.remove(points, _CONSUMED)
        inputs = {"Geometry": points, "Material": tree.read("Material")}
        points = tree.output(tree.node("GeometryNodeSetMaterial", inputs))
    tree.node("NodeGroupOutput", {"Geometry": points})
