# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes that are right for splats: depth, moving, observed, index, blended as colors are.

Blender's own passes show the first surface that a ray meets, or sum over all of them. Two view
layers render data in the place of colors instead, and a group in the compositor turns the sums that
they hold into passes.
"""

from __future__ import annotations

import bpy

from .compositing import passes_group, place_passes
from .data_material import depth_material, index_material
from .drawing import MODIFIER_NAME as DRAW
from .drawing.data import DATA, INDEX, LAYER_KEY
from .nodes import input_path

LAYERS = {"DS4D Data": DATA, "DS4D Index": INDEX}
"""View layers, and what drawing puts in the place of color in them."""


def setup_passes(scene: bpy.types.Scene) -> bpy.types.Node:
    """Add the view layers and the compositor's group for the scene's engine; return its node.

    Objects that draw splats and have no pass index get the next free one. To be called again when
    the engine changes or assets come in; what is linked to the node stays linked.
    """
    _number(scene)
    cycles = scene.render.engine == "CYCLES"
    for name, data in LAYERS.items():
        layer = scene.view_layers.get(name) or scene.view_layers.new(name)
        layer[LAYER_KEY] = data
        # The world would shine into the data; lamps do not matter.
        layer.use_sky = False
        layer.use_pass_combined = True
        layer.use_pass_z = not cycles
        layer.eevee.use_pass_transparent = not cycles
        material = depth_material if data == DATA else index_material
        # EEVEE sorts overridden objects whole; there splats have a pass of their own.
        layer.material_override = material() if cycles else None
        if hasattr(layer, "cycles"):
            layer.cycles.use_denoising = False
    return place_passes(scene, passes_group(cycles=cycles), list(LAYERS), cycles=cycles)


def _number(scene: bpy.types.Scene) -> None:
    """Give assets without a pass index one, and let what draws them know all of these."""
    assets = [target for target in scene.objects if DRAW in target.modifiers]
    used = {target.pass_index for target in scene.objects}
    for target in assets:
        if target.pass_index == 0:
            target.pass_index = max(used) + 1
            used.add(target.pass_index)
        path = input_path(target.modifiers[DRAW], "Object Index")
        target.driver_remove(path)
        driver = target.driver_add(path).driver
        driver.type = "AVERAGE"
        source = driver.variables.new().targets[0]
        source.id, source.data_path = target, "pass_index"
