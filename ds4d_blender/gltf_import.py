# SPDX-License-Identifier: GPL-3.0-or-later
"""Import one animation clip of a glTF file, ready to render."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy

from .seam import errors


@dataclass(frozen=True)
class ImportedClip:
    """The objects of an imported file and the clip that plays on them.

    `start` and `end` are scene frames at the scene's own frame rate; `clips` names all clips.
    """

    objects: tuple[bpy.types.Object, ...]
    clip: str
    start: float
    end: float
    clips: tuple[str, ...]


def import_gltf(path: str | Path, clip: str | None = None) -> ImportedClip:
    """Import a .glb or .gltf file into the scene and play one of its clips.

    `clip` is not case-sensitive and may be left out where the file has one clip only. Every other
    animation of the file is muted. Raises DatasetError for a file that is missing or is no glTF,
    and for an unknown clip; nothing is left in the scene then.
    """
    path = Path(path)
    if not path.is_file():
        raise errors.DatasetError(
            f"There is no file {path}: give the path of a .glb or .gltf file."
        )
    before = set(bpy.data.objects)
    try:
        # The other bone heuristics put meshes that hang on bones in the wrong place.
        bpy.ops.import_scene.gltf(
            filepath=str(path), bone_heuristic="TEMPERANCE", disable_bone_shape=True
        )
    except RuntimeError as error:
        _remove(set(bpy.data.objects) - before)
        reason = str(error).strip().splitlines()[-1]
        raise errors.DatasetError(f"Blender cannot import {path.name} as glTF: {reason}") from None
    objects = set(bpy.data.objects) - before
    try:
        name, clips = _choose(clip, _clips(objects), path)
    except errors.DatasetError:
        _remove(objects)
        raise
    start, end = _play(objects, name)
    _hide_bone_shapes(objects)
    ordered = tuple(sorted(objects, key=lambda o: o.name))
    return ImportedClip(ordered, name, start, end, clips)


def _animated(objects: set[bpy.types.Object]) -> Iterator[bpy.types.AnimData]:
    for owner in objects:
        if owner.animation_data:
            yield owner.animation_data
        keys = owner.data.shape_keys if owner.type == "MESH" else None
        if keys and keys.animation_data:
            yield keys.animation_data


def _clips(objects: set[bpy.types.Object]) -> tuple[str, ...]:
    return tuple(sorted({t.name for data in _animated(objects) for t in data.nla_tracks}))


def _choose(wanted: str | None, clips: tuple[str, ...], path: Path) -> tuple[str, tuple[str, ...]]:
    if not clips:
        raise errors.DatasetError(
            f"{path.name} has no animation: give a file with at least one clip."
        )
    listing = ", ".join(clips)
    if wanted is None:
        if len(clips) > 1:
            raise errors.DatasetError(
                f"{path.name} has several clips, choose one of them: {listing}."
            )
        return clips[0], clips
    for name in clips:
        if name.lower() == wanted.lower():
            return name, clips
    raise errors.DatasetError(f"{path.name} has no clip named {wanted}; its clips: {listing}.")


def _play(objects: set[bpy.types.Object], clip: str) -> tuple[float, float]:
    """Make `clip` the active action everywhere and return its first and last frame."""
    ranges = []
    for data in _animated(objects):
        strips = [t.strips[0] for t in data.nla_tracks if t.name == clip and t.strips]
        for track in data.nla_tracks:
            track.mute = True
        # Un-muting the track alone gives no motion: the active action hides it.
        data.action = strips[0].action if strips else None
        if strips:
            data.action_slot = strips[0].action_slot
            ranges.append(tuple(strips[0].action.frame_range))
    return min(r[0] for r in ranges), max(r[1] for r in ranges)


def _hide_bone_shapes(objects: set[bpy.types.Object]) -> None:
    shapes = {
        bone.custom_shape
        for owner in objects
        if owner.type == "ARMATURE"
        for bone in owner.pose.bones
        if bone.custom_shape
    }
    for owner in objects:
        if owner in shapes or (owner.type == "MESH" and owner.name.startswith("Icosphere")):
            owner.hide_render = True


def _remove(objects: set[bpy.types.Object]) -> None:
    for owner in objects:
        bpy.data.objects.remove(owner)
