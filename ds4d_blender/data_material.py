# SPDX-License-Identifier: GPL-3.0-or-later
"""The materials that override all others in view layers that render data with Cycles.

Splats shine in what *DS4D Data* put in the place of their color; everything else shines in the
same kind of data, and covers what is behind it.
"""

from __future__ import annotations

import bpy

from .material import gaussian_alpha, quad_distance
from .node_layout import arrange
from .nodes import VERSION_KEY, Field, Tree

MATERIAL_VERSION = 1


def depth_material() -> bpy.types.Material:
    """Return the material whose emission is (depth along the camera's axis, moving, observed)."""
    return _material("DS4D Data", _depth)


def index_material() -> bpy.types.Material:
    """Return the material whose emission is (pass index, is a splat, is anything)."""
    return _material("DS4D Index", _index)


def _material(name: str, of_others: object) -> bpy.types.Material:
    for material in bpy.data.materials:
        if material.name.split(".")[0] == name and material.get(VERSION_KEY) == MATERIAL_VERSION:
            return material
    material = bpy.data.materials.new(name)
    if material.node_tree is None:  # until Blender 5.0
        material.use_nodes = True
    material.node_tree.nodes.clear()
    _build(Tree(material.node_tree), of_others)
    arrange(material.node_tree)
    material.cycles.emission_sampling = "NONE"
    material[VERSION_KEY] = MATERIAL_VERSION
    return material


def _build(tree: Tree, of_others: object) -> None:
    alpha = gaussian_alpha(tree, quad_distance)
    with tree.frame("What is no splat covers everything, and has data of its own"):
        is_splat = tree.math("LESS_THAN", _attribute(tree, "ds4d_lit", "Fac"), -0.5)
        others = 1.0 - is_splat
        data = _attribute(tree, "splat_color", "Vector") * is_splat
        color = data + of_others(tree) * others
    with tree.frame("Cover what is behind"):
        shine = tree.node("ShaderNodeEmission", {"Color": color})
        clear = tree.node("ShaderNodeBsdfTransparent")
        covers = alpha * is_splat + others
        mix = tree.node("ShaderNodeMixShader", {0: covers, 1: clear, 2: shine})
    tree.node("ShaderNodeOutputMaterial", {"Surface": mix})


def _depth(tree: Tree) -> Field:
    """Other objects do not count as moving, and they are there to be seen."""
    depth = tree.output(tree.node("ShaderNodeCameraData"), "View Z Depth")
    return tree.combine(depth, 0.0, 1.0)


def _index(tree: Tree) -> Field:
    index = tree.output(tree.node("ShaderNodeObjectInfo"), "Object Index")
    return tree.combine(index, 0.0, 1.0)


def _attribute(tree: Tree, name: str, output: str) -> Field:
    node = tree.node("ShaderNodeAttribute", attribute_name=name, attribute_type="GEOMETRY")
    return tree.output(node, output)
