# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a node tree that was built from one that an artist has changed since.

What counts is what a tree computes: its nodes, its links, and the constants of its arithmetic.
Names, places, frames and colors of nodes may change freely, and so may what another version of
Blender adds to a node when it opens the file.
"""

from __future__ import annotations

import zlib

import bpy

FINGERPRINT_KEY = "ds4d_fingerprint"

_DECORATION = {"NodeFrame", "NodeReroute"}
_ARITHMETIC = {"ShaderNodeMath", "ShaderNodeVectorMath"}


def fingerprint(tree: bpy.types.NodeTree) -> str:
    """Return a word that changes with what a tree, or a group within it, computes."""
    lines = [_node(node) for node in tree.nodes if node.bl_idname not in _DECORATION]
    lines += [
        f"{_end(link.from_node)} {link.from_socket.type} {_end(link.to_node)}"
        for link in tree.links
        if not {link.from_node.bl_idname, link.to_node.bl_idname} & _DECORATION
    ]
    return f"{zlib.crc32(chr(10).join(sorted(lines)).encode()):08x}"


def seal(tree: bpy.types.NodeTree) -> None:
    """Remember a tree as it was built."""
    tree[FINGERPRINT_KEY] = fingerprint(tree)


def _node(node: bpy.types.Node) -> str:
    words = [node.bl_idname]
    if node.bl_idname in _ARITHMETIC:
        words.append(node.operation)
        words += [_value(socket) for socket in node.inputs if socket.enabled]
    elif getattr(node, "node_tree", None) is not None:
        words.append(fingerprint(node.node_tree))
    return " ".join(words)


def _value(socket: bpy.types.NodeSocket) -> str:
    if socket.is_linked:
        return "linked"
    value = socket.default_value
    numbers = value if hasattr(value, "__len__") else (value,)
    return ",".join(f"{number:.5g}" for number in numbers)


def _end(node: bpy.types.Node) -> str:
    return f"{node.bl_idname}.{getattr(node, 'operation', '')}"
