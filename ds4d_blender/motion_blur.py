# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion blur in Cycles: splats are played at moments within the shutter's time."""

from __future__ import annotations

import bpy

STEPS = 2
"""Cycles looks at 2^STEPS + 1 moments; with fewer, fast splats cut the corners of their paths."""


def prepare_motion_blur(target: bpy.types.Object) -> None:
    """Let Cycles see enough moments of an object; it costs nothing until motion blur is on."""
    if hasattr(target, "cycles"):  # Cycles is an add-on that can be switched off
        target.cycles.motion_steps = STEPS
