# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw several assets as one object, so that their splats sort together in EEVEE.

The members keep their transforms, modifiers and animation. They no longer render themselves, and
the viewport shows their bounds, to be selected and moved as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import bpy

from .drawing import MODES
from .drawing import MODIFIER_NAME as DRAW
from .drawing.together import MEMBERS, MODIFIER_NAME, together_group
from .material import splat_material
from .motion_blur import prepare_motion_blur
from .nodes import input_value, menu_choice, set_input, set_menu
from .seam import DS4DError

BEFORE_KEY = "ds4d_before_together"
"""On a member: what it was before, by property."""

_RAYS = ("camera", "diffuse", "glossy", "transmission", "volume_scatter", "shadow")
_OWN = {"hide_render": True, "display_type": "BOUNDS"} | {f"visible_{ray}": False for ray in _RAYS}


def draw_together(
    targets: Sequence[bpy.types.Object], collection: bpy.types.Collection
) -> bpy.types.Object:
    """Draw assets as one and return the object that does; new ones join those that are together.

    Raises DS4DError, one sentence, where that cannot be.
    """
    found = {joint for target in targets if (joint := joint_of(target)) is not None}
    if len(found) > 1:
        raise DS4DError("These assets are drawn by two objects; draw those of one apart first.")
    joint = found.pop() if found else None
    new = [target for target in targets if joint_of(target) is None]
    all_of_them = [*(members(joint) if joint is not None else ()), *new]
    if len({target.get("ds4d_blend", "linear") for target in all_of_them}) > 1:
        raise DS4DError(
            "Some of these clips blend sRGB-encoded colors and some linear light; draw them apart."
        )
    if len(all_of_them) < 2:
        raise DS4DError("Select two or more DS4D objects to draw them together.")
    joint = joint or _new_joint(new[0], collection)
    for target in new:
        _join(target, _collection(joint))
    # Where a proxy casts the shadows of a member, its quads must not.
    joint.visible_shadow = all(member[BEFORE_KEY]["visible_shadow"] for member in members(joint))
    joint.update_tag()
    return joint


def draw_apart(targets: Iterable[bpy.types.Object]) -> None:
    """Let assets draw themselves again; an object that draws fewer than two of them goes."""
    joints = set()
    for target in targets:
        joint = joint_of(target)
        if joint is None:
            if is_left_over(target):
                _restore(target)
            continue
        for member in members(joint) if is_joint(target) else [target]:
            _leave(member, _collection(joint))
        joints.add(joint)
    for joint in joints:
        rest = members(joint)
        if len(rest) < 2:
            _remove(joint, rest)


def is_joint(target: bpy.types.Object | None) -> bool:
    """Tell whether an object draws several assets."""
    return target is not None and MODIFIER_NAME in target.modifiers


def joint_of(target: bpy.types.Object) -> bpy.types.Object | None:
    """Return the object that draws a member, or a joint itself; None for what stands alone."""
    if is_joint(target):
        return target
    for other in bpy.data.objects:
        if is_joint(other) and target.name in _collection(other).objects:
            return other
    return None


def is_left_over(target: bpy.types.Object) -> bool:
    """Tell whether it is a copy of a member, or what drew it is gone: nothing draws it now."""
    return BEFORE_KEY in target and joint_of(target) is None


def members(joint: bpy.types.Object) -> list[bpy.types.Object]:
    """Return the assets that an object draws."""
    return list(_collection(joint).objects)


def _collection(joint: bpy.types.Object) -> bpy.types.Collection:
    return input_value(joint.modifiers[MODIFIER_NAME], MEMBERS)


def _new_joint(first: bpy.types.Object, collection: bpy.types.Collection) -> bpy.types.Object:
    name = "DS4D Together"
    joint = bpy.data.objects.new(name, bpy.data.meshes.new(name))
    collection.objects.link(joint)
    prepare_motion_blur(joint)
    modifier = joint.modifiers.new(MODIFIER_NAME, "NODES")
    modifier.node_group = together_group()
    set_input(modifier, MEMBERS, bpy.data.collections.new(name))
    own = input_value(first.modifiers[DRAW], "Material")
    set_input(modifier, "Material", own or splat_material())
    return joint


def _join(target: bpy.types.Object, collection: bpy.types.Collection) -> None:
    drawing = target.modifiers[DRAW]
    if BEFORE_KEY not in target:
        before = {name: getattr(target, name) for name in _OWN}
        target[BEFORE_KEY] = before | {"Mode": menu_choice(drawing, "Mode", MODES)}
    for name, value in _OWN.items():
        setattr(target, name, value)
    drawing.show_viewport = drawing.show_render = True
    set_menu(drawing, "Mode", MODES[0], MODES)
    set_input(drawing, "Projected", True)
    collection.objects.link(target)


def _leave(target: bpy.types.Object, collection: bpy.types.Collection) -> None:
    _restore(target)
    collection.objects.unlink(target)


def _restore(target: bpy.types.Object) -> None:
    before = target[BEFORE_KEY]
    for name in _OWN:
        setattr(target, name, before[name])
    if DRAW in target.modifiers:
        set_input(target.modifiers[DRAW], "Projected", False)
        set_menu(target.modifiers[DRAW], "Mode", before["Mode"], MODES)
    del target[BEFORE_KEY]


def _remove(joint: bpy.types.Object, rest: Iterable[bpy.types.Object]) -> None:
    collection, mesh = _collection(joint), joint.data
    for member in rest:
        _leave(member, collection)
    bpy.data.objects.remove(joint)
    bpy.data.collections.remove(collection)
    bpy.data.meshes.remove(mesh)
