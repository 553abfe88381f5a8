# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test may use; imports neither bpy nor torch, which never share a process."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def samples(repository: Path) -> Path:
    """The folder of sample clips beside the checkout; skips the test where it is absent."""
    folder = repository.parent / "shared" / "samples"
    if not folder.is_dir():
        pytest.skip("needs the sample clips in ../shared/samples")
    return folder
