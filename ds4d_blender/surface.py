# SPDX-License-Identifier: GPL-3.0-or-later
"""How the surface of a splat answers light: as it was captured, or lit by the scene's lamps."""

from __future__ import annotations

from .nodes import Field, Tree

# What remains of a fragment that chance takes away: enough for EEVEE to divide its light by.
TRACE = 1e-4


def light(tree: Tree, color: Field, *, points: bool = False) -> Field:
    """Return the shader of a splat's own light or the lamps' light on it.

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
        return tree.output(tree.node("ShaderNodeMixShader", {0: factor, 1: captured, 2: lit}))


def cover(tree: Tree, light: Field, alpha: Field) -> Field:
    """Return the shader that shows `light` where `alpha` covers what is behind."""
    with tree.frame("Cover what is behind"):
        clear = tree.node("ShaderNodeBsdfTransparent")
        return tree.output(tree.node("ShaderNodeMixShader", {0: alpha, 1: clear, 2: light}))


def chance(tree: Tree, alpha: Field) -> Field:
    """Return 1 with probability `alpha`, else next to nothing, anew for every splat and sample.

    EEVEE's own dithering moves the thresholds of all splats behind a pixel together from sample to
    sample, so that what two of them cover hangs on how far their thresholds happen to be apart,
    and no number of samples mends it. Here the last bits of the place that is shaded decide. They
    differ between splats, and between samples if the render's filter moves them within the pixel,
    be it ever so little. Shadow maps do not move: there EEVEE's dithering remains.
    """
    with tree.frame("EEVEE: chance covers a pixel or not, for each splat and sample by itself"):
        place = tree.output(tree.node("ShaderNodeNewGeometry"), "Position")
        noise = tree.node("ShaderNodeTexWhiteNoise", {"Vector": place}, noise_dimensions="3D")
        covered = tree.math("LESS_THAN", tree.output(noise, "Value"), alpha)
        # A pass that shades what an earlier one let through must not find it gone by a last bit.
        trace = tree.math("GREATER_THAN", alpha, 0.0) * TRACE
        seen = tree.output(tree.node("ShaderNodeLightPath"), "Is Camera Ray")
        return tree.mix("FLOAT", seen, alpha, tree.math("MAXIMUM", covered, trace))


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
