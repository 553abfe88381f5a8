# SPDX-License-Identifier: GPL-3.0-or-later
"""Use the splats that Blender 5.3 draws by itself, where a Blender has them.

They are point clouds of a type of their own, told by the feature and not by the version. They blend
in linear light: a clip fitted for blending encoded colors keeps our drawing.
"""

from __future__ import annotations

import bpy

SPLAT = "GAUSSIAN_SPLAT"


def has_native_splats() -> bool:
    """Tell whether this Blender's point clouds can be splats."""
    entry = bpy.types.PointCloud.bl_rna.properties.get("type")
    return entry is not None and entry.type == "ENUM" and SPLAT in entry.enum_items


def use_native(cloud: bpy.types.PointCloud, blend: str) -> bool:
    """Make a cloud one of native splats if that can be; tell whether it is."""
    if not has_native_splats() or blend != "linear":
        return False
    cloud.type = SPLAT
    return True
