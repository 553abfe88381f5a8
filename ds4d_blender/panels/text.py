# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences, times and sizes as a panel shows them."""

from __future__ import annotations

import textwrap

import bpy

_POINTS_A_LETTER = 6.2  # of the interface font, on average


def paragraph(layout: bpy.types.UILayout, text: str, *, icon: str = "NONE") -> None:
    """Draw a sentence over as many lines as the sidebar's width needs."""
    column = layout.column(align=True)
    column.scale_y = 0.85
    for number, line in enumerate(textwrap.wrap(text, _letters(icon != "NONE")) or [""]):
        if number == 0:
            column.label(text=line, icon=icon)
        else:
            column.label(text=line, icon="BLANK1" if icon != "NONE" else "NONE")


def duration(seconds: float) -> str:
    """Say how long something takes, as roughly as it is known."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h"


def amount(count: float) -> str:
    """Say how many bytes something needs."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.0f} kB"


def _letters(has_icon: bool) -> int:
    region = bpy.context.region
    scale = bpy.context.preferences.system.ui_scale or 1.0  # 0 without windows
    width = region.width if region is not None and region.type == "UI" else 300.0 * scale
    icon = 20.0 if has_icon else 0.0
    return max(int((width / scale - 50.0 - icon) / _POINTS_A_LETTER), 16)
