# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw splats with Geometry Nodes: the *DS4D Draw* modifier and the groups it is made of."""

from .group import MODIFIER_NAME, add_drawing

__all__ = ["MODIFIER_NAME", "add_drawing"]
