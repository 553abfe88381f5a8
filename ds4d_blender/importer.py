# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a .ds4d asset into Blender as point clouds that play and render on their own."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

import bpy

from .cameras import add_cameras, use_camera
from .drawing import MODIFIER_NAME as DRAW
from .player import MODIFIER_NAME as PLAY
from .player import add_player
from .seam import Asset, AssetError, read_asset
from .splat_layers import clip_of, layers, splat_colors
from .splat_objects import cloud_steps, finish, new_splats, show_clouds
from .time_knots import DEFAULT_LIMIT_MB, within
from .upgrade import bring_up_to_date, upgrade_all

LIMIT_KEY = "ds4d_memory_limit"
"""On the object: how many MB its asset may take, also when it is read again."""

__all__ = ["import_asset", "refill", "splat_colors"]


def import_asset(
    path: str | PathLike[str],
    *,
    collection: bpy.types.Collection | None = None,
    name: str | None = None,
    cameras: bool = False,
    set_scene_time: bool = False,
    set_resolution: bool = False,
    memory_limit: float = DEFAULT_LIMIT_MB,
) -> bpy.types.Object:
    """Import an asset and return the object that shows it.

    The object is a point cloud that holds the moving Gaussians and draws all of them; the still
    ones lie in a hidden child. `cameras` adds the asset's cameras, `set_resolution` adopts the
    first test camera (or the first camera) with its resolution, and `set_scene_time` adopts frame
    rate and range. Everything lands in `collection`, by default the active one. What the file
    holds of earlier versions is upgraded.
    Of a clip that would take more than `memory_limit` (MB) fewer moments are kept, and the
    object's `ds4d_note` says so.
    Raises AssetError, one sentence, when the file is missing, corrupt or empty.
    """
    path = Path(path)
    asset = read_filled(path)
    if set_resolution and not asset.cameras:
        raise AssetError(f"{path} holds no cameras to take the resolution from.")
    scene = bpy.context.scene
    collection = collection or bpy.context.collection or scene.collection
    name = name or path.stem
    target = new_splats(name, collection, moving=len(asset.dynamic) > 0)
    target[LIMIT_KEY] = float(memory_limit)
    _fill(target, asset, path)
    upgrade_all()
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


def refill(target: bpy.types.Object, path: str | PathLike[str]) -> None:
    """Let an imported object show another asset, or the same one read again.

    Its transform, animation and modifiers stay. Raises AssetError, one sentence, when the file is
    missing, corrupt or empty, or the object is none that was imported.
    """
    if target.type != "POINTCLOUD" or DRAW not in target.modifiers:
        raise AssetError(f"{target.name} shows no DS4D asset; select an object that does.")
    asset = read_filled(Path(path))
    upgrade_all()
    bring_up_to_date([target])
    if len(asset.dynamic) and PLAY not in target.modifiers:
        add_player(target, frame_count=1, fps=24.0, start_frame=1)
        target.modifiers.move(len(target.modifiers) - 1, 0)
    _fill(target, asset, Path(path))


def read_filled(path: Path) -> Asset:
    """Read an asset that holds something; raise AssetError, one sentence, otherwise."""
    asset = read_asset(path)
    if len(asset.static) + len(asset.dynamic) == 0:
        raise AssetError(f"{path} holds no Gaussians; fit it again.")
    return asset


def _fill(target: bpy.types.Object, asset: Asset, path: Path) -> None:
    limit = target.get(LIMIT_KEY, DEFAULT_LIMIT_MB)
    asset, note = within(asset, limit, path.name)
    clip = replace(clip_of(asset), note=note)
    clouds = finish(cloud_steps(target.name, clip, layers(asset)))
    show_clouds([target], clip, clouds)
    target["ds4d_source"] = str(path)


def _adopt_time(scene: bpy.types.Scene, asset: Asset) -> None:
    rate = max(1, round(asset.fps))
    scene.render.fps = rate
    scene.render.fps_base = rate / asset.fps
    scene.frame_start = asset.frame_start
    scene.frame_end = asset.frame_start + asset.frame_count - 1
    scene.frame_set(asset.frame_start)
