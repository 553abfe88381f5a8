# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: `ds4d_blender` is the extension that was installed from DS4D_EXTENSION_ZIP.

It comes before any conftest, so that tests of the add-on written for the checkout test what users
have. They see it under both of its names.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType

import bpy

INSTALLED = "bl_ext.user_default.ds4d_blender"


class Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `ds4d_blender` and what is in it in the installed extension."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != "ds4d_blender":
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(INSTALLED + spec.name.removeprefix("ds4d_blender"))
        self.kept = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # Importing it has run it; it keeps its own name, not the one it was asked for by.
        module.__spec__ = self.kept


bpy.ops.extensions.package_install_files(
    filepath=os.environ["DS4D_EXTENSION_ZIP"], repo="user_default", enable_on_install=False
)
sys.meta_path.insert(0, Alias())
