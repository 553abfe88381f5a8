# SPDX-License-Identifier: GPL-3.0-or-later
"""More views of a clip that one camera took: none, generated elsewhere, or generated here."""

from .presets import PRESETS, CameraSet, ViewAngle, parse_cameras
from .provider import ViewOptions, ViewProvider, build_provider

__all__ = [
    "ViewProvider",
    "ViewOptions",
    "build_provider",
    "PRESETS",
    "CameraSet",
    "ViewAngle",
    "parse_cameras",
]
