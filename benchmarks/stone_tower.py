# SPDX-License-Identifier: GPL-3.0-or-later
"""A rough stone tower: something large, textured and still to put beside what moves."""

from __future__ import annotations

import bpy
import mathutils
import numpy as np

AROUND, ROWS = 96, 64
ROUGHNESS = 0.12
"""How far the wall stands out or in, as a fraction of the radius."""


def add_stone_tower(
    scene: bpy.types.Scene, foot: tuple[float, float, float], radius: float, height: float
) -> bpy.types.Object:
    """Stand a tower on `foot`, a little narrower at the top; sizes in the scene's unit."""
    angles = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
    heights = np.linspace(0, 1, ROWS)
    wall = []
    for level in heights:
        for angle in angles:
            across = np.array([np.cos(angle), np.sin(angle)])
            bump = mathutils.noise.fractal((*(2 * across), 4 * level), 1.0, 2.0, 4)
            reach = radius * (1 - 0.25 * level) * (1 + ROUGHNESS * bump)
            wall.append((*(reach * across), height * level))
    rows = np.arange(ROWS * AROUND).reshape(ROWS, AROUND)
    right = np.roll(rows, -1, axis=1)
    quads = np.stack([rows[:-1], right[:-1], right[1:], rows[1:]], axis=-1).reshape(-1, 4)
    mesh = bpy.data.meshes.new("tower")
    mesh.from_pydata(wall, [], [*quads.tolist(), rows[-1].tolist()])
    mesh.materials.append(_stone(radius))
    tower = bpy.data.objects.new("tower", mesh)
    tower.location = foot
    scene.collection.objects.link(tower)
    return tower


def _stone(radius: float) -> bpy.types.Material:
    """Make cells of stone in greys and ochres, six to the radius."""
    material = bpy.data.materials.new("stone")
    if material.node_tree is None:
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    place = nodes.new("ShaderNodeTexCoord")
    cells = nodes.new("ShaderNodeTexVoronoi")
    cells.inputs["Scale"].default_value = 6.0 / radius
    ramp = nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].color = (0.12, 0.10, 0.09, 1.0)
    ramp.color_ramp.elements[1].color = (0.55, 0.42, 0.27, 1.0)
    shader = nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = 0.9
    links.new(place.outputs["Object"], cells.inputs["Vector"])
    links.new(cells.outputs["Color"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
    return material
