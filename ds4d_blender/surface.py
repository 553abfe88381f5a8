# SPDX-License-Identifier: GPL-3.0-or-later
"""How the surface of a splat answers light: as it was captured, or lit by the scene's lamps."""

from __future__ import annotations

from .nodes import Field, Tree


def surface(tree: Tree, color: Field, alpha: Field, *, points: bool = False) -> Field:
    """Return the shader of a splat whose color is `color` where `alpha` covers what is behind.

    The attribute `ds4d_lit` mixes light that the splat sends out by itself (0, also where the
    attribute is missing) with light of lamps that it scatters (1). Quads have the normals of their
    splats as normals of the mesh; `points` have them in `ds4d_normal`.
    """
    with tree.frame("Color as captured"):
        captured = tree.node("ShaderNodeEmission", {"Color": color})
    with tree.frame("Lit by the scene's lamps"):
        lit = tree.node("ShaderNodeBsdfDiffuse", {"Color": color})
        if points:
            tree.connect(tree.input(lit, "Normal"), _normal(tree))
        factor = tree.shaded("ds4d_lit", "Fac")
        light = tree.node("ShaderNodeMixShader", {0: factor, 1: captured, 2: lit})
    with tree.frame("Cover what is behind"):
        clear = tree.node("ShaderNodeBsdfTransparent")
        return tree.output(tree.node("ShaderNodeMixShader", {0: alpha, 1: clear, 2: light}))


def _normal(tree: Tree) -> Field:
    """Return the point's normal in world space, on the side from which it is seen."""
    turned = tree.node(
        "ShaderNodeVectorTransform",
        {0: tree.shaded("ds4d_normal", "Vector")},
        vector_type="NORMAL",
        convert_from="OBJECT",
        convert_to="WORLD",
    )
    normal = tree.output(turned)
    incoming = tree.output(tree.node("ShaderNodeNewGeometry"), "Incoming")
    return normal * tree.math("SIGN", tree.dot(normal, incoming))
