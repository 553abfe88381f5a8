# SPDX-License-Identifier: GPL-3.0-or-later
"""A hidden object that plays the same splats as another, before they are drawn.

What evaluates an object sees its quads; who needs the splats themselves, such as a proxy, reads
them from an object of their own. It shares the point cloud and follows every modifier in front of
the drawing one by drivers, so it plays in a saved file without any Python.
"""

from __future__ import annotations

import bpy

from .drawing import MODIFIER_NAME as DRAW
from .modifier_inputs import Input, read_inputs, write_input
from .nodes import input_path

MIRROR_KEY = "ds4d_mirrors_points"
# What a driver can follow: numbers. Objects, materials and texts are copied.
_NUMBERS = {"Float": 1, "Int": 1, "Bool": 1, "Menu": 1, "Vector": 3, "Color": 4}


def points_of(target: bpy.types.Object) -> bpy.types.Object:
    """Return the hidden child that plays the splats of `target`, made when missing."""
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
            break
        if modifier.type == "NODES" and modifier.node_group is not None:
            _mirror(modifier, mirror)


def _mirror(modifier: bpy.types.NodesModifier, mirror: bpy.types.Object) -> None:
    copy = mirror.modifiers.new(modifier.name, "NODES")
    copy.node_group = modifier.node_group
    copy.show_viewport, copy.show_render = modifier.show_viewport, modifier.show_render
    for name, entry in read_inputs(modifier).items():
        write_input(copy, entry, entry.value)
        size = 0 if entry.attribute else _NUMBERS.get(_kind(entry), 0)
        for index in range(size):
            _drive(modifier.id_data, mirror, input_path(modifier, name), index, size)


def _kind(entry: Input) -> str:
    """Return the kind of a socket without its subtype: "Float" of NodeSocketFloatFactor."""
    rest = entry.kind.removeprefix("NodeSocket")
    return next((kind for kind in _NUMBERS if rest.startswith(kind)), rest)


def _drive(
    target: bpy.types.Object, mirror: bpy.types.Object, path: str, index: int, size: int
) -> None:
    """Let a number of one object follow the same number of another."""
    place = () if size == 1 else (index,)
    driver = mirror.driver_add(path, *place).driver
    driver.type = "AVERAGE"  # of one variable: its value, without any expression
    source = driver.variables.new().targets[0]
    source.id = target
    source.data_path = path + "".join(f"[{number}]" for number in place)
