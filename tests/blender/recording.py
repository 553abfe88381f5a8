# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout that writes down what a panel draws, as text that a person can read and compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import bpy

from ds4d_blender.drawing.order import SORT
from ds4d_blender.drawing.selection import SHOWN
from ds4d_blender.player import MODES

_MENUS = {"Playback": MODES, "Show": SHOWN, "Sort": SORT}


class Recording:
    """Stands in for UILayout; `lines` of a nested layout land in the outer one, indented."""

    def __init__(self, lines: list[str] | None = None, indent: str = "") -> None:
        self.lines: list[str] = [] if lines is None else lines
        self._indent = indent
        self.enabled = True
        self.scale_x = self.scale_y = 1.0
        self.use_property_split = self.use_property_decorate = False

    def label(self, *, text: str = "", icon: str = "NONE") -> None:
        self._write(f"{_sign(icon)}{text}")

    def prop(self, data: Any, name: str, **options: Any) -> None:
        label, value = _property(data, name)
        text = options.get("text", label)
        if text in _MENUS and value.isdigit():  # a number before Blender 5.2, which shows words
            value = _MENUS[text][int(value)]
        hint = options.get("placeholder", "")
        shown = value or (f"({hint})" if hint else "")
        self._write(f"{text}: [{shown}]" if text else f"[{shown}]")

    def prop_search(self, data: Any, name: str, among: Any, items: str, **options: Any) -> None:
        assert hasattr(among, items)
        self.prop(data, name, **options)

    def operator(self, name: str, **options: Any) -> Any:
        group, _, word = name.partition(".")
        operator = getattr(getattr(bpy.ops, group), word)
        kind = operator.get_rna_type()
        text = options.get("text", kind.name)
        pressed = "*" if options.get("depress") else ""
        able = "" if operator.poll() and self.enabled else "  (off)"
        self._write(f"<{_sign(options.get('icon', 'NONE'))}{text}{pressed}>{able}")
        return _Properties(kind.properties.keys())

    def operator_menu_enum(self, name: str, prop: str, **options: Any) -> None:
        setattr(self.operator(name, **options), prop, "")

    def progress(self, *, factor: float, text: str = "") -> None:
        assert 0.0 <= factor <= 1.0 and math.isfinite(factor)
        bar = "#" * round(factor * 20)
        self._write(f"|{bar:<20}| {text}")

    def template_icon(self, *, icon_value: int, scale: float) -> None:
        assert icon_value > 0
        self._write("(picture)")

    def separator(self, **_: Any) -> None:
        self._write("")

    def row(self, **_: Any) -> Recording:
        return Recording(self.lines, self._indent)

    def column(self, **_: Any) -> Recording:
        return Recording(self.lines, self._indent)

    def split(self, **_: Any) -> Recording:
        return Recording(self.lines, self._indent)

    def box(self) -> Recording:
        return Recording(self.lines, f"{self._indent}  ")

    def _write(self, text: str) -> None:
        self.lines.append(f"{self._indent}{text}".rstrip())


class _Properties:
    """Takes an operator's properties, and no others."""

    def __init__(self, names: Sequence[str]) -> None:
        object.__setattr__(self, "_names", set(names))

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self._names, f"the operator has no property {name}"


def drawn_panel(panel: type[bpy.types.Panel]) -> list[str]:
    """Return what a panel draws now, under its title; nothing where its poll says no."""
    if hasattr(panel, "poll") and not panel.poll(bpy.context):
        return []
    layout = Recording()
    owner = type("Drawn", (), {"layout": layout})()
    panel.draw(owner, bpy.context)
    level = "--" if getattr(panel, "bl_parent_id", "") else "=="
    return [f"{level} {panel.bl_label} {level}", *layout.lines, ""]


def _sign(icon: str) -> str:
    assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
    return "" if icon in ("NONE", "BLANK1") else f"{{{icon.lower()}}} "


def _property(data: Any, name: str) -> tuple[str, str]:
    label = ""
    if name.startswith('["'):  # an input of a modifier, before Blender 5.2
        value = data[name[2:-2]]
    elif name == "value":  # since then
        value = data.value
    else:
        entry = data.bl_rna.properties[name]
        value, label = getattr(data, name), entry.name
        if entry.type == "ENUM":
            value = entry.enum_items[value].name
        elif entry.type == "POINTER":
            value = value.name if value is not None else ""
    if value is None:
        value = ""
    elif hasattr(value, "name"):
        value = value.name
    elif hasattr(value, "__len__") and not isinstance(value, str):
        value = " ".join(f"{number:g}" for number in value)
    elif isinstance(value, float):
        value = f"{value:g}"
    elif isinstance(value, bool):
        value = "x" if value else " "
    return label, str(value)
