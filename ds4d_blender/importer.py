# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a .ds4d asset into Blender as point clouds that play and render on their own."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from .cameras import add_cameras, use_camera
from .drawing import add_drawing
from .invented import add_invented
from .material import splat_material
from .player import add_player
from .point_cloud import new_point_cloud, set_attribute
from .rendering import needs_sorting
from .seam import Asset, AssetError, Gaussians, read_asset

SH_C0 = 0.28209479177387814


def import_asset(
    path: str | PathLike[str],
    *,
    collection: bpy.types.Collection | None = None,
    name: str | None = None,
    cameras: bool = False,
    set_scene_time: bool = False,
    set_resolution: bool = False,
) -> bpy.types.Object:
    """Import an asset and return the object that shows it.

    The object is a point cloud that holds the moving Gaussians and draws all of them; the still
    ones lie in a hidden child. `cameras` adds the asset's cameras, `set_resolution` adopts the
    first test camera (or the first camera) with its resolution, and `set_scene_time` adopts frame
    rate and range. Everything lands in `collection`, by default the active one.
    Raises AssetError, one sentence, when the file is missing, corrupt or empty.
    """
    path = Path(path)
    asset = read_asset(path)
    if len(asset.static) + len(asset.dynamic) == 0:
        raise AssetError(f"{path} holds no Gaussians; fit it again.")
    if set_resolution and not asset.cameras:
        raise AssetError(f"{path} holds no cameras to take the resolution from.")
    scene = bpy.context.scene
    collection = collection or bpy.context.collection or scene.collection
    name = name or path.stem
    target = _add_splats(asset, name, collection)
    if (asset.static.observed < 1).any() or (asset.dynamic.observed < 1).any():
        add_invented(target)
    add_drawing(target, splat_material(), sort=needs_sorting(scene))
    target["ds4d_source"] = str(path)
    target["ds4d_blend"] = asset.blend
    if set_scene_time:
        _adopt_time(scene, asset)
    if cameras or set_resolution:
        child = bpy.data.collections.new(f"{name} Cameras")
        collection.children.link(child)
        views = add_cameras(asset.cameras, child)
        if set_resolution:
            tests = [view for view in views if view["ds4d_split"] == "test"]
            use_camera(scene, (tests or views)[0])
    return target


def _add_splats(asset: Asset, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """Add the object that moves, or the still one where nothing moves; return it."""
    if len(asset.dynamic) == 0:
        return _add_cloud(asset.static, name, collection, asset.blend)
    target = _add_cloud(asset.dynamic, name, collection, asset.blend)
    _bake_motion(target.data, asset)
    static = None
    if len(asset.static):
        static = _add_cloud(asset.static, f"{name} Static", collection, asset.blend)
        static.parent = target
        # The other object draws these points, in its own space.
        static.lock_location = static.lock_rotation = static.lock_scale = (True, True, True)
        static.hide_render = True
        static.hide_viewport = True
    add_player(
        target,
        frame_count=asset.frame_count,
        fps=asset.fps,
        start_frame=asset.frame_start,
        static=static,
        encoded=asset.blend == "srgb",
    )
    return target


def _add_cloud(
    gaussians: Gaussians, name: str, collection: bpy.types.Collection, blend: str
) -> bpy.types.Object:
    """Add a point cloud with the attributes of Blender's own splats, and those drawing needs."""
    cloud = new_point_cloud(name, gaussians.means)
    set_attribute(cloud, "scale", "FLOAT_VECTOR", gaussians.scales)
    set_attribute(cloud, "rotation", "QUATERNION", _unit(gaussians.quats))
    sh0 = gaussians.sh0[:, 0, :]
    base = np.column_stack([sh0, gaussians.opacities])
    set_attribute(cloud, "radiance:base", _four_floats(), base)
    for k in range(gaussians.shN.shape[1]):
        set_attribute(cloud, f"radiance:sh_{k}", "FLOAT_VECTOR", gaussians.shN[:, k, :])
    set_attribute(cloud, "opacity", "FLOAT", gaussians.opacities)
    set_attribute(cloud, "dynamic_score", "FLOAT", gaussians.dynamic_scores)
    set_attribute(cloud, "observed", "FLOAT", gaussians.observed)
    colours = np.column_stack([splat_colors(sh0, blend), np.ones(len(gaussians))])
    set_attribute(cloud, "splat_color", "FLOAT_COLOR", colours)
    target = bpy.data.objects.new(name, cloud)
    target.rotation_mode = "QUATERNION"
    collection.objects.link(target)
    return target


def _bake_motion(cloud: bpy.types.PointCloud, asset: Asset) -> None:
    motion = asset.motion
    for frame in range(asset.frame_count):
        set_attribute(cloud, f"pos_{frame}", "FLOAT_VECTOR", motion.means[frame])
        set_attribute(cloud, f"rot_{frame}", "QUATERNION", _unit(motion.quats[frame]))
        set_attribute(cloud, f"scl_{frame}", "FLOAT_VECTOR", motion.scales[frame])
        if motion.opacities is not None:
            set_attribute(cloud, f"opa_{frame}", "FLOAT", motion.opacities[frame])
        if motion.sh0 is not None:
            # Encoded, and not yet cut off at 0: mixed in between frames like the coefficients.
            encoded = motion.sh0[frame, :, 0] * np.float32(SH_C0) + np.float32(0.5)
            set_attribute(cloud, f"col_{frame}", "FLOAT_VECTOR", encoded)


def splat_colors(sh0: NDArray[np.float32], blend: str) -> NDArray[np.float32]:
    """Return the colours [N,3] that the renderer blends, from coefficients `sh0` [N,3].

    Linear light for "linear" assets; for "srgb" ones the encoded values themselves, which only
    the Raw view transform shows as they were fitted.
    """
    encoded = np.maximum(sh0.astype(np.float64) * SH_C0 + 0.5, 0.0)
    if blend == "srgb":
        return encoded.astype(np.float32)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


def _unit(quats: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(quats, axis=-1, keepdims=True)
    return quats / np.maximum(lengths, np.float32(1e-12))


def _four_floats() -> str:
    """Return the attribute type of `radiance:base`: FLOAT4 where Blender has it."""
    kinds = bpy.types.Attribute.bl_rna.properties["data_type"].enum_items.keys()
    return "FLOAT4" if "FLOAT4" in kinds else "FLOAT_COLOR"


def _adopt_time(scene: bpy.types.Scene, asset: Asset) -> None:
    rate = max(1, round(asset.fps))
    scene.render.fps = rate
    scene.render.fps_base = rate / asset.fps
    scene.frame_start = asset.frame_start
    scene.frame_end = asset.frame_start + asset.frame_count - 1
    scene.frame_set(asset.frame_start)
