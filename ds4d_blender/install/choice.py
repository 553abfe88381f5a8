# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine the preferences choose, and where the managed one lies."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy

from ..engine.location import Engine
from . import torch_build
from .places import Places

ROOT_PACKAGE = __package__.rpartition(".")[0]
DEFAULTS = SimpleNamespace(
    kind="MANAGED",
    build=torch_build.AUTOMATIC,
    wheels="",
    python="",
    remote_prefix="",
    remote_python="python3",
    remote_folder="",
)


def settings() -> Any:
    """Return the add-on's preferences, or what they are at first where there are none."""
    addon = bpy.context.preferences.addons.get(ROOT_PACKAGE)
    preferences = addon.preferences if addon is not None else None
    return preferences if preferences is not None else DEFAULTS


def folder() -> Places:
    """Return where the managed engine lies, in the user's own folder for this extension."""
    try:
        root = bpy.utils.extension_path_user(ROOT_PACKAGE)
    except ValueError:  # run from a checkout, it is no extension
        root = bpy.utils.user_resource("EXTENSIONS", path=f".user/{ROOT_PACKAGE}")
    return Places(Path(root))


def engine() -> Engine:
    """Return the engine that the preferences choose, whether it works or not.

    Raises:
        ValueError: a quote in the way to the other machine does not close.
    """
    chosen = settings()
    if chosen.kind == "EXISTING":
        return Engine(bpy.path.abspath(chosen.python))
    if chosen.kind == "REMOTE":
        prefix = tuple(shlex.split(chosen.remote_prefix))
        return Engine(chosen.remote_python, prefix=prefix, folder=chosen.remote_folder)
    return folder().managed()
