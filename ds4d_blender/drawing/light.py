# SPDX-License-Identifier: GPL-3.0-or-later
"""Normals for splats that the scene's lamps light: the group *DS4D Normals*.

A splat's own normal is its shortest axis. Fits leave it noisy, for nothing in a picture asks which
way a splat faces; so it is mixed with the normal of a smooth surface around all of them.
"""

from __future__ import annotations

from ..body import body_group
from ..nodes import Field, Tree, shared_group
from .camera import call_camera

GROUP_NAME = "DS4D Normals"
GROUP_VERSION = 2


def declare(tree: Tree) -> None:
    """Declare what the artist sets about light on the group that draws."""
    with tree.panel("Light"):
        tree.declare(
            *("Lit by Scene", "Float", 0.0),
            factor=True,
            tip="0: colors as captured. 1: the scene's lamps light the splats",
        )
        tree.declare(
            *("Smooth Normals", "Float", 0.8),
            factor=True,
            tip="0: each splat's shortest axis. 1: the surface around all splats",
        )


def apply(tree: Tree, geometry: Field) -> Field:
    """Store `ds4d_normal` (object space) and `ds4d_lit` on points that are lit; else nothing."""
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    inputs = {
        "Geometry": geometry,
        "Lit by Scene": tree.read("Lit by Scene"),
        "Smooth Normals": tree.read("Smooth Normals"),
    }
    return tree.output(tree.call(group, inputs))


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("Lit by Scene", "Float", 0.0, factor=True)
    tree.declare("Smooth Normals", "Float", 0.8, factor=True)
    with tree.frame("Shortest axis"):
        own = _shortest_axis(tree)
    with tree.frame("Toward the camera"):
        to_camera = _toward_camera(tree)
    with tree.frame("Normal of the surface around the splats"):
        around = _around(tree, to_camera, own)
    with tree.frame("Mix, both turned to one side"):
        side = tree.math("SIGN", tree.dot(own, around) + 1e-6)
        normal = tree.mix("VECTOR", tree.read("Smooth Normals"), own * side, around)
        # Lamps light the side that the camera sees.
        normal = normal * tree.math("SIGN", tree.dot(normal, to_camera))
        normal = tree.vector_math("NORMALIZE", normal)
    with tree.frame("Only where lamps light the splats"):
        lit = tree.store(tree.read("Geometry"), "ds4d_normal", "FLOAT_VECTOR", normal)
        lit = tree.store(lit, "ds4d_lit", "FLOAT", tree.read("Lit by Scene"))
        shines = tree.math("GREATER_THAN", tree.read("Lit by Scene"), 0.0)
        geometry = tree.switch("GEOMETRY", shines, tree.read("Geometry"), lit)
    tree.node("NodeGroupOutput", {"Geometry": geometry})


def _toward_camera(tree: Tree) -> Field:
    """Return the vector, in object space, from a point to the camera (parallel: to its plane)."""
    camera = call_camera(tree)
    to_camera = tree.output(camera, "To Camera")
    back = tree.output(tree.node("FunctionNodeInvertMatrix", {"Matrix": to_camera}), "Matrix")
    x, y, z = tree.separate(tree.transformed_point(tree.position(), to_camera))
    perspective = tree.output(camera, "Perspective")
    vector = -tree.combine(x * perspective, y * perspective, z)
    inputs = {"Direction": vector, "Transform": back}
    return tree.output(tree.node("FunctionNodeTransformDirection", inputs))


def _around(tree: Tree, to_camera: Field, own: Field) -> Field:
    """Return the normal of the surface around all splats where the camera sees it.

    All splats behind one pixel share it: the nearest surface would do for those on the outside,
    but those inside shine through, each with a direction of its own. The few beyond the rim of the
    surface keep their `own`.
    """
    body = tree.call(body_group(), {"Geometry": tree.read("Geometry"), "Detail": 48.0})
    normal = tree.node("GeometryNodeInputNormal")
    seen = tree.node(
        "GeometryNodeRaycast",
        {
            "Target Geometry": body,
            "Attribute": normal,
            "Source Position": tree.position() + to_camera,
            "Ray Direction": -to_camera,
            "Ray Length": 1e6,
        },
        data_type="FLOAT_VECTOR",
    )
    hit, normal = tree.output(seen, "Is Hit"), tree.output(seen, "Attribute")
    return tree.switch("VECTOR", hit, own, normal)


def _shortest_axis(tree: Tree) -> Field:
    """Return the unit vector along which a splat is thinnest, in object space."""
    x, y, z = tree.separate(tree.attribute("scale", "FLOAT_VECTOR"))
    is_x = tree.math("LESS_THAN", x, tree.math("MINIMUM", y, z))
    is_y = tree.math("LESS_THAN", y, z) * (1.0 - is_x)
    axis = tree.combine(is_x, is_y, 1.0 - is_x - is_y)
    turned = tree.node(
        "FunctionNodeRotateVector",
        {"Vector": axis, "Rotation": tree.attribute("rotation", "QUATERNION")},
    )
    return tree.output(turned)
