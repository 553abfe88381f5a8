# SPDX-License-Identifier: GPL-3.0-or-later
"""Place the nodes of a tree so that it reads from left to right, frame after frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import bpy

SPACE = 50.0
GAP = 80.0
"""The space between nodes, and around a frame, in the editor's units."""

Edges = dict[str, list[str]]
Size = tuple[float, float]


def arrange(tree: bpy.types.NodeTree) -> None:
    """Lay out frames in columns along the links, and in each the nodes in columns of its own.

    Group Inputs show only the sockets that are used.
    """
    nodes = [node for node in tree.nodes if node.bl_idname != "NodeFrame"]
    for node in nodes:
        if node.bl_idname == "NodeGroupInput":
            for socket in node.outputs:
                socket.hide = not socket.is_linked
    frame_of = {node.name: _outermost(node) for node in nodes}
    inside: dict[str, list[str]] = {}
    for name, frame in frame_of.items():
        inside.setdefault(frame, []).append(name)
    links = [(link.from_node.name, link.to_node.name) for link in tree.links]
    between = _edges(inside, ((frame_of[a], frame_of[b]) for a, b in links))
    sizes = {node.name: _size(node) for node in nodes}
    within = {}
    for frame, names in inside.items():
        own = _edges(names, ((a, b) for a, b in links if frame_of[a] == frame == frame_of[b]))
        within[frame] = _columns(own, sizes, SPACE)
    frames = {frame: _extent(places, sizes) for frame, places in within.items()}
    places = _columns(between, frames, GAP)
    corners = {}
    for name, frame in frame_of.items():
        x, y = (a + b for a, b in zip(places[frame], within[frame][name], strict=True))
        corners[name] = (x, -y)
    # All at once: after each that is set alone, Blender looks at the whole tree again.
    corner = [corners.get(node.name, node.location) for node in tree.nodes]
    tree.nodes.foreach_set("location", [number for place in corner for number in place])


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


def _size(node: bpy.types.Node) -> Size:
    """Return about how much room a node takes: Blender measures nodes only once it draws them."""
    sockets = [
        socket for socket in (*node.inputs, *node.outputs) if socket.enabled and not socket.hide
    ]
    # An input of three numbers that nothing is linked to shows each of them.
    numbers = sum(
        3
        for socket in sockets
        if not (socket.is_output or socket.is_linked or socket.hide_value)
        and socket.type in ("VECTOR", "ROTATION")
    )
    menus = sum(hasattr(node, name) for name in ("operation", "data_type", "domain", "mode"))
    return node.width, 35.0 + 22.0 * (len(sockets) + numbers) + 26.0 * menus


def _columns(incoming: Edges, sizes: Mapping[str, Size], gap: float) -> dict[str, Size]:
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
    places: dict[str, Size] = {}
    x = 0.0
    for _, names in sorted(columns.items()):
        y = 0.0
        for name in names:
            places[name] = (x, y)
            y += sizes[name][1] + gap
        x += max(sizes[name][0] for name in names) + gap
    return places


def _extent(places: Mapping[str, Size], sizes: Mapping[str, Size]) -> Size:
    """Return the width and height that items take."""
    return (
        max(x + sizes[name][0] for name, (x, _) in places.items()),
        max(y + sizes[name][1] for name, (_, y) in places.items()),
    )
