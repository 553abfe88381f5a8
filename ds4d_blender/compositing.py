# SPDX-License-Identifier: GPL-3.0-or-later
"""The compositor's part of the passes: *DS4D Passes*, a group from rendered sums to passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

from .node_layout import arrange
from .nodes import VERSION_KEY, Field, Tree

GROUP_NAME = "DS4D Passes"
GROUP_VERSION = 1
PASSES = ("Depth", "Moving", "Observed", "Splats", "Index")
# EEVEE's depth where there is nothing; the value differs between versions.
_NOWHERE = 1e4
# In place of a division by nothing.
_LEAST = 1e-6


def passes_group(*, cycles: bool) -> bpy.types.NodeTree:
    """Return the group for an engine, built when missing; both have the same outputs."""
    name = f"{GROUP_NAME} ({'Cycles' if cycles else 'EEVEE'})"
    for group in bpy.data.node_groups:
        if group.name.split(".")[0] == name and group.get(VERSION_KEY) == GROUP_VERSION:
            return group
    group = bpy.data.node_groups.new(name, "CompositorNodeTree")
    tree = Tree(group)
    for item in PASSES:
        tree.declare(item, "Float", output=True)
    (_from_cycles if cycles else _from_eevee)(tree)
    arrange(group)
    group[VERSION_KEY] = GROUP_VERSION
    return group


def place_passes(
    scene: bpy.types.Scene, group: bpy.types.NodeTree, layers: Sequence[str], *, cycles: bool
) -> bpy.types.Node:
    """Put the group into the scene's compositor, fed by view layers; return its node."""
    tree = _compositor(scene)
    node = tree.nodes.get(GROUP_NAME)
    if node is None:
        node = tree.nodes.new("CompositorNodeGroup")
        node.name = node.label = GROUP_NAME
        node.location = (400.0, -500.0)
    node.node_tree = group
    sources = [_render_layer(tree, scene, layer, place) for place, layer in enumerate(layers)]
    wanted = {"Data": (0, "Image"), "Index": (1, "Image")}
    if not cycles:
        wanted = {"Data": (0, "Transp"), "Index": (1, "Transp"), "Other Depth": (0, "Depth")}
    for name, (place, output) in wanted.items():
        tree.links.new(_output(sources[place], output), _input(node, name))
    return node


def _from_cycles(tree: Tree) -> None:
    """Divide by what covers a pixel; the alpha of the film would count the world."""
    for name in ("Data", "Index"):
        tree.declare(name, "Color")
    depth, moving, observed = _channels(tree, tree.read("Data"))
    index, splats, covered = _channels(tree, tree.read("Index"))
    values = {
        "Depth": _divided(tree, depth, covered),
        "Moving": moving,
        "Observed": observed,
        "Splats": splats,
        "Index": _divided(tree, index, covered),
    }
    tree.node("NodeGroupOutput", values)


def _from_eevee(tree: Tree) -> None:
    """Join the splats, which have a pass of their own, and the depth of all other objects."""
    for name, kind in (("Data", "Color"), ("Index", "Color"), ("Other Depth", "Float")):
        tree.declare(name, kind)
    depth, moving, observed = _channels(tree, tree.read("Data"))
    index, splats, _ = _channels(tree, tree.read("Index"))
    present = _math(tree, "LESS_THAN", tree.read("Other Depth"), _NOWHERE)
    others = _math(tree, "MULTIPLY", _math(tree, "SUBTRACT", 1.0, splats), present)
    far = _math(tree, "MULTIPLY", tree.read("Other Depth"), others)
    values = {
        "Depth": _divided(tree, _math(tree, "ADD", depth, far), _math(tree, "ADD", splats, others)),
        "Moving": moving,
        "Observed": _math(tree, "ADD", observed, others),
        "Splats": splats,
        "Index": _divided(tree, index, splats),
    }
    tree.node("NodeGroupOutput", values)


def _math(tree: Tree, operation: str, a: Any, b: Any) -> Field:
    # The compositor had a node of its own until Blender 5.0.
    kind = "CompositorNodeMath" if hasattr(bpy.types, "CompositorNodeMath") else "ShaderNodeMath"
    return tree.output(tree.node(kind, {0: a, 1: b}, operation=operation))


def _divided(tree: Tree, total: Field, weight: Field) -> Field:
    return _math(tree, "DIVIDE", total, _math(tree, "MAXIMUM", weight, _LEAST))


def _channels(tree: Tree, color: Field) -> tuple[Field, Field, Field]:
    node = tree.node("CompositorNodeSeparateColor", {0: color})
    red, green, blue = (Field(tree, socket) for socket in list(node.outputs)[:3])
    return red, green, blue


def _compositor(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """Return the scene's compositor tree; a new one passes the picture on as it is."""
    if not hasattr(scene, "compositing_node_group"):  # until Blender 5.0
        scene.use_nodes = True
        tree, target = scene.node_tree, "CompositorNodeComposite"
    else:
        tree, target = scene.compositing_node_group, "NodeGroupOutput"
        if tree is None:
            tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
            tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
            scene.compositing_node_group = tree
    if not any(node.bl_idname == target for node in tree.nodes):
        picture = tree.nodes.new("CompositorNodeRLayers")
        picture.scene = scene
        output = tree.nodes.new(target)
        output.location = (400.0, 0.0)
        tree.links.new(_output(picture, "Image"), output.inputs[0])
    return tree


def _render_layer(
    tree: bpy.types.NodeTree, scene: bpy.types.Scene, layer: str, place: int
) -> bpy.types.Node:
    """Return the node that reads one of our view layers."""
    node = tree.nodes.get(layer)
    if node is None:
        node = tree.nodes.new("CompositorNodeRLayers")
        node.name = node.label = layer
        node.location = (0.0, -500.0 - 450.0 * place)
    node.scene, node.layer = scene, layer
    return node


def _output(node: bpy.types.Node, name: str) -> bpy.types.NodeSocket:
    for socket in node.outputs:
        # Blender 5 writes the names of passes out.
        if socket.enabled and socket.name.startswith(name):
            return socket
    raise KeyError(f"{node.name} renders no {name}")


def _input(node: bpy.types.Node, name: str) -> bpy.types.NodeSocket:
    return next(socket for socket in node.inputs if socket.name == name)
