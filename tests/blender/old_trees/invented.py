# SPDX-License-Identifier: GPL-3.0-or-later
"""Show, hide, dim or tint what no source picture shows, with Geometry Nodes.

The points carry `observed`, 0..1: how much of a splat the source shows. Those below the modifier's
threshold are invented. Splats are hidden by their opacity, never removed: motion blur needs a
constant order.
"""

from __future__ import annotations

import bpy

from ds4d_blender.nodes import Field, Tree, set_menu, shared_group

GROUP_NAME = "DS4D Invented"
GROUP_VERSION = 1
MODIFIER_NAME = "DS4D Invented"
SHOWN = ("All", "Observed Only", "Invented Only")


def add_invented(target: bpy.types.Object) -> bpy.types.NodesModifier:
    """Add the modifier, which changes nothing until its inputs are set."""
    modifier = target.modifiers.new(MODIFIER_NAME, "NODES")
    modifier.node_group = shared_group(GROUP_NAME, GROUP_VERSION, _build)
    return modifier


def set_shown(modifier: bpy.types.NodesModifier, shown: str) -> None:
    """Choose one of SHOWN."""
    set_menu(modifier, "Show", shown, SHOWN)


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("Show", "Menu", tip="Which splats are drawn, by whether the source shows them")
    tree.declare(
        *("Invented Opacity", "Float", 1.0),
        factor=True,
        tip="Multiplies the opacity of splats that the source does not show",
    )
    tree.declare(
        *("Tint Invented", "Float", 0.0),
        factor=True,
        tip="Mixes the tint into splats that the source does not show, for inspection",
    )
    tree.declare("Tint", "Color", (1.0, 0.0, 1.0, 1.0), tip="Colour of the tint")
    tree.declare(
        *("Observed From", "Float", 0.5),
        factor=True,
        tip="A splat of which the source shows less than this is invented",
    )
    source = tree.node("NodeGroupInput")
    observed = tree.attribute("observed", "FLOAT")
    invented = tree.math("LESS_THAN", observed, tree.output(source, "Observed From"))
    geometry = tree.output(source, "Geometry")
    opacity = tree.attribute("opacity", "FLOAT") * _weight(tree, source, invented)
    geometry = tree.store(geometry, "opacity", "FLOAT", opacity)
    tinted = tree.mix(
        "RGBA",
        tree.output(source, "Tint Invented"),
        tree.attribute("splat_color", "FLOAT_COLOR"),
        tree.output(source, "Tint"),
    )
    geometry = tree.store(geometry, "splat_color", "FLOAT_COLOR", tinted, selection=invented)
    tree.node("NodeGroupOutput", {"Geometry": geometry})


def _weight(tree: Tree, source: bpy.types.Node, invented: Field) -> Field:
    """Return what the opacity is multiplied by: 1 for what is shown as it is."""
    faded = 1.0 - invented * (1.0 - tree.output(source, "Invented Opacity"))
    shown = tree.menu(tree.output(source, "Show"), SHOWN)
    return faded * tree.choose(shown, (1.0, 1.0 - invented, invented))
