# SPDX-License-Identifier: GPL-3.0-or-later
"""View-dependent color in nodes: real spherical harmonics of degree 1 to 3.

Order and signs are those of the engine's `spherical_harmonics.py`. The direction runs from the
camera to the splat in the object's own space, so that the colors turn with the object.
"""

from __future__ import annotations

import bpy

from ..nodes import Field, Tree, shared_group

GROUP_NAME = "DS4D View Light"
GROUP_VERSION = 1

_C1 = 0.4886025119029199
_C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
_C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154)
_C3_EVEN = 1.445305721320277


def view_light(tree: Tree, points: Field, highest: Field) -> tuple[Field, Field]:
    """Return what the active camera sees on top of degree 0, encoded, and whether it is anything.

    Degrees that the points do not have, whole, count as missing; without a camera all do.
    """
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    node = tree.call(group, {"Geometry": points, "SH Degree": highest})
    return tree.output(node, "Light"), tree.output(node, "Present")


def _build(tree: Tree) -> None:
    tree.declare("Light", "Vector", output=True)
    tree.declare("Present", "Bool", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("SH Degree", "Int", 3, minimum=0, maximum=3)
    with tree.frame("Camera, in the object's space"):
        camera = tree.node(
            "GeometryNodeObjectInfo",
            {"Object": tree.node("GeometryNodeInputActiveCamera")},
            transform_space="RELATIVE",
        )
    with tree.frame("Degree: as far as it is there"):
        degree = _degree(tree, camera)
    with tree.frame("Direction of view"):
        direction = tree.separate(_direction(tree, camera))
    partial: list[Field] = []
    sums: list[Field] = []
    for number, basis in enumerate((_first, _second, _third), start=1):
        with tree.frame(f"Degree {number}"):
            for value in basis(*direction):
                term = tree.attribute(f"radiance:sh_{len(partial)}", "FLOAT_VECTOR") * value
                partial.append(partial[-1] + term if partial else term)
            sums.append(partial[-1])
    with tree.frame("Sum up to the degree"):
        light = sums[0]
        for number in (2, 3):
            reached = tree.math("GREATER_THAN", degree, number - 0.5)
            light = tree.switch("VECTOR", reached, light, sums[number - 1])
        present = tree.math("GREATER_THAN", degree, 0.5)
    tree.node("NodeGroupOutput", {"Light": light, "Present": present})


def _degree(tree: Tree, camera: bpy.types.Node) -> Field:
    """Return the degree that is drawn: one number, not one for each point."""
    # The last coefficient of each degree; one point speaks for all.
    there = [
        tree.sample(tree.read("Geometry"), "FLOAT", tree.exists(f"radiance:sh_{last}"), 0)
        for last in (2, 7, 14)
    ]
    # Without a camera the scale is zero.
    present = tree.math("SIGN", tree.vector_math("LENGTH", tree.output(camera, "Scale")))
    return tree.math("MINIMUM", there[0] + there[1] + there[2], tree.read("SH Degree")) * present


def _direction(tree: Tree, camera: bpy.types.Node) -> Field:
    """Return the unit vector from the camera to each point; parallel if it is orthographic."""
    ray = tree.position() - tree.output(camera, "Location")
    forward = tree.node(
        "FunctionNodeTransformDirection",
        {"Direction": (0.0, 0.0, -1.0), "Transform": tree.output(camera, "Transform")},
    )
    info = tree.node(
        "GeometryNodeCameraInfo", {"Camera": tree.node("GeometryNodeInputActiveCamera")}
    )
    parallel = tree.output(info, "Is Orthographic")
    return tree.vector_math("NORMALIZE", tree.switch("VECTOR", parallel, ray, tree.output(forward)))


def _first(x: Field, y: Field, z: Field) -> list[Field]:
    return [y * -_C1, z * _C1, x * -_C1]


def _second(x: Field, y: Field, z: Field) -> list[Field]:
    xx, yy, zz = x * x, y * y, z * z
    return [
        x * y * _C2[0],
        y * z * -_C2[0],
        (zz * 2.0 - xx - yy) * _C2[1],
        x * z * -_C2[0],
        (xx - yy) * _C2[2],
    ]


def _third(x: Field, y: Field, z: Field) -> list[Field]:
    xx, yy, zz = x * x, y * y, z * z
    return [
        y * (xx * 3.0 - yy) * -_C3[0],
        x * y * z * _C3[1],
        y * (zz * 4.0 - xx - yy) * -_C3[2],
        z * (zz * 2.0 - (xx + yy) * 3.0) * _C3[3],
        x * (zz * 4.0 - xx - yy) * -_C3[2],
        z * (xx - yy) * _C3_EVEN,
        x * (xx - yy * 3.0) * -_C3[0],
    ]
