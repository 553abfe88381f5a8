# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pictures in panels: the source, the masks, the last preview."""

from __future__ import annotations

import os
from pathlib import Path

import bpy
import bpy.utils.previews

from ..source import is_video

PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr", ".webp", ".bmp"}
_MOST_PICTURES = 24

_shown: bpy.utils.previews.ImagePreviewCollection | None = None
_first: dict[tuple[str, float], str] = {}


def draw_picture(layout: bpy.types.UILayout, path: str, *, scale: float = 8.0) -> None:
    """Draw a picture file, or a video's thumbnail; nothing where there is none."""
    icon = _icon(path)
    if icon:
        layout.template_icon(icon_value=icon, scale=scale)


def thumbnail_of(source: str) -> str:
    """Return the file that stands for a source: itself, or the first picture of a folder."""
    if not os.path.isdir(source):
        return source if os.path.isfile(source) else ""
    key = (source, _time(source))
    if key not in _first:
        _first.clear()
        names = sorted(entry.name for entry in os.scandir(source) if entry.is_file())
        names = [name for name in names if Path(name).suffix.lower() in PICTURES]
        _first[key] = os.path.join(source, names[0]) if names else ""
    return _first[key]


def register() -> None:
    """Make room for pictures."""
    global _shown
    _shown = bpy.utils.previews.new()


def unregister() -> None:
    """Forget all pictures."""
    global _shown
    if _shown is not None:
        bpy.utils.previews.remove(_shown)
        _shown = None
    _first.clear()


def _icon(path: str) -> int:
    time = _time(path)
    if _shown is None or not path or not time:
        return 0
    name = f"{path}|{time}"
    if name not in _shown:
        if len(_shown) >= _MOST_PICTURES:
            _shown.clear()
        _shown.load(name, path, "MOVIE" if is_video(path) else "IMAGE", force_reload=True)
    return _shown[name].icon_id


def _time(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
