# SPDX-License-Identifier: GPL-3.0-or-later
"""What splats carry instead of their color in a view layer that renders data: *DS4D Data*.

Geometry Nodes run once for each view layer. In one whose property `ds4d_data` is 1 splats shine in
(depth, dynamic score, observed), in one where it is 2 in (object index, 1, 1). The renderer blends
that as it blends colors, so a pixel holds sums weighted by what each splat contributes to it.
"""

from __future__ import annotations

from ..nodes import Field, Tree, shared_group
from .camera import call_camera

GROUP_NAME = "DS4D Data"
GROUP_VERSION = 1
LAYER_KEY = "ds4d_data"
DATA, INDEX = 1, 2


def declare(tree: Tree) -> None:
    """Declare what an operator sets about data on the group that draws."""
    tree.declare(
        *("Object Index", "Int", 0),
        hidden=True,
        tip="The object's pass index, for view layers that render it",
    )


def apply(tree: Tree, geometry: Field) -> Field:
    """Replace `splat_color` in view layers that render data; elsewhere change nothing."""
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    inputs = {"Geometry": geometry, "Object Index": tree.read("Object Index")}
    return tree.output(tree.call(group, inputs))


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("Object Index", "Int", 0)
    with tree.frame("What this view layer renders"):
        wanted = _wanted(tree)
    with tree.frame("Depth along the camera's axis, dynamic score, observed"):
        to_camera = tree.output(call_camera(tree), "To Camera")
        depth = -tree.separate(tree.transformed_point(tree.position(), to_camera))[2]
        scores = (tree.attribute(name, "FLOAT") for name in ("dynamic_score", "observed"))
        data = tree.combine(depth, *scores)
    with tree.frame("Object index, is a splat, is anything"):
        index = tree.combine(tree.read("Object Index"), 1.0, 1.0)
    with tree.frame("In the place of the color, and unlit"):
        value = tree.switch("VECTOR", tree.math("GREATER_THAN", wanted, INDEX - 0.5), data, index)
        shown = tree.store(tree.read("Geometry"), "splat_color", "FLOAT_COLOR", value)
        # Less than 0 says as well that this is a splat: what lacks an attribute reads 0.
        shown = tree.store(shown, "ds4d_lit", "FLOAT", -1.0)
        renders_data = tree.math("GREATER_THAN", wanted, 0.5)
        geometry = tree.switch("GEOMETRY", renders_data, tree.read("Geometry"), shown)
    tree.node("NodeGroupOutput", {"Geometry": geometry})


def _wanted(tree: Tree) -> Field:
    """Return the property of the view layer being evaluated; 0 for one without it."""
    return tree.driven(
        "data",
        {"data": f'["{LAYER_KEY}"]'},
        "View Layer's ds4d_data",
        context="ACTIVE_VIEW_LAYER",
        missing=0.0,
    )
