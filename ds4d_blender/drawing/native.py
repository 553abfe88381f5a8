# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave drawing to Blender's own splats: *DS4D Native*.

They take color and opacity from `radiance:base` and the vectors `radiance:sh_0` ... alone. What
playback, selection and color made of a splat is written there, as coefficients of degree 0; its
view-dependent part is in it already, for the scene's camera.
"""

from __future__ import annotations

from ..nodes import Field, Tree, shared_group
from ..splat_layers import SH_C0
from .srgb import encoded

GROUP_NAME = "DS4D Native"
GROUP_VERSION = 1


def declare(tree: Tree) -> None:
    """Declare what the import sets where Blender has splats of its own."""
    tree.declare("Native", "Bool", False, hidden=True, tip="Output splats for Blender to draw")


def call_native(tree: Tree, points: Field) -> Field:
    """Return the points as Blender's own splats show them."""
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    return tree.output(tree.call(group, {"Geometry": points}))


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    with tree.frame("Coefficients of degree 0, and opacity"):
        color = encoded(tree, tree.attribute("splat_color", "FLOAT_COLOR"))
        shifted = tree.vector_math("SUBTRACT", color, (0.5, 0.5, 0.5))
        red, green, blue = tree.separate(shifted * (1.0 / SH_C0))
        inputs = {"Red": red, "Green": green, "Blue": blue}
        inputs["Alpha"] = tree.attribute("opacity", "FLOAT")
        base = tree.output(tree.node("FunctionNodeCombineColor", inputs))
    with tree.frame("In the place of those of the asset"):
        # Up to Blender 5.2 nodes make four numbers only as a color.
        points = tree.store(tree.read("Geometry"), "radiance:base", "FLOAT_COLOR", base)
        points = tree.remove(points, ["radiance:sh_*"])
    tree.node("NodeGroupOutput", {"Geometry": points})
