# SPDX-License-Identifier: GPL-3.0-or-later
"""The sRGB curve as node groups, for signed values: its linear segment goes on below 0.

Both directions are the segment below the bend plus the curve above it, less what the curve has at
the bend: whole vectors go through without a choice for each channel.
"""

from __future__ import annotations

from collections.abc import Callable

from ..nodes import Field, Tree, shared_group

_VERSION = 1
_SLOPE = 12.92
_ENCODED_BEND = 0.04045
_LINEAR_BEND = _ENCODED_BEND / _SLOPE


def decoded(tree: Tree, color: Field) -> Field:
    """Return the linear light of an sRGB-encoded color."""
    group = shared_group("DS4D sRGB to Linear", _VERSION, _build_decode, modifier=False)
    return tree.output(tree.call(group, {"Color": color}))


def encoded(tree: Tree, color: Field) -> Field:
    """Return the sRGB-encoded value of linear light."""
    group = shared_group("DS4D Linear to sRGB", _VERSION, _build_encode, modifier=False)
    return tree.output(tree.call(group, {"Color": color}))


def _build_decode(tree: Tree) -> None:
    def curve(color: Field) -> Field:
        return tree.vector_math("POWER", (color + _gray(0.055)) * (1 / 1.055), _gray(2.4))

    _build(tree, _ENCODED_BEND, 1 / _SLOPE, curve, at_bend=_LINEAR_BEND)


def _build_encode(tree: Tree) -> None:
    def curve(color: Field) -> Field:
        return tree.vector_math("POWER", color, _gray(1 / 2.4)) * 1.055

    _build(tree, _LINEAR_BEND, _SLOPE, curve, at_bend=_ENCODED_BEND + 0.055)


def _build(
    tree: Tree, bend: float, slope: float, curve: Callable[[Field], Field], at_bend: float
) -> None:
    tree.declare("Color", "Vector", output=True)
    tree.declare("Color", "Vector")
    color = tree.read("Color")
    below = tree.vector_math("MINIMUM", color, _gray(bend)) * slope
    above = curve(tree.vector_math("MAXIMUM", color, _gray(bend)))
    tree.node("NodeGroupOutput", {"Color": below + (above - _gray(at_bend))})


def _gray(value: float) -> tuple[float, float, float]:
    return (value, value, value)
