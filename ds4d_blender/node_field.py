# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic with the sockets of node trees, so that `a * b + 0.5` becomes nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

if TYPE_CHECKING:
    from .nodes import Tree


class Field:
    """An output socket of a tree that takes part in arithmetic with numbers and other fields."""

    __slots__ = ("socket", "tree")

    def __init__(self, tree: Tree, socket: bpy.types.NodeSocket) -> None:
        self.tree = tree
        self.socket = socket

    @property
    def is_vector(self) -> bool:
        """Tell whether the value has three components."""
        return self.socket.type == "VECTOR"

    def __add__(self, other: Any) -> Field:
        return self.tree.arithmetic("ADD", self, other)

    def __sub__(self, other: Any) -> Field:
        return self.tree.arithmetic("SUBTRACT", self, other)

    def __rsub__(self, other: float) -> Field:
        return self.tree.math("SUBTRACT", other, self)

    def __mul__(self, other: Any) -> Field:
        return self.tree.arithmetic("MULTIPLY", self, other)

    def __truediv__(self, other: Any) -> Field:
        return self.tree.arithmetic("DIVIDE", self, other)

    def __rtruediv__(self, other: float) -> Field:
        return self.tree.math("DIVIDE", other, self)

    def __neg__(self) -> Field:
        return self * -1.0

    __radd__ = __add__
    __rmul__ = __mul__
