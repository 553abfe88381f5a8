# SPDX-License-Identifier: GPL-3.0-or-later
"""A floor that shows nothing but the shadows on it."""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from .mirrored import points_of
from .point_cloud import attribute_values

# Splats that hardly show would put the floor too low.
_SHOWN = 0.3
_LOWEST_PERCENT = 0.5
_WIDTHS = 6.0


def add_shadow_catcher(target: bpy.types.Object) -> bpy.types.Object:
    """Add a level plane where the splats of `target` stand now, six times as wide as they are.

    Cycles shows only shadows on it. EEVEE has no shadow catchers and shows a plain floor.
    """
    places = _shown_positions(target)
    low = np.percentile(places, _LOWEST_PERCENT, axis=0)
    high = np.percentile(places, 100.0 - _LOWEST_PERCENT, axis=0)
    half = _WIDTHS / 2.0 * float(max(high - low))
    mesh = bpy.data.meshes.new(f"{target.name} Floor")
    corners = ((-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0))
    mesh.from_pydata(corners, [], [range(4)])
    floor = bpy.data.objects.new(mesh.name, mesh)
    floor.location = (*(low + high)[:2] / 2.0, low[2])
    floor.is_shadow_catcher = True
    for collection in target.users_collection:
        collection.objects.link(floor)
    return floor


def _shown_positions(target: bpy.types.Object) -> NDArray[np.float64]:
    """Return the positions [N,3], in world space, of the splats that are shown now."""
    mirror = points_of(target)
    mirror.hide_viewport = False
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    geometry = mirror.evaluated_get(depsgraph).evaluated_geometry()  # owns the cloud
    cloud = geometry.pointcloud
    opacities = attribute_values(cloud, "opacity")
    places = attribute_values(cloud, "position")[opacities > _SHOWN]
    world = np.array(target.matrix_world)
    mirror.hide_viewport = True
    return places @ world[:3, :3].T + world[:3, 3]
