# SPDX-License-Identifier: GPL-3.0-or-later
"""The *DS4D Draw Together* modifier: several assets sorted and drawn as one.

EEVEE sorts whole objects, so that splats of two of them do not interleave. The members' own *DS4D
Draw* gives their projected points (its input *Projected*), graded and thinned as each of them says;
here they are brought into one space and drawn by the *DS4D Quads* that draws a single asset.
"""

from __future__ import annotations

import bpy

from ..nodes import Field, Tree, shared_group
from . import order
from .camera import call_camera
from .quads import call_quads

GROUP_NAME = "DS4D Draw Together"
GROUP_VERSION = 1
MODIFIER_NAME = "DS4D Draw Together"
MEMBERS = "Members"

_NORMAL, _POSE = "ds4d_normal", "ds4d_pose"


def together_group() -> bpy.types.GeometryNodeTree:
    """Return the file's group that draws the members of a collection, built when missing."""
    return shared_group(GROUP_NAME, GROUP_VERSION, _build)


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare(MEMBERS, "Collection", tip="The assets that are drawn as one")
    tree.declare("Material", "Material", hidden=True)
    order.declare(tree)
    with tree.frame("Projected points of all members, in one space"):
        info = {"Collection": tree.read(MEMBERS), "Separate Children": True}
        members = tree.output(
            tree.node("GeometryNodeCollectionInfo", info, transform_space="RELATIVE")
        )
        points = _realized(tree, members)
    with tree.frame("Normals turn with their member; only where there are any"):
        present = tree.sample(points, "BOOLEAN", tree.exists(_NORMAL), 0)
        points = tree.switch("GEOMETRY", present, points, _turned(tree, members))
    sort = order.wanted(tree)
    with tree.frame("Quads for the scene camera; without one the points stay"):
        quads = call_quads(tree, points, sort=sort, material=tree.read("Material"))
        camera = tree.output(call_camera(tree), "Present")
        drawn = tree.switch("GEOMETRY", camera, points, quads)
    tree.node("NodeGroupOutput", {"Geometry": drawn})


def _realized(tree: Tree, instances: Field) -> Field:
    return tree.output(tree.node("GeometryNodeRealizeInstances", {"Geometry": instances}))


def _turned(tree: Tree, members: Field) -> Field:
    """Return the realized points with normals in their own space, whatever a member's scale."""
    pose = tree.output(tree.node("GeometryNodeInstanceTransform"))
    inverse = tree.node("FunctionNodeInvertMatrix", {"Matrix": pose})
    turn = tree.node("FunctionNodeTransposeMatrix", {"Matrix": tree.output(inverse, "Matrix")})
    posed = tree.store(members, _POSE, "FLOAT4X4", tree.output(turn), domain="INSTANCE")
    points = _realized(tree, posed)
    inputs = {
        "Direction": tree.attribute(_NORMAL, "FLOAT_VECTOR"),
        "Transform": tree.attribute(_POSE, "FLOAT4X4"),
    }
    normal = tree.output(tree.node("FunctionNodeTransformDirection", inputs))
    points = tree.store(points, _NORMAL, "FLOAT_VECTOR", normal)
    return tree.remove(points, [_POSE])
