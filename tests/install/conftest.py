# SPDX-License-Identifier: GPL-3.0-or-later
"""One built extension for all tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def extension_zip(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension as users get it."""
    folder = tmp_path_factory.mktemp("extension")
    command = [sys.executable, str(repository / "build_addon.py"), "--output", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.zip"))
