# SPDX-License-Identifier: GPL-3.0-or-later
"""Set a scene up so that splats render as the engine draws them, and take that back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import bpy

Engine = Literal["CYCLES", "EEVEE"]

BEFORE_KEY = "ds4d_render_before"
"""On the scene: a JSON object of the settings as they were, by path."""

WORLD_NAME = "DS4D Background"
# A setting that is a data block has no value to write down; its name stands for it.
_WORLD = "world"
_SUN_SHADOW = "world.use_sun_shadow"


@dataclass(frozen=True)
class Change:
    """A setting of the scene that gets another value; `path` is below the scene."""

    path: str
    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.name}: {_words(self.old)} \N{RIGHTWARDS ARROW} {_words(self.new)}"


def setup_render(
    scene: bpy.types.Scene,
    engine: Engine = "CYCLES",
    *,
    samples: int = 1,
    background: Sequence[float] | None = None,
    view_transform: str | None = "Standard",
    antialias: bool = False,
    film_transparent: bool | None = None,
    motion_blur: bool | None = None,
) -> list[Change]:
    """Choose the render settings under which splats look as they were fitted; return what changed.

    `background` is an sRGB-encoded color that fills the frame; None keeps the scene's world behind
    a transparent film, or in the picture when `film_transparent` is False. `view_transform` is
    "Standard", or "Raw" for assets fitted for sRGB blending; None keeps the artist's view and
    dithering. One sample is exact for splats alone. `antialias` spreads the samples over the
    pixel, for the edges of other objects in the scene; splats, which bring their own low-pass
    filter, become a little softer. `motion_blur` None leaves it as it is.
    `restore_render` takes everything back. Raises ValueError for an unknown engine.
    """
    settings = render_settings(
        engine, samples=samples, view_transform=view_transform, antialias=antialias
    )
    if film_transparent is None:
        film_transparent = background is None
    settings["render.film_transparent"] = film_transparent
    if motion_blur is not None:
        settings["render.use_motion_blur"] = motion_blur
    if background is not None:
        world = _background(background, encoded=view_transform != "Raw")
        settings[_WORLD] = world.name
    elif engine == "EEVEE" and _shines_evenly(scene.world):
        settings[_SUN_SHADOW] = False
    changes = changes_to(scene, settings)
    _remember(scene, changes)
    for change in changes:
        _write(scene, change.path, change.new)
    return changes


def render_settings(
    engine: Engine, *, samples: int, view_transform: str | None, antialias: bool
) -> dict[str, Any]:
    """Return what splats need in an engine: values by path below the scene."""
    settings: dict[str, Any] = {"render.engine": _engine_id(engine)}
    settings |= (_cycles if engine == "CYCLES" else _eevee)(samples, antialias)
    if view_transform is not None:
        settings |= {
            "render.dither_intensity": 0.0,
            "view_settings.view_transform": view_transform,
            "view_settings.look": "None",
            "view_settings.exposure": 0.0,
            "view_settings.gamma": 1.0,
        }
    return settings


def changes_to(scene: bpy.types.Scene, settings: dict[str, Any]) -> list[Change]:
    """Return those of the settings that the scene has otherwise, in their order."""
    changes = []
    for path, new in settings.items():
        if path == _SUN_SHADOW and scene.world is None:
            continue
        old = _read(scene, path)
        if old != new and not (isinstance(new, float) and abs(old - new) < 1e-6):
            changes.append(Change(path, _name(scene, path), old, new))
    return changes


def restore_render(scene: bpy.types.Scene) -> list[Change]:
    """Give the scene back the settings it had before the first `setup_render`; return them."""
    before = json.loads(scene.pop(BEFORE_KEY, "{}"))
    changes = changes_to(scene, before)
    # Looks come last: the view transform decides which there are.
    for change in sorted(changes, key=lambda change: change.path.endswith(".look")):
        _write(scene, change.path, change.new)
    return changes


def _remember(scene: bpy.types.Scene, changes: list[Change]) -> None:
    """Keep old values with the scene; those of an earlier set-up are older and stay."""
    before = json.loads(scene.get(BEFORE_KEY, "{}"))
    scene[BEFORE_KEY] = json.dumps({change.path: change.old for change in changes} | before)


def _cycles(samples: int, antialias: bool) -> dict[str, Any]:
    return {
        "cycles.samples": samples,
        "cycles.use_adaptive_sampling": False,
        "cycles.use_denoising": False,
        # A ray passes one quad per bounce, in dense clips hundreds of them; ending it early, by
        # count or by chance, costs most. This is as many as Cycles allows.
        "cycles.transparent_max_bounces": 1024,
        "cycles.min_transparent_bounces": 1024,
        # The narrowest filter takes every sample at the centre of the pixel, as the engine does.
        # Cycles' box filter is one pixel wide, whatever the width says.
        "cycles.pixel_filter_type": "BOX" if antialias else "GAUSSIAN",
        "cycles.filter_width": 0.01,
    }


def _eevee(samples: int, antialias: bool) -> dict[str, Any]:
    return {
        "eevee.taa_render_samples": samples,
        # Hardly wider than nothing: samples that differ let chance decide anew about soft points.
        "render.filter_size": 1.0 if antialias else 0.02,
    }


def _engine_id(engine: str) -> str:
    engines = bpy.types.RenderSettings.bl_rna.properties["engine"].enum_items.keys()
    wanted = {"CYCLES": ("CYCLES",), "EEVEE": ("BLENDER_EEVEE", "BLENDER_EEVEE_NEXT")}
    if engine not in wanted:
        raise ValueError(f"The engine {engine!r} is unknown; use CYCLES or EEVEE.")
    # Cycles is an add-on: it is no item of the property.
    return next((name for name in wanted[engine] if name in engines), engine)


def _read(scene: bpy.types.Scene, path: str) -> Any:
    value = scene.path_resolve(path)
    if path == _WORLD:
        return None if value is None else value.name
    return value


def _write(scene: bpy.types.Scene, path: str, value: Any) -> None:
    if path == _WORLD:
        # A world that was removed meanwhile cannot come back.
        scene.world = None if value is None else bpy.data.worlds.get(value)
        return
    owner, _, name = path.rpartition(".")
    if (target := scene.path_resolve(owner)) is not None:
        setattr(target, name, value)


def _name(scene: bpy.types.Scene, path: str) -> str:
    """Return the name of a setting that the artist sees."""
    if path == _SUN_SHADOW:
        return "Sun Shadow of the World"  # Blender's own is "Use Shadow", as if there were no other
    owner, _, name = path.rpartition(".")
    target = scene.path_resolve(owner) if owner else scene
    return target.bl_rna.properties[name].name or name


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _background(color: Sequence[float], *, encoded: bool) -> bpy.types.World:
    """Return a world that shines evenly in an sRGB-encoded color."""
    world = bpy.data.worlds.get(WORLD_NAME) or bpy.data.worlds.new(WORLD_NAME)
    if world.node_tree is None:  # until Blender 5.0
        world.use_nodes = True
    nodes = world.node_tree.nodes
    nodes.clear()
    shader = nodes.new("ShaderNodeBackground")
    values = [decode_srgb(value) for value in color] if encoded else list(color)
    shader.inputs["Color"].default_value = (*values, 1.0)
    output = nodes.new("ShaderNodeOutputWorld")
    world.node_tree.links.new(shader.outputs[0], output.inputs["Surface"])
    world.use_sun_shadow = False
    return world


def _shines_evenly(world: bpy.types.World | None) -> bool:
    """Tell whether a world has no sun, for whose shadows EEVEE would draw maps all the same.

    They cost more than the picture does, and nothing of them is seen.
    """
    if world is None:
        return False
    nodes = world.node_tree.nodes if world.node_tree is not None else ()
    return {node.bl_idname for node in nodes} <= {"ShaderNodeBackground", "ShaderNodeOutputWorld"}


def decode_srgb(value: float) -> float:
    """Return the linear value of one sRGB-encoded channel."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
