# SPDX-License-Identifier: GPL-3.0-or-later
"""The build script as a module, and one built extension for all tests."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CleanBlender = Callable[..., tuple[dict[str, Any], str]]


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
def engine_wheel(build_addon: ModuleType) -> str:
    """The engine's name inside the extension."""
    return f"engine/ds4d-{build_addon.read_manifest()['version']}-py3-none-any.whl"


@pytest.fixture(scope="session")
def clean_blender() -> CleanBlender:
    """Runs a script in a Blender that knows nothing of the user or the source tree.

    Given a folder, the script and its arguments; the path of a JSON file to write is the last
    argument. Returns what was written there, and what was printed.
    """

    def run(folder: Path, script: str, *arguments: str) -> tuple[dict[str, Any], str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment["BLENDER_USER_RESOURCES"] = str(folder / "blender")
        report = folder / "report.json"
        result = subprocess.run(
            [sys.executable, "-I", "-c", script, *arguments, str(report)],
            capture_output=True,
            text=True,
            env=environment,
            cwd=folder,
            timeout=300,
            check=False,
        )
        said = result.stdout + result.stderr
        assert result.returncode == 0, said
        return json.loads(report.read_text()), said

    return run
