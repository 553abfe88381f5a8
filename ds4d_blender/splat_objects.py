# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that show an asset: made once, filled again and again.

Filling builds new point clouds that no scene shows, attribute after attribute, and then puts them
in the place of the old ones at once: whoever looks sees one whole asset or the other, and whoever
is in a hurry can do a little of it at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace

import bpy
import numpy as np

from .drawing import MODIFIER_NAME as DRAW
from .drawing import add_drawing
from .mirrored import follow
from .motion_blur import prepare_motion_blur
from .native_splats import use_native
from .nodes import input_value, set_input
from .player import MODIFIER_NAME as PLAY
from .player import add_player, set_clip
from .point_cloud import LAYOUT, empty_point_cloud, set_attribute
from .splat_layers import Clip, Layer, Part

START_KEY = "ds4d_frame_start"
"""The clip's first scene frame, on the object: tells whether the artist moved the start since."""

NOTE_KEY = "ds4d_note"
"""On the object: a sentence on what of its asset was left out, or nothing."""

# Points too many that a passing preview may have; every one of them costs drawing time.
_MOST_ROOM = 5_000

# What a preview of the engine has at most: once it is reached, no room is needed.
_MOST_SHOWN = 20_000

Clouds = dict[Part, bpy.types.PointCloud]


def new_splats(
    name: str, collection: bpy.types.Collection, *, moving: bool = True
) -> bpy.types.Object:
    """Add an object with no splats yet, and with every modifier that shows them.

    Not `moving` leaves the player out. What the modifiers need is built here: filling is quick.
    """
    target = bpy.data.objects.new(name, empty_point_cloud(name, 0))
    target.rotation_mode = "QUATERNION"
    prepare_motion_blur(target)
    collection.objects.link(target)
    if moving:
        add_player(target, frame_count=1, fps=24.0, start_frame=1)
    add_drawing(target)
    return target


def cloud_steps(
    name: str, clip: Clip, layers: Iterable[Layer | None]
) -> Generator[bool, None, Clouds]:
    """Build the clouds of a clip; yields after each attribute, returns them.

    None among the `layers` means that the next is not there yet: yields False then, True
    otherwise. Closing the generator leaves nothing behind.
    """
    clouds: Clouds = {}
    try:
        for part, count in clip.counts.items():
            if count or part == "dynamic":
                clouds[part] = empty_point_cloud(name, count)
                yield True
        for layer in layers:
            if layer is not None:
                set_attribute(clouds[layer.part], layer.name, layer.kind, layer.values)
            yield layer is not None
    except BaseException:  # GeneratorExit too: what was begun goes
        remove_clouds(clouds.values())
        raise
    return clouds


def roomy(clip: Clip) -> Clip:
    """Return the clip with room for more splats, so that what comes next may fit as well."""
    room = {part: _room(count) for part, count in clip.counts.items()}
    return replace(clip, counts=room)


def padded(layer: Layer, count: int) -> Layer:
    """Return a layer for so many points: those that are too many cannot be seen."""
    components = LAYOUT[layer.kind][1]
    missing = count - layer.values.size // components
    if not missing:
        return layer
    seen = not layer.name.startswith(("opacity", "opa_", "scale", "scl_"))
    last = layer.values[-components:] if seen else np.zeros(components, np.float32)
    return replace(layer, values=np.concatenate([layer.values, np.tile(last, missing)]))


def fitting_clouds(
    targets: Sequence[bpy.types.Object], clip: Clip, layers: Sequence[Layer]
) -> Clouds | None:
    """Return the clouds that objects show, if a clip fits into them as it is; else None.

    What is written into them is evaluated alone; clouds in their place would have Blender look at
    the whole scene again.
    """
    if not clip.counts["dynamic"] or len({target.data for target in targets}) != 1:
        return None
    children = {static_child(target) for target in targets}
    stills = {child.data if child is not None else None for child in children}
    if len(stills) != 1 or (stills == {None}) != (clip.counts["static"] == 0):
        return None
    clouds: Clouds = {"dynamic": targets[0].data}
    if clip.counts["static"]:
        clouds["static"] = next(iter(stills))
    for part, cloud in clouds.items():
        names = {attribute.name for attribute in cloud.attributes}
        wanted = {layer.name for layer in layers if layer.part == part}
        if names != wanted or not 0 <= len(cloud.points) - clip.counts[part] <= _MOST_ROOM:
            return None
    return clouds


def write_into(
    targets: Sequence[bpy.types.Object], clip: Clip, clouds: Clouds, layers: Sequence[Layer]
) -> None:
    """Write a clip into clouds that `fitting_clouds` returned."""
    for layer in layers:
        cloud = clouds[layer.part]
        wider = padded(layer, len(cloud.points))
        set_attribute(cloud, layer.name, layer.kind, wider.values)
    for cloud in clouds.values():
        cloud.update_tag()
    for target in targets:
        player = target.modifiers.get(PLAY)
        if player is not None:
            _set_player(target, player, clip)


def show_clouds(targets: Sequence[bpy.types.Object], clip: Clip, clouds: Clouds) -> None:
    """Let objects show new clouds; transform, animation and modifiers of theirs stay.

    What nobody uses any more is removed. A clip in which nothing moves is one cloud.
    """
    still = clouds.get("static")
    shown = clouds["dynamic"]
    if clip.counts["dynamic"] == 0 and still is not None:
        remove_clouds([shown])
        shown, still = still, None
    used = [_exchange(target, shown, still, clip) for target in targets]
    old = {cloud for clouds in used for cloud in clouds if cloud is not None}
    remove_clouds(old - {shown, still})
    shown.name = targets[0].name
    if still is not None:
        still.name = f"{targets[0].name} Static"


def remove_clouds(clouds: Iterable[bpy.types.PointCloud]) -> None:
    """Remove point clouds that nothing uses."""
    for cloud in clouds:
        if cloud.users == 0:
            bpy.data.pointclouds.remove(cloud)


def static_child(target: bpy.types.Object) -> bpy.types.Object | None:
    """Return the hidden object that holds the splats that do not move."""
    player = target.modifiers.get(PLAY)
    return None if player is None else input_value(player, "Static")


def _room(count: int) -> int:
    """Return for how many splats a cloud is made that will hold about so many."""
    step = max(1 << count.bit_length() >> 3, 64)  # a quarter more at most, where there are many
    room = -(-count // step) * step
    return min(room, _MOST_SHOWN) if count <= _MOST_SHOWN else room


def _exchange(
    target: bpy.types.Object,
    shown: bpy.types.PointCloud,
    still: bpy.types.PointCloud | None,
    clip: Clip,
) -> list[bpy.types.PointCloud | None]:
    """Put clouds into one object and its child; return those that were there."""
    before = [target.data]
    target.data = shown
    player = target.modifiers.get(PLAY)
    if player is not None:
        before.append(_exchange_static(target, player, still))
        _set_player(target, player, clip)
    if DRAW in target.modifiers:
        set_input(target.modifiers[DRAW], "sRGB Blend", clip.blend == "srgb")
        clouds = [cloud for cloud in (shown, still) if cloud is not None]
        native = [use_native(cloud, clip.blend) for cloud in clouds]
        set_input(target.modifiers[DRAW], "Native", all(native))
    follow(target)
    target["ds4d_blend"] = clip.blend
    target[NOTE_KEY] = clip.note
    return before


def _exchange_static(
    target: bpy.types.Object,
    player: bpy.types.NodesModifier,
    still: bpy.types.PointCloud | None,
) -> bpy.types.PointCloud | None:
    child = input_value(player, "Static")
    before = None if child is None else child.data
    if still is None:
        if child is not None:
            bpy.data.objects.remove(child)
        return before
    if child is None:
        child = bpy.data.objects.new(f"{target.name} Static", still)
        for collection in target.users_collection:
            collection.objects.link(child)
        child.parent = target
        child.rotation_mode = "QUATERNION"
        # The other object draws these points, in its own space.
        child.lock_location = child.lock_rotation = child.lock_scale = (True, True, True)
        child.hide_render = True
        child.hide_viewport = True
        set_input(player, "Static", child)
    child.data = still
    return before


def _set_player(target: bpy.types.Object, player: bpy.types.NodesModifier, clip: Clip) -> None:
    set_clip(
        player,
        frame_count=clip.frame_count,
        fps=clip.fps,
        moments=clip.moments,
        encoded=clip.blend == "srgb",
    )
    start = float(clip.frame_start)
    # The artist may have moved the clip in time meanwhile.
    if target.get(START_KEY) in (None, input_value(player, "Start Frame")):
        set_input(player, "Start Frame", start)
    target[START_KEY] = start


def finish(steps: Generator[bool, None, Clouds], wait: Callable[[], None] | None = None) -> Clouds:
    """Do all of `cloud_steps` at once."""
    while True:
        try:
            if not next(steps) and wait is not None:
                wait()
        except StopIteration as finished:
            clouds: Clouds = finished.value
            return clouds
