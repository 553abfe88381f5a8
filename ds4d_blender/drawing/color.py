# SPDX-License-Identifier: GPL-3.0-or-later
"""Color splats: what the camera sees of them, then a grade: the *DS4D Color* group.

`splat_color` comes in signed. View-dependent light is added to its sRGB-encoded value, as the
engine fits it, and the sum is cut off at 0. The grade works in linear light. An asset that blends
encoded values ("sRGB Blend") goes through the same steps, and stays encoded outside of them.

Where nothing changes the color, "Cut Off" off leaves it to the material to cut it off: writing it
would take longer than all else that solid points need.
"""

from __future__ import annotations

from ..nodes import Field, Tree, shared_group
from .harmonics import view_light
from .srgb import decoded, encoded

GROUP_NAME = "DS4D Color"
GROUP_VERSION = 2

_VIEW = ("sRGB Blend", "SH Degree")
_GRADE = ("Exposure", "Saturation", "Hue", "Color Tint")
_TINT = ("Tint Invented", "Invented Tint")
_WHITE = (1.0, 1.0, 1.0)
_LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. 709


def declare(tree: Tree) -> None:
    """Declare the inputs on the drawing's interface, in a panel of their own."""
    with tree.panel("Color", tip="View-dependent color, and a grade in linear light"):
        _declare_degree(tree)
        _declare_grade(tree)


def declare_tint(tree: Tree) -> None:
    """Declare what tints the splats that are invented."""
    tree.declare(
        *("Tint Invented", "Float", 0.0),
        factor=True,
        tip="Mixes the tint into splats that the source does not show, for inspection",
    )
    tree.declare("Invented Tint", "Color", (1.0, 0.0, 1.0, 1.0), tip="Color of that tint")


def apply(tree: Tree, geometry: Field, *, cut_off: Field | bool = True) -> Field:
    """Return the points with the color that is drawn: at least 0 wherever `cut_off`."""
    group = shared_group(GROUP_NAME, GROUP_VERSION, _build, modifier=False)
    names = (*_VIEW, *_GRADE, *_TINT, "Observed From")
    inputs = {name: tree.read(name) for name in names} | {"Cut Off": cut_off}
    return tree.output(tree.call(group, {"Geometry": geometry, **inputs}))


def _declare_degree(tree: Tree) -> None:
    tree.declare(
        *("SH Degree", "Int", 3),
        minimum=0,
        maximum=3,
        tip="Highest degree of view-dependent color that is drawn, as far as the asset has it",
    )


def _declare_grade(tree: Tree) -> None:
    tree.declare("Exposure", "Float", 0.0, tip="Stops: 1 is twice as bright")
    tree.declare("Saturation", "Float", 1.0, minimum=0.0, tip="0 is gray of the same luminance")
    tree.declare("Hue", "Float", 0.0, tip="Turns the hue, in degrees: 120 makes red green")
    tree.declare("Color Tint", "Color", (*_WHITE, 1.0), tip="Multiplies the color; white: none")


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("sRGB Blend", "Bool", False)
    _declare_degree(tree)
    _declare_grade(tree)
    declare_tint(tree)
    tree.declare("Observed From", "Float", 0.5)
    tree.declare("Cut Off", "Bool", True, tip="End at 0 also where nothing else changes the color")
    encodes = tree.read("sRGB Blend")
    with tree.frame("Add what the camera sees"):
        color = tree.attribute("splat_color", "FLOAT_COLOR")
        light, present = view_light(tree, tree.read("Geometry"), tree.read("SH Degree"))
        seen = tree.switch("VECTOR", encodes, encoded(tree, color), color) + light
        seen = tree.switch("VECTOR", encodes, decoded(tree, seen), seen)
        color = tree.switch("VECTOR", present, color, seen)
    with tree.frame("Grade in linear light"):
        captured = _positive(tree, color)
        linear = tree.switch("VECTOR", encodes, captured, decoded(tree, captured))
        graded, active = _graded(tree, linear)
        graded = tree.switch("VECTOR", encodes, graded, encoded(tree, graded))
        color = _positive(tree, tree.switch("VECTOR", active, color, graded))
    with tree.frame("Write it where it may have changed"):
        written = tree.store(tree.read("Geometry"), "splat_color", "FLOAT_COLOR", color)
        changed = present + active + tree.read("Cut Off")
        points = tree.switch("GEOMETRY", changed, tree.read("Geometry"), written)
    tree.node("NodeGroupOutput", {"Geometry": points})


def _graded(tree: Tree, color: Field) -> tuple[Field, Field]:
    """Return the graded color, and whether any input changes it at all."""
    active: Field | float = 0.0
    for label, step in (
        ("Exposure and tint", _exposed),
        ("Saturation", _saturated),
        ("Hue", _turned),
        ("Tint what is invented", _tinted),
    ):
        with tree.frame(label):
            amount, changed = step(tree, color)
            color = tree.switch("VECTOR", amount, color, changed)
            active = amount + active
    return color, active


def _exposed(tree: Tree, color: Field) -> tuple[Field, Field]:
    stops, tint = tree.read("Exposure"), tree.read("Color Tint")
    amount = tree.math("ABSOLUTE", stops) + tree.vector_math("DISTANCE", tint, _WHITE)
    tinted = tree.vector_math("MULTIPLY", color, tint)
    return amount, tinted * tree.math("POWER", 2.0, stops)


def _saturated(tree: Tree, color: Field) -> tuple[Field, Field]:
    saturation = tree.read("Saturation")
    luminance = tree.dot(color, _LUMINANCE)
    gray = tree.combine(luminance, luminance, luminance)
    return tree.math("ABSOLUTE", saturation - 1.0), gray + (color - gray) * saturation


def _turned(tree: Tree, color: Field) -> tuple[Field, Field]:
    degrees = tree.read("Hue")
    parts = tree.node("FunctionNodeSeparateColor", {"Color": color}, mode="HSV")
    hue, saturation, value = (tree.output(parts, name) for name in ("Red", "Green", "Blue"))
    hue = tree.math("FRACT", hue + degrees / 360.0)
    turned = tree.node(
        "FunctionNodeCombineColor",
        {"Red": hue, "Green": saturation, "Blue": value},
        mode="HSV",
    )
    return tree.math("ABSOLUTE", degrees), tree.output(turned)


def _tinted(tree: Tree, color: Field) -> tuple[Field, Field]:
    amount = tree.read("Tint Invented")
    observed = tree.attribute("observed", "FLOAT")
    invented = tree.math("LESS_THAN", observed, tree.read("Observed From"))
    return amount, tree.mix("VECTOR", invented * amount, color, tree.read("Invented Tint"))


def _positive(tree: Tree, color: Field) -> Field:
    return tree.vector_math("MAXIMUM", color, (0.0, 0.0, 0.0))
