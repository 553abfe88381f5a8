# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose which splats are drawn, and how large and how opaque: the *DS4D Select* group.

Density removes points, the same ones at every time; all else hides splats by an opacity of 0 and
keeps their number and order, which motion blur needs. What is left alone costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ..density_order import GROWTH
from ..nodes import Field, Tree, shared_group
from .color import declare_tint

GROUP_NAME = "DS4D Select"
GROUP_VERSION = 1
SHOWN = ("All", "Moving", "Still", "Observed", "Invented")
_TOP = ("Density", "Splat Size", "Opacity", "Minimum Opacity")
_CROP = ("Crop Box", "Crop Outside")
_MASKS = ("Show", "Moving From", "Observed From", "Invented Opacity")


def declare(tree: Tree) -> None:
    """Declare the inputs on the drawing's interface: some at its top, some in panels."""
    _declare_top(tree)
    with tree.panel("Crop", tip="Draw only what is in a box, or only what is not"):
        _declare_crop(tree)
    with tree.panel("Masks", tip="Tell apart what moves, and what the source shows"):
        _declare_masks(tree)
        declare_tint(tree)


def apply(tree: Tree, geometry: Field) -> Field:
    """Return the points that are to be drawn, with their sizes and opacities."""
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    inputs = {name: tree.read(name) for name in _TOP + _CROP + _MASKS}
    selected = tree.output(tree.call(group, {"Geometry": geometry, **inputs}))
    # The menu has its items only once it is linked.
    tree.group.interface.items_tree["Show"].default_value = SHOWN[0]
    return selected


def crop_group() -> bpy.types.GeometryNodeTree:
    """Return the group, for a modifier, that hides what crop and masks hide and nothing else."""
    return shared_group("DS4D Crop and Masks", GROUP_VERSION, _build_crop)


def _build_crop(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    _declare_crop(tree)
    _declare_masks(tree)
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    inputs = {name: tree.read(name) for name in ("Geometry", *_CROP, *_MASKS)}
    tree.node("NodeGroupOutput", {"Geometry": tree.call(group, inputs)})
    tree.group.interface.items_tree["Show"].default_value = SHOWN[0]


def _declare_top(tree: Tree) -> None:
    tree.declare(
        *("Density", "Float", 1.0),
        factor=True,
        tip="Part of the splats that is kept, the most important first; they grow a little",
    )
    tree.declare("Splat Size", "Float", 1.0, minimum=0.0, tip="Multiplies the size of every splat")
    tree.declare("Opacity", "Float", 1.0, minimum=0.0, tip="Multiplies the opacity of every splat")
    tree.declare(
        *("Minimum Opacity", "Float", 0.0), factor=True, tip="Hides splats that are fainter"
    )


def _declare_crop(tree: Tree) -> None:
    tree.declare(
        "Crop Box",
        "Object",
        tip="Draw only splats inside this object's cube from -1 to 1, such as an empty's of size 1",
    )
    tree.declare("Crop Outside", "Bool", False, tip="Draw only splats outside the box instead")


def _declare_masks(tree: Tree) -> None:
    tree.declare("Show", "Menu", tip="Which splats are drawn")
    tree.declare(
        *("Moving From", "Float", 0.1),
        factor=True,
        tip="A splat whose dynamic score is at least this counts as moving",
    )
    tree.declare(
        *("Observed From", "Float", 0.5),
        factor=True,
        tip="A splat of which the source shows less than this is invented",
    )
    tree.declare(
        *("Invented Opacity", "Float", 1.0),
        factor=True,
        tip="Multiplies the opacity of splats that the source does not show",
    )


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    _declare_top(tree)
    _declare_crop(tree)
    _declare_masks(tree)
    thinned = tree.math("LESS_THAN", tree.read("Density"), 1.0)
    with tree.frame("Keep the first of the order"):
        points = tree.switch("GEOMETRY", thinned, tree.read("Geometry"), _kept(tree))
    with tree.frame("Size"):
        factor = tree.read("Splat Size")
        changed = thinned + _differs(tree, factor, 1.0)
        factor = tree.switch("FLOAT", thinned, 1.0, _growth(tree)) * factor
        scales = tree.attribute("scale", "FLOAT_VECTOR") * factor
        sized = tree.store(points, "scale", "FLOAT_VECTOR", scales)
        points = tree.switch("GEOMETRY", changed, points, sized)
    parts = [
        _weighed(tree, label, build)
        for label, build in (
            ("Hide faint splats", _opaque_enough),
            ("Crop", _cropped),
            ("Show by kind", _shown),
            ("Fade what is invented", _faded),
        )
    ]
    with tree.frame("Opacity"):
        factor = tree.read("Opacity")
        parts.append((_differs(tree, factor, 1.0), factor))
        opacity, changed = tree.attribute("opacity", "FLOAT"), 0.0
        for active, weight in parts:
            opacity = opacity * weight
            changed = active + changed
        opacity = tree.math("MINIMUM", opacity, 1.0)
        dimmed = tree.store(points, "opacity", "FLOAT", opacity)
        points = tree.switch("GEOMETRY", changed, points, dimmed)
    tree.node("NodeGroupOutput", {"Geometry": points})


def _kept(tree: Tree) -> Field:
    rank = tree.attribute("density_rank", "FLOAT")
    kept = tree.math("LESS_THAN", rank, tree.read("Density"))
    inputs = {"Geometry": tree.read("Geometry"), "Selection": 1.0 - kept}
    return tree.output(tree.node("GeometryNodeDeleteGeometry", inputs, domain="POINT"))


def _growth(tree: Tree) -> Field:
    """Return the factor by which each splat grows to make up for those that are gone."""
    size = tree.vector_math("LENGTH", tree.attribute("scale", "FLOAT_VECTOR"))
    inputs = {"Geometry": tree.read("Geometry"), "Attribute": size}
    statistic = tree.node("GeometryNodeAttributeStatistic", inputs, domain="POINT")
    added = tree.math("POWER", tree.read("Density"), -GROWTH) - 1.0
    return 1.0 + added * tree.output(statistic, "Mean") / size


def _weighed(
    tree: Tree, label: str, build: Callable[[Tree], tuple[Field, Field]]
) -> tuple[Field, Field]:
    """Return whether something hides splats, and the factor of their opacity: 1 if not."""
    with tree.frame(label):
        active, weight = build(tree)
        return active, tree.switch("FLOAT", active, 1.0, weight)


def _opaque_enough(tree: Tree) -> tuple[Field, Field]:
    least = tree.read("Minimum Opacity")
    faint = tree.math("LESS_THAN", tree.attribute("opacity", "FLOAT"), least)
    return tree.math("GREATER_THAN", least, 0.0), 1.0 - faint


def _cropped(tree: Tree) -> tuple[Field, Field]:
    box = tree.node(
        "GeometryNodeObjectInfo", {"Object": tree.read("Crop Box")}, transform_space="RELATIVE"
    )
    # Without an object the scale is zero.
    present = tree.vector_math("LENGTH", tree.output(box, "Scale"))
    inverse = tree.node("FunctionNodeInvertMatrix", {"Matrix": tree.output(box, "Transform")})
    place = tree.transformed_point(tree.position(), tree.output(inverse, "Matrix"))
    x, y, z = tree.separate(tree.vector_math("ABSOLUTE", place))
    farthest = tree.math("MAXIMUM", tree.math("MAXIMUM", x, y), z)
    outside = tree.math("GREATER_THAN", farthest, 1.0)
    weight = tree.switch("FLOAT", tree.read("Crop Outside"), 1.0 - outside, outside)
    return tree.math("GREATER_THAN", present, 0.0), weight


def _shown(tree: Tree) -> tuple[Field, Field]:
    kind = tree.menu(tree.read("Show"), SHOWN)
    score = tree.attribute("dynamic_score", "FLOAT")
    still = tree.math("LESS_THAN", score, tree.read("Moving From"))
    invented = _invented(tree)
    weights = (1.0, 1.0 - still, still, 1.0 - invented, invented)
    return tree.math("GREATER_THAN", kind, 0.0), tree.choose(kind, weights)


def _faded(tree: Tree) -> tuple[Field, Field]:
    opacity = tree.read("Invented Opacity")
    weight = 1.0 - _invented(tree) * (1.0 - opacity)
    return tree.math("LESS_THAN", opacity, 1.0), weight


def _invented(tree: Tree) -> Field:
    observed = tree.attribute("observed", "FLOAT")
    return tree.math("LESS_THAN", observed, tree.read("Observed From"))


def _differs(tree: Tree, value: Field, other: float) -> Field:
    """Tell whether a number is another one, exactly."""
    return tree.math("GREATER_THAN", tree.math("ABSOLUTE", value - other), 0.0)
