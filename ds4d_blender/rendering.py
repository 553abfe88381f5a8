# SPDX-License-Identifier: GPL-3.0-or-later
"""Set a scene up so that splats render as the engine draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import bpy

Engine = Literal["CYCLES", "EEVEE"]


def setup_render(
    scene: bpy.types.Scene,
    engine: Engine = "CYCLES",
    *,
    samples: int = 1,
    background: Sequence[float] | None = None,
    view_transform: str = "Standard",
    antialias: bool = False,
) -> None:
    """Choose the render settings under which splats look as they were fitted.

    `background` is an sRGB-encoded colour that fills the frame; None keeps the film transparent.
    `view_transform` is "Standard", or "Raw" for assets fitted for sRGB blending. One sample is
    exact for splats alone. `antialias` spreads the samples over the pixel, for the edges of other
    objects in the scene; splats, which bring their own low-pass filter, become a little softer.
    Raises ValueError for an unknown engine.
    """
    if engine == "CYCLES":
        _setup_cycles(scene, samples, antialias)
    elif engine == "EEVEE":
        _setup_eevee(scene, samples, antialias)
    else:
        raise ValueError(f"The engine {engine!r} is unknown; use CYCLES or EEVEE.")
    scene.render.dither_intensity = 0.0
    scene.render.film_transparent = background is None
    scene.view_settings.view_transform = view_transform
    scene.view_settings.look = "None"
    scene.view_settings.exposure = 0.0
    scene.view_settings.gamma = 1.0
    if background is not None:
        _set_background(scene, background, encoded=view_transform != "Raw")


def _setup_cycles(scene: bpy.types.Scene, samples: int, antialias: bool) -> None:
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.samples = samples
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = False
    # A ray passes one quad per bounce; ending it early, by count or by chance, costs most of all.
    cycles.transparent_max_bounces = 256
    cycles.min_transparent_bounces = 1024
    # The narrowest filter takes every sample at the centre of the pixel, as the engine does.
    # Cycles' box filter is one pixel wide, whatever the width says.
    cycles.pixel_filter_type = "BOX" if antialias else "GAUSSIAN"
    cycles.filter_width = 0.01


def _setup_eevee(scene: bpy.types.Scene, samples: int, antialias: bool) -> None:
    engines = scene.render.bl_rna.properties["engine"].enum_items.keys()
    scene.render.engine = next(
        name for name in ("BLENDER_EEVEE", "BLENDER_EEVEE_NEXT") if name in engines
    )
    scene.eevee.taa_render_samples = samples
    scene.render.filter_size = 1.0 if antialias else 0.0


def _set_background(scene: bpy.types.Scene, colour: Sequence[float], *, encoded: bool) -> None:
    world = scene.world or bpy.data.worlds.new("World")
    scene.world = world
    if world.node_tree is None:  # until Blender 5.0
        world.use_nodes = True
    nodes = world.node_tree.nodes
    nodes.clear()
    shader = nodes.new("ShaderNodeBackground")
    values = [decode_srgb(value) for value in colour] if encoded else list(colour)
    shader.inputs["Color"].default_value = (*values, 1.0)
    output = nodes.new("ShaderNodeOutputWorld")
    world.node_tree.links.new(shader.outputs[0], output.inputs["Surface"])


def decode_srgb(value: float) -> float:
    """Return the linear value of one sRGB-encoded channel."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
