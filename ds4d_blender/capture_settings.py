# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that a capture changes while it runs, and puts back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from .seam import errors

Settings = list[tuple[Any, dict[str, Any]]]
"""Owners, each with the attributes to set on it, in order."""


@contextmanager
def changed(settings: Settings) -> Iterator[None]:
    """Set attributes, and set them back; both in the order given, because formats limit depths."""
    # Read everything first: setting a format changes the depth.
    previous = [
        (owner, name, getattr(owner, name)) for owner, values in settings for name in values
    ]
    try:
        for owner, values in settings:
            for name, value in values.items():
                setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in previous:
            setattr(owner, name, value)


def render_settings(
    scene: bpy.types.Scene,
    view_layer: bpy.types.ViewLayer,
    width: int,
    height: int,
    samples: int,
    threads: int | None,
) -> Settings:
    """Return the settings that make renders straight-alpha sRGB pictures of a pinhole camera.

    Raises ConfigError where Cycles is not enabled.
    """
    if not hasattr(scene, "cycles"):
        raise errors.ConfigError("Capturing renders with Cycles: enable the Cycles add-on.")
    if samples < 1:
        raise errors.ConfigError("A capture needs at least 1 sample a pixel.")
    render: dict[str, Any] = {
        "engine": "CYCLES",
        "resolution_x": width,
        "resolution_y": height,
        "resolution_percentage": 100,
        "pixel_aspect_x": 1.0,
        "pixel_aspect_y": 1.0,
        "film_transparent": True,
        "use_persistent_data": True,
        "dither_intensity": 0.0,
        "filepath": scene.render.filepath,
    }
    # Each would change pictures after or between the pinhole images that a fit can explain.
    for switch in (
        "use_border", "use_compositing", "use_sequencer", "use_multiview",
        "use_motion_blur", "use_stamp", "use_placeholder",
    ):  # fmt: skip
        render[switch] = False
    render |= {"use_single_layer": True, "use_overwrite": True, "use_file_extension": True}
    if threads is not None:
        render |= {"threads_mode": "FIXED", "threads": threads}
    cycles = {
        "samples": samples,
        "use_adaptive_sampling": False,
        "use_denoising": False,
        "use_animated_seed": False,
        "time_limit": 0.0,
        "seed": scene.cycles.seed,
    }
    return [
        (scene.render, render),
        (scene.cycles, cycles),
        (view_layer, {"samples": 0}),
        *_picture_settings(scene),
    ]


def _picture_settings(scene: bpy.types.Scene) -> Settings:
    image = scene.render.image_settings
    # Blender 5 asks for the kind of medium before the format.
    file = {"media_type": "IMAGE"} if hasattr(image, "media_type") else {}
    file |= {"file_format": "PNG", "color_mode": "RGBA", "color_depth": "8", "compression": 90}
    file |= {"color_management": "FOLLOW_SCENE"}
    view = {"view_transform": "Standard", "look": "None", "exposure": 0.0, "gamma": 1.0}
    view |= {"use_curve_mapping": False}
    if hasattr(scene.view_settings, "use_white_balance"):
        view["use_white_balance"] = False
    return [
        (image, file),
        (scene.display_settings, {"display_device": "sRGB"}),
        (scene.view_settings, view),
    ]
