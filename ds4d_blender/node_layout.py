# SPDX-License-Identifier: GPL-3.0-or-later
"""Place the nodes of a tree so that it reads from left to right, frame after frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import bpy

COLUMN = 190.0
ROW = 190.0
GAP = 80.0
"""Width of a column, height of a row, and the space around a frame, in the editor's units."""

Edges = dict[str, list[str]]


def arrange(tree: bpy.types.NodeTree) -> None:
    """Lay out frames in columns along the links, and in each the nodes in columns of its own.

    Group Inputs show only the sockets that are used.
    """
    nodes = [node for node in tree.nodes if node.bl_idname != "NodeFrame"]
    frame_of = {node.name: _outermost(node) for node in nodes}
    inside: dict[str, list[str]] = {}
    for name, frame in frame_of.items():
        inside.setdefault(frame, []).append(name)
    links = [(link.from_node.name, link.to_node.name) for link in tree.links]
    between = _edges(inside, ((frame_of[a], frame_of[b]) for a, b in links))
    sizes = {}
    for frame, names in inside.items():
        own = _edges(names, ((a, b) for a, b in links if frame_of[a] == frame == frame_of[b]))
        sizes[frame] = _columns(own, {name: (COLUMN, ROW) for name in names}, 0.0)
    places = _columns(between, {name: _extent(sizes[name]) for name in inside}, GAP)
    for node in nodes:
        frame = frame_of[node.name]
        x, y = (a + b for a, b in zip(places[frame], sizes[frame][node.name], strict=True))
        node.location = (x, -y)
        if node.bl_idname == "NodeGroupInput":
            for socket in node.outputs:
                socket.hide = not socket.is_linked


def _outermost(node: bpy.types.Node) -> str:
    """Return the name of the frame around a node, or its own."""
    while node.parent is not None:
        node = node.parent
    return node.name


def _edges(names: Iterable[str], links: Iterable[tuple[str, str]]) -> Edges:
    """Return what leads to each name, without loops to itself."""
    incoming: Edges = {name: [] for name in names}
    for source, target in links:
        if source != target and source not in incoming[target]:
            incoming[target].append(source)
    return incoming


def _columns(
    incoming: Edges, sizes: Mapping[str, tuple[float, float]], gap: float
) -> dict[str, tuple[float, float]]:
    """Return the corner (right, down) of each item: one column for each step along the links."""
    depth: dict[str, int] = {}

    def column(name: str, above: tuple[str, ...] = ()) -> int:
        if name in above:  # two frames that feed each other
            return 0
        if name not in depth:
            before = [column(source, (*above, name)) for source in incoming[name]]
            depth[name] = 1 + max(before, default=-1)
        return depth[name]

    columns: dict[int, list[str]] = {}
    for name in incoming:
        columns.setdefault(column(name), []).append(name)
    places: dict[str, tuple[float, float]] = {}
    x = 0.0
    for _, names in sorted(columns.items()):
        y = 0.0
        for name in names:
            places[name] = (x, y)
            y += sizes[name][1] + gap
        x += max(sizes[name][0] for name in names) + gap
    return places


def _extent(places: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Return the width and height that items take."""
    return (
        max(x for x, _ in places.values()) + COLUMN,
        max(y for _, y in places.values()) + ROW,
    )
