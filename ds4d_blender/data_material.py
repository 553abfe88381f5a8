# SPDX-License-Identifier: GPL-3.0-or-later
"""The materials that override all others in view layers that render data with Cycles.

Splats shine in what *DS4D Data* put in the place of their color; everything else shines in the
same kind of data, and covers what is behind it.
"""

from __future__ import annotations

from collections.abc import Callable

import bpy

from .material import gaussian_alpha, quad_distance, shared_material
from .nodes import Field, Tree

MATERIAL_VERSION = 1


def depth_material() -> bpy.types.Material:
    """Return the material whose emission is (depth along the camera's axis, moving, observed)."""
    return _material("DS4D Data", _depth)


def index_material() -> bpy.types.Material:
    """Return the material whose emission is (pass index, is a splat, is anything)."""
    return _material("DS4D Index", _index)


def _material(name: str, of_others: Callable[[Tree], Field]) -> bpy.types.Material:
    return shared_material(name, MATERIAL_VERSION, lambda tree: _build(tree, of_others))


def _build(tree: Tree, of_others: Callable[[Tree], Field]) -> None:
    alpha = gaussian_alpha(tree, quad_distance)
    with tree.frame("What is no splat covers everything, and has data of its own"):
        is_splat = tree.math("LESS_THAN", tree.shaded("ds4d_lit", "Fac"), -0.5)
        others = 1.0 - is_splat
        data = tree.shaded("splat_color", "Vector") * is_splat
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
