# SPDX-License-Identifier: GPL-3.0-or-later
"""What a splat is at a moment: the groups *DS4D Read Vector*, *Rotation* and *Number*.

Only in a cross-fade the second moment is read at all: a switch whose condition is one value takes
one of its fields and leaves the other.
"""

from __future__ import annotations

from typing import Literal

import bpy

from ..nodes import Field, Tree, shared_group

Kind = Literal["Vector", "Rotation", "Number"]
VERSION = 2

# How each kind is called where it is stored, mixed, switched and passed on. Rotations are mixed
# along the shortest arc, all else linearly.
_NAMES = {
    "Vector": ("FLOAT_VECTOR", "VECTOR", "VECTOR", "Vector"),
    "Rotation": ("QUATERNION", "ROTATION", "ROTATION", "Rotation"),
    "Number": ("FLOAT", "FLOAT", "FLOAT", "Float"),
}


def read_group(kind: Kind) -> bpy.types.GeometryNodeTree:
    """Return the group that reads attributes of a kind at a moment."""
    return shared_group(
        f"DS4D Read {kind}", VERSION, lambda tree: _build(tree, kind), modifier=False
    )


def declare_moments(tree: Tree) -> None:
    """Declare the moment that is shown, and the end of the clip that fades out over it."""
    tree.declare("Moment", "Vector")
    tree.declare("End Moment", "Vector")
    tree.declare("End Weight", "Float")


def attributes_around(tree: Tree, moment: Field, pattern: Field, kind: str) -> tuple[Field, ...]:
    """Return the attributes before and after a moment, the way between, and whether they exist."""
    before, after, factor = tree.separate(moment)

    def name(index: Field) -> Field:
        digits = tree.node("FunctionNodeValueToString", data_type="INT")
        tree.connect(tree.input(digits, "Value"), index)
        inputs = {"String": pattern, "Find": "#", "Replace": digits}
        return tree.output(tree.node("FunctionNodeReplaceString", inputs))

    first = tree.node("GeometryNodeInputNamedAttribute", {"Name": name(before)}, data_type=kind)
    second = tree.attribute(name(after), kind)
    return tree.output(first, "Attribute"), second, factor, tree.output(first, "Exists")


def _build(tree: Tree, kind: Kind) -> None:
    stored, mixed, switched, socket = _NAMES[kind]
    tree.declare("Value", socket, output=True)
    tree.declare("Exists", "Bool", output=True, tip="The clip has such attributes")
    tree.declare("Name", "String", tip="Name of the attributes, # for the number of the moment")
    declare_moments(tree)

    def at(moment: str) -> tuple[Field, Field]:
        a, b, factor, exists = attributes_around(tree, tree.read(moment), tree.read("Name"), stored)
        # A clip that plays at the scene's rate shows stored frames alone, and reads no others.
        between = tree.math("GREATER_THAN", factor, 0.0)
        return tree.switch(switched, between, a, tree.mix(mixed, factor, a, b)), exists

    with tree.frame("The moment"):
        value, exists = at("Moment")
    with tree.frame("The end that fades out"):
        end, _ = at("End Moment")
        weight = tree.read("End Weight")
        both = tree.mix(mixed, weight, value, end)
        fades = tree.math("GREATER_THAN", weight, 0.0)
    shown = tree.switch(switched, fades, value, both)
    tree.node("NodeGroupOutput", {"Value": shown, "Exists": exists})
