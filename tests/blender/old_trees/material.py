# SPDX-License-Identifier: GPL-3.0-or-later
"""The material of a drawn splat: one for Cycles and EEVEE."""

from __future__ import annotations

import bpy

from ds4d_blender.nodes import VERSION_KEY, Field, Tree

MATERIAL_NAME = "DS4D Splat"
MATERIAL_VERSION = 1

# The engine's limits: a splat never covers a pixel completely, and a fainter touch is skipped.
ALPHA_MAX = 0.999
ALPHA_MIN = 1.0 / 255.0


def splat_material() -> bpy.types.Material:
    """Return the file's splat material, built when missing."""
    for material in bpy.data.materials:
        if (
            material.name.split(".")[0] == MATERIAL_NAME
            and material.get(VERSION_KEY) == MATERIAL_VERSION
        ):
            return material
    material = bpy.data.materials.new(MATERIAL_NAME)
    if material.node_tree is None:  # until Blender 5.0
        material.use_nodes = True
    material.node_tree.nodes.clear()
    tree = Tree(material.node_tree)
    _build(tree)
    material.surface_render_method = "BLENDED"
    material.use_transparency_overlap = True
    material.use_backface_culling = False
    # Thousands of tiny lights would cost Cycles everything and change nothing.
    material.cycles.emission_sampling = "NONE"
    material[VERSION_KEY] = MATERIAL_VERSION
    return material


def _build(tree: Tree) -> None:
    """Write alpha = min(0.999, opacity exp(-d2 / 2)), zero below 1/255, over emission."""

    def attribute(name: str, output: str) -> Field:
        node = tree.node("ShaderNodeAttribute", attribute_name=name, attribute_type="GEOMETRY")
        return tree.output(node, output)

    offset = attribute("ds4d_sigmas", "Vector")
    density = tree.math("EXPONENT", tree.dot(offset, offset) * -0.5)
    alpha = attribute("opacity", "Fac") * density
    alpha = alpha * tree.math("GREATER_THAN", alpha, ALPHA_MIN)
    alpha = tree.math("MINIMUM", alpha, ALPHA_MAX)
    emission = tree.node("ShaderNodeEmission", {"Color": attribute("splat_color", "Color")})
    clear = tree.node("ShaderNodeBsdfTransparent")
    mix = tree.node("ShaderNodeMixShader", {0: alpha, 1: clear, 2: emission})
    tree.node("ShaderNodeOutputMaterial", {"Surface": mix})
