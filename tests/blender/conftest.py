# SPDX-License-Identifier: GPL-3.0-or-later
"""A clean Blender for every test, away from the user's own settings."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator

import pytest

# Blender reads this once, when bpy is imported; every process that tests has its own.
if "bpy" not in sys.modules:
    _RESOURCES = tempfile.TemporaryDirectory()
    os.environ["BLENDER_USER_RESOURCES"] = _RESOURCES.name

import bpy

import ds4d_blender


@pytest.fixture(autouse=True)
def scene() -> Iterator[bpy.types.Scene]:
    """An empty scene of factory settings; renders use one thread."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.threads_mode = "FIXED"
    scene.render.threads = 1
    yield scene


@pytest.fixture
def registered(scene: bpy.types.Scene) -> Iterator[None]:
    """The add-on as Blender enables it, with jobs in a folder of its own."""
    ds4d_blender.register()
    yield
    ds4d_blender.unregister()
