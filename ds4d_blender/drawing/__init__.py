# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw splats with Geometry Nodes: the *DS4D Draw* modifier and the groups it is made of."""

from .group import MODES, MODIFIER_NAME, add_drawing, draw_group

__all__ = ["MODES", "MODIFIER_NAME", "add_drawing", "draw_group"]
