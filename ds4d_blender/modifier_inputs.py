# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry what an artist set, keyframed and drove from the inputs of one modifier to another's.

Inputs are told by the name the artist sees: their identifiers differ between versions of a tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import bpy

_MOVED_KEY = "ds4d_moved"


@dataclass
class Input:
    """What an input of a modifier holds; `attribute` is the one it reads instead, if any."""

    identifier: str
    kind: str
    value: Any
    attribute: str = ""


@dataclass
class Moves:
    """Where animation goes: old data path to new one, or to None where nothing takes it.

    `numbers` translate the keyframes of menus, by old path.
    """

    paths: dict[str, str | None] = field(default_factory=dict)
    numbers: dict[str, Mapping[int, int]] = field(default_factory=dict)
    stamp: str = ""
    """The versions that it leads to: what several objects share moves only once."""


def read_inputs(modifier: bpy.types.NodesModifier) -> dict[str, Input]:
    """Return the inputs of a modifier that hold a value, by name."""
    found = {}
    for item in modifier.node_group.interface.items_tree:
        if item.item_type != "SOCKET" or item.in_out != "INPUT":
            continue
        if item.socket_type != "NodeSocketGeometry":
            found[item.name] = _read(modifier, item.identifier, item.socket_type)
    return found


def write_input(modifier: bpy.types.NodesModifier, entry: Input, value: Any) -> None:
    """Set an input of a modifier, or let it read an attribute as `entry` says."""
    if hasattr(modifier, "properties"):  # Blender 5.2 and later
        slot = getattr(modifier.properties.inputs, entry.identifier)
        slot.value = value
        if hasattr(slot, "attribute_name"):
            slot.type = "ATTRIBUTE" if entry.attribute else "VALUE"
            slot.attribute_name = entry.attribute
        return
    modifier[entry.identifier] = value
    if f"{entry.identifier}_use_attribute" in modifier:
        modifier[f"{entry.identifier}_use_attribute"] = bool(entry.attribute)
        modifier[f"{entry.identifier}_attribute_name"] = entry.attribute


def paths(modifier: str, identifier: str) -> tuple[str, str]:
    """Return the data path of an input before Blender 5.2, and since."""
    return (
        f'modifiers["{modifier}"]["{identifier}"]',
        f'modifiers["{modifier}"].properties.inputs.{identifier}.value',
    )


def move_animation(target: bpy.types.Object, moves: Moves) -> None:
    """Let the keyframes and drivers of an object, and what reads it, follow its inputs."""
    for curves in _animations(target, moves.stamp):
        # All new paths before the first change: an old path may be another one's new one.
        found = [(curve, curve.data_path) for curve in curves if curve.data_path in moves.paths]
        for curve, path in found:
            _renumber(curve, moves.numbers.get(path))
            new = moves.paths[path]
            if new is None:
                curves.remove(curve)
            else:
                curve.data_path = new
    for variable in _variables_reading(target):
        variable.data_path = moves.paths.get(variable.data_path) or variable.data_path


def _read(modifier: bpy.types.NodesModifier, identifier: str, kind: str) -> Input:
    if hasattr(modifier, "properties"):
        slot = getattr(modifier.properties.inputs, identifier)
        reads = getattr(slot, "type", "VALUE") == "ATTRIBUTE"
        entry = Input(identifier, kind, slot.value, slot.attribute_name if reads else "")
    else:
        reads = modifier.get(f"{identifier}_use_attribute", False)
        name = modifier.get(f"{identifier}_attribute_name", "") if reads else ""
        entry = Input(identifier, kind, modifier[identifier], name)
    if hasattr(entry.value, "__len__") and not isinstance(entry.value, str):
        entry.value = tuple(entry.value)
    return entry


def _animations(target: bpy.types.Object, stamp: str) -> Iterator[Any]:
    """Yield the collections of curves that animate an object, and those that wait for a user.

    Those of actions are marked, slot by slot.
    """
    if target.animation_data is not None:
        yield target.animation_data.drivers
    for action in bpy.data.actions:
        for layer in action.layers:
            for strip in layer.strips:
                for bag in strip.channelbags:
                    users, marks = bag.slot.users(), dict(action.get(_MOVED_KEY, {}))
                    if users and target not in users:
                        continue
                    if marks.get(bag.slot.identifier) != stamp:
                        yield bag.fcurves
                        action[_MOVED_KEY] = marks | {bag.slot.identifier: stamp}


def _renumber(curve: bpy.types.FCurve, numbers: Mapping[int, int] | None) -> None:
    for point in curve.keyframe_points if numbers else ():
        number = float(numbers[round(point.co.y)])
        point.co.y = point.handle_left.y = point.handle_right.y = number


def _variables_reading(target: bpy.types.Object) -> Iterator[bpy.types.DriverTarget]:
    """Yield what drivers anywhere in the file read of an object."""
    for kind in bpy.data.bl_rna.properties:
        if kind.type != "COLLECTION" or kind.identifier == "all_ids":  # all others once more
            continue
        for owner in getattr(bpy.data, kind.identifier):
            for holder in (owner, getattr(owner, "node_tree", None)):
                animation = getattr(holder, "animation_data", None)
                for curve in animation.drivers if animation is not None else ():
                    for variable in curve.driver.variables:
                        yield from (end for end in variable.targets if end.id == target)
