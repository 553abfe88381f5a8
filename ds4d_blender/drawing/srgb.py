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
    def build(color: Field) -> Field:
        low = _scaled(tree, _smaller(tree, color, _ENCODED_BEND), 1 / _SLOPE, -_LINEAR_BEND)
        base = _scaled(tree, _larger(tree, color, _ENCODED_BEND), 1 / 1.055, 0.055 / 1.055)
        return tree.vector_math("POWER", base, _gray(2.4)) + low

    _build(tree, build)


def _build_encode(tree: Tree) -> None:
    def build(color: Field) -> Field:
        offset = -(_ENCODED_BEND + 0.055)
        low = _scaled(tree, _smaller(tree, color, _LINEAR_BEND), _SLOPE, offset)
        root = tree.vector_math("POWER", _larger(tree, color, _LINEAR_BEND), _gray(1 / 2.4))
        return tree.vector_math("MULTIPLY_ADD", root, _gray(1.055), low)

    _build(tree, build)


def _build(tree: Tree, build: Callable[[Field], Field]) -> None:
    tree.declare("Color", "Vector", output=True)
    tree.declare("Color", "Vector")
    tree.node("NodeGroupOutput", {"Color": build(tree.read("Color"))})


def _smaller(tree: Tree, color: Field, bend: float) -> Field:
    return tree.vector_math("MINIMUM", color, _gray(bend))


def _larger(tree: Tree, color: Field, bend: float) -> Field:
    return tree.vector_math("MAXIMUM", color, _gray(bend))


def _scaled(tree: Tree, color: Field, factor: float, offset: float) -> Field:
    return tree.vector_math("MULTIPLY_ADD", color, _gray(factor), _gray(offset))


def _gray(value: float) -> tuple[float, float, float]:
    return (value, value, value)
