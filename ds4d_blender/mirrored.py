# SPDX-License-Identifier: GPL-3.0-or-later
"""A hidden object that plays the same splats as another, cropped and masked, but not drawn.

What evaluates an object sees its quads; who needs the splats themselves, such as a proxy, reads
them from an object of their own. It shares the point cloud and follows, by drivers, every modifier
in front of the drawing one, and of that one crop and masks: it plays in a saved file without any
Python.
"""

from __future__ import annotations

import bpy

from .drawing import MODIFIER_NAME as DRAW
from .drawing.selection import crop_group
from .modifier_inputs import Input, read_inputs, write_input
from .nodes import input_path

MIRROR_KEY = "ds4d_mirrors_points"
# What a driver can follow: numbers. Objects, materials and texts are copied.
_NUMBERS = {"Float": 1, "Int": 1, "Bool": 1, "Menu": 1, "Vector": 3, "Color": 4}


def points_of(target: bpy.types.Object) -> bpy.types.Object:
    """Return the hidden child that plays the splats of `target`, made when missing, as they are."""
    mirror = mirror_of(target)
    if mirror is None:
        mirror = bpy.data.objects.new(f"{target.name} Points", target.data)
        mirror[MIRROR_KEY] = True
        for collection in target.users_collection:
            collection.objects.link(mirror)
        mirror.parent = target
        mirror.rotation_mode = "QUATERNION"
        mirror.lock_location = mirror.lock_rotation = mirror.lock_scale = (True, True, True)
        mirror.hide_render = mirror.hide_viewport = mirror.hide_select = True
    follow(target)
    return mirror


def mirror_of(target: bpy.types.Object) -> bpy.types.Object | None:
    """Return the child that plays the splats of `target`, if there is one."""
    return next((child for child in target.children if child.get(MIRROR_KEY)), None)


def follow(target: bpy.types.Object) -> None:
    """Let the mirror of an object, if it has one, show its cloud and its modifiers as they are.

    Drivers carry on from here; a new cloud, a new modifier or another object in an input do not.
    """
    mirror = mirror_of(target)
    if mirror is None:
        return
    mirror.data = target.data
    mirror.modifiers.clear()
    for curve in list(mirror.animation_data.drivers if mirror.animation_data else ()):
        mirror.animation_data.drivers.remove(curve)
    for modifier in target.modifiers:
        if modifier.name == DRAW:
            group = crop_group()
            _mirror(modifier, mirror.modifiers.new(group.name, "NODES"), group)
            break
        if modifier.type == "NODES" and modifier.node_group is not None:
            copy = mirror.modifiers.new(modifier.name, "NODES")
            _mirror(modifier, copy, modifier.node_group)


def _mirror(
    modifier: bpy.types.NodesModifier, copy: bpy.types.NodesModifier, group: bpy.types.NodeTree
) -> None:
    """Let a modifier run `group` with the inputs of another object's modifier of these names."""
    copy.node_group = group
    copy.show_viewport, copy.show_render = modifier.show_viewport, modifier.show_render
    inputs = read_inputs(modifier)
    for name, own in read_inputs(copy).items():
        entry = inputs[name]
        own.attribute = entry.attribute
        write_input(copy, own, entry.value)
        size = 0 if entry.attribute else _NUMBERS.get(_kind(entry), 0)
        for index in range(size):
            _drive(modifier, copy, name, () if size == 1 else (index,))


def _kind(entry: Input) -> str:
    """Return the kind of a socket without its subtype: "Float" of NodeSocketFloatFactor."""
    rest = entry.kind.removeprefix("NodeSocket")
    return next((kind for kind in _NUMBERS if rest.startswith(kind)), rest)


def _drive(
    modifier: bpy.types.NodesModifier,
    copy: bpy.types.NodesModifier,
    name: str,
    place: tuple[int, ...],
) -> None:
    """Let a number in an input of `copy` follow the same number of `modifier`."""
    driver = copy.id_data.driver_add(input_path(copy, name), *place).driver
    driver.type = "AVERAGE"  # of one variable: its value, without any expression
    source = driver.variables.new().targets[0]
    source.id = modifier.id_data
    source.data_path = input_path(modifier, name) + "".join(f"[{number}]" for number in place)
