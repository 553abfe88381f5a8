# SPDX-License-Identifier: GPL-3.0-or-later
"""Give the objects of an older file the trees of today; what the artist set and animated stays.

Every tree carries the version it was built as. A tree that was renamed is the artist's own, and so
is one whose nodes, links or constants are no longer those that were built: its object keeps all
its modifiers as they are, unless edited trees are to be replaced too. Those then stay in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import bpy
import numpy as np

from .density_order import density_ranks
from .drawing import MODIFIER_NAME as DRAW
from .drawing import group as draw
from .drawing import together
from .drawing.selection import SHOWN
from .material import (
    MATERIAL_NAME,
    MATERIAL_VERSION,
    POINT_MATERIAL_NAME,
    point_material,
    splat_material,
)
from .mirrored import follow
from .modifier_inputs import Input, Moves, move_animation, paths, read_inputs, write_input
from .node_fingerprint import FINGERPRINT_KEY, fingerprint
from .nodes import VERSION_KEY, input_path, input_value, set_input
from .player import MODES, default_fade
from .player import MODIFIER_NAME as PLAY
from .playing import group as play
from .point_cloud import attribute_values, set_attribute
from .seam import DS4DError
from .splat_layers import splat_colors
from .splat_objects import static_child

INVENTED = "DS4D Invented"
"""A modifier and a group of their own until drawing took them over."""


@dataclass(frozen=True)
class _Kind:
    """A tree of a modifier as it is built today; None: others took its work over."""

    version: int | None
    group: Callable[[], bpy.types.NodeTree] | None


_KINDS = {
    PLAY: _Kind(play.VERSION, play.play_group),
    DRAW: _Kind(draw.GROUP_VERSION, draw.draw_group),
    INVENTED: _Kind(None, None),
    together.MODIFIER_NAME: _Kind(together.GROUP_VERSION, together.together_group),
}
# Trees built before they carried a fingerprint, as built and as Blender 5.2 opens them.
_AS_BUILT = {
    PLAY: {"29073fbd"},
    DRAW: {"5d65991c"},
    INVENTED: {"c2669684", "9f3b4d84"},
    MATERIAL_NAME: {"04667efd"},
    together.MODIFIER_NAME: set(),
    POINT_MATERIAL_NAME: set(),
}
_RENAMED = {"Tint": "Invented Tint"}
# Menus by input: the old words with what they are called now, and the new words.
_MENUS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "Playback": ({word: word for word in ("Loop", "Ping-Pong", "Clamp")}, tuple(MODES)),
    "Show": (
        {"All": "All", "Observed Only": "Observed", "Invented Only": "Invented"},
        tuple(SHOWN),
    ),
}


@dataclass
class Outcome:
    """Names of the objects that were upgraded, and of those left as they are."""

    upgraded: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """What happened, for the artist."""
        if self.edited:
            return (
                f"{', '.join(self.edited)}: kept as before, for somebody edited the node trees; "
                "upgrade with Edited Too to replace them."
            )
        if self.upgraded:
            return f"Upgraded {', '.join(self.upgraded)}."
        return "Every DS4D object in this file is of this version."


def is_outdated(target: bpy.types.Object) -> bool:
    """Tell whether an object that may be changed has trees of another version."""
    return target.library is None and bool(_outdated(target))


def upgrade_all(*, edited: bool = False) -> Outcome:
    """Upgrade every object of the file; trees that were edited are replaced only if that is said.

    They stay in the file, and so do those of linked files.
    """
    outcome = Outcome()
    for target in bpy.data.objects:
        if not is_outdated(target):
            continue
        old = _outdated(target)
        changed = [modifier.node_group for modifier in old if _is_edited(modifier.node_group)]
        if changed and not edited:
            outcome.edited.append(target.name)
            continue
        for tree in changed:
            tree.use_fake_user = True
        _upgrade(target, old)
        outcome.upgraded.append(target.name)
    return outcome


def bring_up_to_date(targets: Iterable[bpy.types.Object]) -> None:
    """Upgrade what is outdated; raise DS4DError, one sentence, where edited trees forbid that."""
    if any(is_outdated(target) for target in targets):
        upgrade_all()
    for target in targets:
        if is_outdated(target):
            raise DS4DError(
                f"{target.name} has edited node trees of an earlier version; upgrade it with "
                "Edited Too, or import the asset as a new object."
            )


def _outdated(target: bpy.types.Object) -> list[bpy.types.NodesModifier]:
    found = [
        modifier
        for modifier in target.modifiers
        if modifier.type == "NODES"
        and modifier.node_group is not None
        and VERSION_KEY in modifier.node_group
        and (kind := _KINDS.get(_kind(modifier))) is not None
        and modifier.node_group[VERSION_KEY] != kind.version
    ]
    return found if {_kind(modifier) for modifier in found} != {INVENTED} else []


def _kind(modifier: bpy.types.NodesModifier) -> str:
    """Return which of our modifiers it is, also where the artist gave its tree another name."""
    name = _base(modifier.node_group.name)
    return name if name in _KINDS else _base(modifier.name)


def _base(name: str) -> str:
    return name.split(".")[0]


def _is_edited(tree: bpy.types.NodeTree, name: str | None = None) -> bool:
    """Tell whether a tree is no longer what was built; that of a material has the `name` of it."""
    name = _base(name or tree.name)
    if name not in _AS_BUILT:  # renamed
        return True
    built = tree.get(FINGERPRINT_KEY)
    return fingerprint(tree) not in ({built} if built else _AS_BUILT[name])


def _upgrade(target: bpy.types.Object, old: Sequence[bpy.types.NodesModifier]) -> None:
    before = {modifier.name: read_inputs(modifier) for modifier in old}
    places = {modifier.name: modifier for modifier in old}
    folded = [modifier for modifier in old if _kind(modifier) == INVENTED]
    for modifier in old:
        group = _KINDS[_kind(modifier)].group
        if group is None:
            places[modifier.name] = target.modifiers[DRAW]
        else:
            modifier.node_group = group()
            _reset(modifier)
    moves = Moves(stamp=f"{play.VERSION}.{draw.GROUP_VERSION}")
    for name, entries in before.items():
        _carry_over(name, entries, places[name], moves)
    for modifier in folded:
        target.modifiers.remove(modifier)
    move_animation(target, moves)
    encoded = target.get("ds4d_blend") == "srgb"
    if DRAW in target.modifiers:
        _prepare_drawing(target.modifiers[DRAW], encoded)
    if PLAY in target.modifiers and "Fade" not in before.get(PLAY, {"Fade": None}):
        player = target.modifiers[PLAY]
        set_input(player, "Fade", default_fade(input_value(player, "Frames")))
    _complete(target, encoded)
    follow(target)
    target.update_tag()


def _reset(modifier: bpy.types.NodesModifier) -> None:
    """Set all inputs to their defaults: Blender keeps values by identifier, not by name."""
    target = modifier.id_data
    fresh = target.modifiers.new(modifier.name, "NODES")
    fresh.node_group = modifier.node_group
    for entry in read_inputs(fresh).values():
        write_input(modifier, entry, entry.value)
    target.modifiers.remove(fresh)


def _carry_over(
    name: str, entries: Mapping[str, Input], place: bpy.types.NodesModifier, moves: Moves
) -> None:
    """Set what the modifier of that name held in the one that took its place."""
    now = read_inputs(place)
    for word, entry in entries.items():
        new = now.get(_RENAMED.get(word, word))
        keeps = new is not None and new.kind == entry.kind
        for path in paths(name, entry.identifier):
            moves.paths[path] = input_path(place, _RENAMED.get(word, word)) if keeps else None
            if word in _MENUS:
                moves.numbers[path] = _menu_numbers(word)
        if keeps:
            value = _menu_value(word, entry.value) if word in _MENUS else entry.value
            new.attribute = entry.attribute
            write_input(place, new, value)


def _menu_value(name: str, value: int | str) -> int | str:
    """Return the present value of a menu: a number before Blender 5.2, a word since."""
    if isinstance(value, int):
        return _menu_numbers(name).get(value, 0)
    return _MENUS[name][0][value]


def _menu_numbers(name: str) -> dict[int, int]:
    words, now = _MENUS[name]
    return {number: now.index(word) for number, word in enumerate(words.values())}


def _prepare_drawing(drawing: bpy.types.NodesModifier, encoded: bool) -> None:
    """Set what an import sets; a material that somebody edited stays."""
    set_input(drawing, "sRGB Blend", encoded)
    for name, today in (("Material", splat_material), ("Point Material", point_material)):
        material = input_value(drawing, name)
        ours = material is not None and _base(material.name) in (MATERIAL_NAME, POINT_MATERIAL_NAME)
        outdated = ours and material.get(VERSION_KEY) != MATERIAL_VERSION
        if material is None or (outdated and not _is_edited(material.node_tree, material.name)):
            set_input(drawing, name, today())


def _complete(target: bpy.types.Object, encoded: bool) -> None:
    """Give clouds what they lack: an order in which splats are kept, and signed colors."""
    still = static_child(target) if PLAY in target.modifiers else None
    clouds = [target.data] + ([still.data] if still is not None else [])
    if target.type != "POINTCLOUD" or "density_rank" in target.data.attributes:
        return
    columns = [
        np.concatenate([attribute_values(cloud, name) for cloud in clouds])
        for name in ("position", "opacity")
    ]
    ranks = density_ranks(*columns)
    for cloud, part in zip(clouds, np.split(ranks, [len(target.data.points)]), strict=False):
        set_attribute(cloud, "density_rank", "FLOAT", part)
        sh0 = attribute_values(cloud, "radiance:base")[:, :3]
        colors = splat_colors(sh0, "srgb" if encoded else "linear")
        colors = np.column_stack([colors, np.ones(len(colors))])
        set_attribute(cloud, "splat_color", "FLOAT_COLOR", colors)
