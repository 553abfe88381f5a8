# SPDX-License-Identifier: GPL-3.0-or-later
"""The *DS4D Draw* modifier: from played splats to what renders.

Points pass through selection (`selection.py`), color (`color.py`) and normals (`light.py`), and
then become, by Mode, quads for the scene camera, soft points or solid points. With *Projected* on,
the group gives the projected points instead of the quads, for another object that collects those of
several assets, joins them, and draws them together with *DS4D Quads* (`quads.py`).
"""

from __future__ import annotations

import bpy

from ..material import point_material, splat_material
from ..nodes import Tree, set_input, shared_group
from . import color, data, light, native, order, selection
from .camera import call_camera
from .footprint import call_footprint
from .points import call_soft_points, call_solid_points
from .quads import call_quads

GROUP_NAME = "DS4D Draw"
GROUP_VERSION = 4
MODIFIER_NAME = "DS4D Draw"
MODES = ("Splats", "Soft Points", "Points")


def draw_group() -> bpy.types.GeometryNodeTree:
    """Return the file's group that draws, built when missing."""
    return shared_group(GROUP_NAME, GROUP_VERSION, _build)


def add_drawing(target: bpy.types.Object, *, encoded: bool = False) -> bpy.types.NodesModifier:
    """Add the modifier that draws the splats of `target`.

    `encoded` tells that colors are sRGB-encoded values, for assets that blend those.
    """
    modifier = target.modifiers.new(MODIFIER_NAME, "NODES")
    modifier.node_group = draw_group()
    set_input(modifier, "Material", splat_material())
    set_input(modifier, "Point Material", point_material())
    set_input(modifier, "sRGB Blend", encoded)
    return modifier


def _declare(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare(
        "Mode",
        "Menu",
        tip="Splats: exact for the scene camera. Soft Points: for free views, mirrors and rays "
        "that do not start at the camera. Points: small, solid and fast",
    )
    tree.declare("Material", "Material", hidden=True)
    tree.declare("Point Material", "Material", hidden=True)
    tree.declare(
        *("sRGB Blend", "Bool", False),
        hidden=True,
        tip="The clip was fitted for blending encoded colors",
    )
    tree.declare(
        *("Projected", "Bool", False),
        hidden=True,
        tip="Output the projected points, for an object that draws several assets together",
    )
    for part in (selection, color, light, order, data, native):
        part.declare(tree)


def _build(tree: Tree) -> None:
    _declare(tree)
    with tree.frame("Mode"):
        mode = tree.menu(tree.read("Mode"), MODES)
        blended = tree.math("LESS_THAN", mode, MODES.index("Points"))
    with tree.frame("Which splats"):
        points = selection.apply(tree, tree.read("Geometry"))
    with tree.frame("Color"):
        points = color.apply(tree, points, cut_off=blended)
    for label, part in (("Light", light), ("Data", data)):
        with tree.frame(label):
            points = part.apply(tree, points)
    sort = order.wanted(tree)
    with tree.frame("Quads for the scene camera"):
        projected = call_footprint(tree, points)
        quads = call_quads(tree, projected, sort=sort, material=tree.read("Material"))
        splats = tree.switch("GEOMETRY", tree.read("Projected"), quads, projected)
    with tree.frame("Points for every view"):
        material = tree.read("Point Material")
        soft = call_soft_points(tree, points, material=material)
        solid = call_solid_points(tree, points, material=material)
    with tree.frame("By mode; without a camera there is no image plane"):
        present = tree.output(call_camera(tree), "Present")
        splats = tree.switch("GEOMETRY", present, soft, splats)
        own = native.call_native(tree, points)
        splats = tree.switch("GEOMETRY", tree.read("Native"), splats, own)
        drawn = tree.choose(mode, (splats, soft, solid), "GEOMETRY")
    tree.node("NodeGroupOutput", {"Geometry": drawn})
