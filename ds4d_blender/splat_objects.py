# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that show an asset: made once, filled again and again.

Filling builds new point clouds that no scene shows, attribute after attribute, and then puts them
in the place of the old ones at once: whoever looks sees one whole asset or the other, and whoever
is in a hurry can do a little of it at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence

import bpy

from .drawing import MODIFIER_NAME as DRAW
from .drawing import add_drawing
from .invented import MODIFIER_NAME as INVENTED
from .invented import add_invented
from .material import splat_material
from .nodes import input_value, set_input
from .player import MODIFIER_NAME as PLAY
from .player import add_player
from .point_cloud import empty_point_cloud, set_attribute
from .rendering import needs_sorting
from .splat_layers import Clip, Layer, Part

START_KEY = "ds4d_frame_start"
"""The clip's first scene frame, on the object: tells whether the artist moved the start since."""

Clouds = dict[Part, bpy.types.PointCloud]


def new_splats(
    name: str, collection: bpy.types.Collection, *, moving: bool = True, invented: bool = False
) -> bpy.types.Object:
    """Add an object with no splats yet, and with every modifier that shows them.

    Not `moving` leaves the player out, `invented` adds what hides and tints unseen splats. What
    the modifiers need is built here: filling is quick.
    """
    target = bpy.data.objects.new(name, empty_point_cloud(name, 0))
    target.rotation_mode = "QUATERNION"
    collection.objects.link(target)
    if moving:
        add_player(target, frame_count=1, fps=24.0, start_frame=1)
    if invented:
        add_invented(target)
    add_drawing(target, splat_material(), sort=needs_sorting(bpy.context.scene))
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
    if clip.invented and target.modifiers.get(INVENTED) is None:
        add_invented(target)
        _before_drawing(target)
    target["ds4d_blend"] = clip.blend
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
    values: dict[str, object] = {
        "Frames": clip.frame_count,
        "FPS": clip.fps,
        "sRGB Blend": clip.blend == "srgb",
    }
    # The artist may have moved the clip in time meanwhile.
    if target.get(START_KEY) in (None, input_value(player, "Start Frame")):
        values["Start Frame"] = float(clip.frame_start)
    target[START_KEY] = float(clip.frame_start)
    for name, value in values.items():
        if input_value(player, name) != value:
            set_input(player, name, value)


def _before_drawing(target: bpy.types.Object) -> None:
    """Move the newest modifier in front of the one that draws."""
    names = [modifier.name for modifier in target.modifiers]
    if DRAW in names:
        target.modifiers.move(len(names) - 1, names.index(DRAW))


def finish(steps: Generator[bool, None, Clouds], wait: Callable[[], None] | None = None) -> Clouds:
    """Do all of `cloud_steps` at once."""
    while True:
        try:
            if not next(steps) and wait is not None:
                wait()
        except StopIteration as finished:
            clouds: Clouds = finished.value
            return clouds
