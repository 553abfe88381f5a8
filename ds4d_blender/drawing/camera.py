# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's active camera as *DS4D Camera* gives it to the other groups.

Camera space is Blender's: X to the right, Y up, the view along -Z; renderers ignore the scale of
a camera. A point (X, Y, -z) in it lies at (Sx X / z - Tx, Sy Y / z - Ty) in a perspective image
whose borders are -1 and 1, where S is the output Scale and T the output Shift.
"""

from __future__ import annotations

import bpy

from ..nodes import Field, Tree, shared_group

GROUP_NAME = "DS4D Camera"
GROUP_VERSION = 1


def call_camera(tree: Tree) -> bpy.types.Node:
    """Add the node whose outputs describe the camera to the tree of a modifier."""
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    return tree.call(group, {})


def _build(tree: Tree) -> None:
    tree.declare("To Camera", "Matrix", output=True, tip="From object space to camera space")
    tree.declare("Right", "Vector", output=True, tip="A step along camera X, in object space")
    tree.declare("Up", "Vector", output=True, tip="A step along camera Y, in object space")
    for axis in "XYZ":
        tip = f"How camera {axis} grows with each coordinate of object space"
        tree.declare(f"{axis} Slope", "Vector", output=True, tip=tip)
    tree.declare("Scale", "Vector", output=True, tip="Focal lengths in halves of the image size")
    tree.declare("Shift", "Vector", output=True, tip="Lens shift in halves of the image size")
    tree.declare("Pixel", "Vector", output=True, tip="Size of a pixel at depth 1")
    tree.declare("Perspective", "Float", output=True, tip="1, or 0 for an orthographic camera")
    tree.declare("Present", "Bool", output=True, tip="Whether the scene has an active camera")
    with tree.frame("Object space to camera space"):
        to_camera, steps, slopes = _space(tree)
    with tree.frame("Projection"):
        matrix = _projection_matrix(tree)
        scale = tree.combine(_entry(tree, matrix, 0, 0), _entry(tree, matrix, 1, 1), 1.0)
        shift = tree.combine(_entry(tree, matrix, 0, 2), _entry(tree, matrix, 1, 2), 0.0)
        perspective = -_entry(tree, matrix, 3, 2)
        present = tree.math("LESS_THAN", _entry(tree, matrix, 2, 2), 0.0)
    with tree.frame("Size of a pixel"):
        x, y = (_resolution(tree, axis) for axis in "xy")
        pixel = tree.vector_math("DIVIDE", (2.0, 2.0, 1.0), scale * tree.combine(x, y, 1.0))
    outputs = {
        "To Camera": to_camera,
        "Right": steps[0],
        "Up": steps[1],
        **{f"{axis} Slope": slope for axis, slope in zip("XYZ", slopes, strict=True)},
        "Scale": scale,
        "Shift": shift,
        "Pixel": pixel,
        "Perspective": perspective,
        "Present": present,
    }
    tree.node("NodeGroupOutput", outputs)


def _space(tree: Tree) -> tuple[Field, list[Field], list[Field]]:
    """Return the matrix to camera space, the columns of its inverse, and its rows.

    An object of uneven scale makes them differ.
    """
    camera = tree.node(
        "GeometryNodeObjectInfo", {"Object": tree.node("GeometryNodeInputActiveCamera")}
    )
    location, rotation = tree.output(camera, "Location"), tree.output(camera, "Rotation")
    pose = tree.node(
        "FunctionNodeCombineTransform", {"Translation": location, "Rotation": rotation}
    )
    own = tree.node("GeometryNodeObjectInfo", {"Object": tree.node("GeometryNodeSelfObject")})
    inverse = tree.node("FunctionNodeInvertMatrix", {"Matrix": pose})
    inputs = {0: tree.output(inverse, "Matrix"), 1: tree.output(own, "Transform")}
    to_camera = tree.output(tree.node("FunctionNodeMatrixMultiply", inputs))
    back = tree.output(tree.node("FunctionNodeInvertMatrix", {"Matrix": to_camera}), "Matrix")
    turned = tree.output(tree.node("FunctionNodeTransposeMatrix", {"Matrix": to_camera}))
    return to_camera, _columns(tree, back), _columns(tree, turned)


def _columns(tree: Tree, matrix: Field) -> list[Field]:
    columns = []
    for index in range(3):
        unit = tuple(float(index == other) for other in range(3))
        node = tree.node("FunctionNodeTransformDirection", {"Direction": unit, "Transform": matrix})
        columns.append(tree.output(node))
    return columns


def _projection_matrix(tree: Tree) -> bpy.types.Node:
    info = tree.node(
        "GeometryNodeCameraInfo", {"Camera": tree.node("GeometryNodeInputActiveCamera")}
    )
    return tree.node(
        "FunctionNodeSeparateMatrix", {"Matrix": tree.output(info, "Projection Matrix")}
    )


def _entry(tree: Tree, matrix: bpy.types.Node, row: int, column: int) -> Field:
    return tree.output(matrix, f"Column {column + 1} Row {row + 1}")


def _resolution(tree: Tree, axis: str) -> Field:
    return tree.driven(
        "size * percentage / 100",
        {"size": f"render.resolution_{axis}", "percentage": "render.resolution_percentage"},
        f"Resolution {axis.upper()}",
    )
