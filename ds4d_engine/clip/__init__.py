# SPDX-License-Identifier: GPL-3.0-or-later
"""One ordinary clip: its frames, the object in them, and the square that holds it."""

from .loading import LoadedClip, load_clip, read_clip
from .options import ClipOptions
from .sources import is_clip

__all__ = ["ClipOptions", "LoadedClip", "is_clip", "load_clip", "read_clip"]
