# SPDX-License-Identifier: GPL-3.0-or-later
"""The *DS4D Play* group and the groups it is made of: no Python runs while a file plays.

The moving point cloud carries `pos_0`, `rot_0`, `scl_0`, `pos_1`, ... (and `opa_0`, ... when its
opacity changes, `col_0`, ... when its colour does), one set for every stored moment. The scene's
time becomes a time in the clip (modes.py), that one the two moments around it (moments.py), and the
attributes of these are mixed (reading.py). In a cross-fade a second time is mixed into the first.

A *moment* is a vector: the stored moment before, the one after, and how far between them.
"""

from .group import MODES, play_group

__all__ = ["MODES", "play_group"]
