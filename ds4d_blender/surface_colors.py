# SPDX-License-Identifier: GPL-3.0-or-later
"""The colour an artist gave a surface, at every corner of its triangles.

By material: a picture or colour attribute that feeds the base colour, else the mesh's own colour
attribute, else the plain base colour. Anything between them (mixes, ramps, mappings) is not
followed.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
GREY = 0.8  # linear: what Blender shows without a material
_SHADERS = {"BSDF_PRINCIPLED": "Base Color", "BSDF_DIFFUSE": "Color", "EMISSION": "Color"}


def corner_colors(
    mesh: bpy.types.Mesh, materials: Sequence[bpy.types.Material | None]
) -> NDArray[np.uint8] | None:
    """Return sRGB-encoded colours [F,3,3] of a mesh's triangles; None without any to be had."""
    painted = _painted(mesh, mesh.color_attributes.active_color_name)
    if painted is None and not any(materials):
        return None
    of_triangle = np.empty(len(mesh.loop_triangles), np.int32)
    mesh.loop_triangles.foreach_get("material_index", of_triangle)
    colors = np.empty((len(of_triangle), 3, 3), np.float32)
    for index in np.unique(of_triangle):
        chosen = of_triangle == index
        material = materials[index] if index < len(materials) else None
        base = _base_color(material)
        linked = _linked(mesh, base) if base is not None and base.is_linked else None
        if linked is not None:
            colors[chosen] = linked[chosen]
        elif painted is not None:
            colors[chosen] = painted[chosen]
        else:
            colors[chosen] = _encoded(_plain(material, base))
    return np.rint(np.clip(colors, 0, 1) * 255).astype(np.uint8)


def _base_color(material: bpy.types.Material | None) -> bpy.types.NodeSocket | None:
    """Return the colour input of the shader that a material's output shows."""
    if material is None or material.node_tree is None:
        return None
    output = material.node_tree.get_output_node("ALL")
    if output is None or not output.inputs["Surface"].is_linked:
        return None
    shader = output.inputs["Surface"].links[0].from_node
    name = _SHADERS.get(shader.type)
    return shader.inputs[name] if name else None


def _plain(material: bpy.types.Material | None, base: bpy.types.NodeSocket | None) -> Floats:
    """Return the linear colour [3] of a material without a picture."""
    if material is None:
        return np.full(3, GREY, np.float32)
    color = base.default_value if base is not None and not base.is_linked else None
    return np.array((color or material.diffuse_color)[:3], np.float32)


def _linked(mesh: bpy.types.Mesh, base: bpy.types.NodeSocket) -> Floats | None:
    """Return encoded colours [F,3,3] of the node that feeds `base`; None if it is not simple."""
    node = base.links[0].from_node
    if node.type == "TEX_IMAGE":
        return _pictured(mesh, node)
    if node.type == "VERTEX_COLOR":
        return _painted(mesh, node.layer_name or mesh.color_attributes.active_color_name)
    if node.type == "ATTRIBUTE" and node.attribute_type == "GEOMETRY":
        return _painted(mesh, node.attribute_name)
    return None


def _painted(mesh: bpy.types.Mesh, name: str) -> Floats | None:
    """Return encoded colours [F,3,3] of a colour attribute."""
    attribute = mesh.color_attributes.get(name) if name else None
    if attribute is None or not len(attribute.data):
        return None
    values = np.empty(len(attribute.data) * 4, np.float32)
    attribute.data.foreach_get("color_srgb", values)
    at = _corners(mesh, "vertices" if attribute.domain == "POINT" else "loops")
    return values.reshape(-1, 4)[at, :3]


def _pictured(mesh: bpy.types.Mesh, node: bpy.types.Node) -> Floats | None:
    """Return encoded colours [F,3,3] of an image at the nearest pixels."""
    layer = mesh.uv_layers.active
    vector = node.inputs["Vector"]
    if vector.is_linked:
        source = vector.links[0].from_node
        layer = mesh.uv_layers.get(source.uv_map) if source.type == "UVMAP" else None
    image = node.image
    if layer is None or image is None or not (image.has_data or len(image.pixels)):
        return None
    width, height = image.size
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(height, width, -1)
    if pixels.shape[2] < 3:  # a grey picture
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    uv = np.empty(len(layer.uv) * 2, np.float32)
    layer.uv.foreach_get("vector", uv)
    place = uv.reshape(-1, 2)[_corners(mesh, "loops")] * (width, height)
    x, y = np.floor(place).astype(np.int64).transpose(2, 0, 1) % [[[width]], [[height]]]
    colors = pixels[y, x, :3]
    # Pictures of bytes are kept as they are stored, encoded; those of floats are linear.
    return _encoded(colors) if image.is_float else colors


def _corners(mesh: bpy.types.Mesh, what: str) -> NDArray[np.int32]:
    """Return [F,3] indices of the vertices or loops of every triangle."""
    corners = np.empty(len(mesh.loop_triangles) * 3, np.int32)
    mesh.loop_triangles.foreach_get(what, corners)
    return corners.reshape(-1, 3)


def _encoded(linear: Floats) -> Floats:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
