# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tree that draws is made of, as text in snapshots/, and that it reads well.

DS4D_WRITE_SNAPSHOTS=1 writes the text anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import bpy

from ds4d_blender.drawing import draw_group
from ds4d_blender.material import point_material, splat_material

SNAPSHOT = Path(__file__).parent / "snapshots" / "draw-tree.txt"


def groups_of(tree: bpy.types.NodeTree) -> list[bpy.types.NodeTree]:
    """Return a group and those that it is made of, in the order of their names."""
    found = {tree.name: tree}
    for node in tree.nodes:
        inner = getattr(node, "node_tree", None)
        if inner is not None:
            found |= {group.name: group for group in groups_of(inner)}
    return [found[name] for name in sorted(found)]


def interface(tree: bpy.types.NodeTree) -> Iterator[str]:
    """Yield a line for each socket: direction, panel, name, type and default."""
    for item in tree.interface.items_tree:
        if item.item_type != "SOCKET":
            continue
        kind = item.socket_type.removeprefix("NodeSocket")
        panel = f"{item.parent.name} / " if item.parent.name else ""
        default = getattr(item, "default_value", None)
        if hasattr(default, "__len__") and not isinstance(default, str):
            default = tuple(round(number, 3) for number in default)
        elif isinstance(default, float):
            default = round(default, 3)
        shown = "" if item.in_out == "OUTPUT" or default is None else f" = {default}"
        hidden = " (hidden)" if item.hide_in_modifier else ""
        yield f"  {item.in_out.lower():6} {panel}{item.name}: {kind}{shown}{hidden}"


def frames(tree: bpy.types.NodeTree) -> Iterator[str]:
    """Yield a line for each frame: label, number of nodes, the groups that it calls."""
    for frame in tree.nodes:
        if frame.bl_idname != "NodeFrame":
            continue
        inside = [node for node in tree.nodes if node.parent == frame]
        called = [node.node_tree.name for node in inside if getattr(node, "node_tree", None)]
        calls = f" -> {', '.join(called)}" if called else ""
        indent = "    " if frame.parent else "  "
        yield f"{indent}[{frame.label}] {len(inside)}{calls}"


def test_the_tree_that_draws_is_the_one_that_was_reviewed() -> None:
    lines = []
    for tree in groups_of(draw_group()):
        lines += [tree.name, *interface(tree), *frames(tree), ""]
    text = "\n".join(lines)
    if os.environ.get("DS4D_WRITE_SNAPSHOTS"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def rectangle(node: bpy.types.Node) -> tuple[float, float, float, float]:
    """Return left, top, right and at least the bottom (down is positive) of a node."""
    x, y = node.location
    shown = sum(socket.enabled and not socket.hide for socket in (*node.inputs, *node.outputs))
    return x, -y, x + node.width, -y + 30 + 20 * shown


def test_no_node_lies_over_another_and_every_frame_says_what_it_does() -> None:
    trees = [*groups_of(draw_group()), splat_material().node_tree, point_material().node_tree]
    for tree in trees:
        nodes = [node for node in tree.nodes if node.bl_idname != "NodeFrame"]
        assert all(node.label for node in tree.nodes if node.bl_idname == "NodeFrame"), tree.name
        for index, node in enumerate(nodes):
            left, top, right, bottom = rectangle(node)
            for other in nodes[index + 1 :]:
                x0, y0, x1, y1 = rectangle(other)
                apart = x1 <= left or right <= x0 or y1 <= top or bottom <= y0
                assert apart, f"{tree.name}: {node.name} and {other.name}"
