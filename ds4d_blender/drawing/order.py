# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which splats are drawn, and when to establish it.

EEVEE blends faces in the order of the mesh, so it needs the farthest splat first. Cycles finds
the order along each ray by itself, and its motion blur needs points that keep their places.
"""

from __future__ import annotations

from ..nodes import Field, Tree

SORT = ("Automatic", "On", "Off")


def declare(tree: Tree) -> None:
    """Declare the menu from which `wanted` reads."""
    with tree.panel("Order"):
        tree.declare(
            "Sort",
            "Menu",
            tip="Draw the farthest splat first. Automatic: in the viewport and in EEVEE, which "
            "need it; not in Cycles, whose motion blur needs splats that keep their places",
        )


def wanted(tree: Tree) -> Field:
    """Return whether the splats have to be sorted."""
    with tree.frame("Sort in the viewport and in EEVEE, not in Cycles"):
        choice = tree.menu(tree.read("Sort"), SORT)
        viewport = tree.output(tree.node("GeometryNodeIsViewport"))
        # The number of an engine in Blender's list: 0 EEVEE, 1 Workbench, 2 Cycles.
        engine = tree.driven("engine", {"engine": "render.engine"}, "Render engine (0: EEVEE)")
        eevee = tree.math("LESS_THAN", engine, 0.5)
        automatic = tree.math("MAXIMUM", viewport, eevee)
        return tree.choose(choice, (automatic, 1.0, 0.0))


def sorted_by(tree: Tree, points: Field, weight: Field) -> Field:
    """Return the points, the one with the smallest weight first."""
    inputs = {"Geometry": points, "Sort Weight": weight}
    return tree.output(tree.node("GeometryNodeSortElements", inputs, domain="POINT"))
