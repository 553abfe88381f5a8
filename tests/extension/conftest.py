# SPDX-License-Identifier: GPL-3.0-or-later
"""The build script as a module, and one built extension for all tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def build_addon(repository: Path) -> ModuleType:
    """build_addon.py, which is a script beside the packages and not one of them."""
    spec = importlib.util.spec_from_file_location("build_addon", repository / "build_addon.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def extension_zip(build_addon: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension as users get it."""
    archive = build_addon.build(tmp_path_factory.mktemp("extension"))
    assert isinstance(archive, Path)
    return archive


@pytest.fixture(scope="session")
def engine_wheel() -> str:
    """The engine's name inside the extension."""
    return "engine/ds4d-0.1.0-py3-none-any.whl"
