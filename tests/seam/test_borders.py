# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "ds4d_engine"

BLOCKED_IMPORT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in {allowed}:
            raise ImportError(name + " is blocked")

allowed = set(sys.stdlib_module_names) | {{"numpy", {package!r}}}
Blocker.find_spec.__globals__["allowed"] = allowed
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, {folder!r})
import {package}.seam
import {package}.seam.storage
assert "torch" not in sys.modules
print(len({package}.seam.__all__))
"""


def run_blocked(folder: Path, package: str) -> int:
    code = BLOCKED_IMPORT.format(package=package, folder=str(folder), allowed="allowed")
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_the_seam_loads_with_nothing_but_numpy_and_the_standard_library() -> None:
    assert run_blocked(PACKAGE.parent, "ds4d_engine") > 0


def test_the_seam_works_copied_into_another_package(tmp_path: Path) -> None:
    (tmp_path / "vendored").mkdir()
    (tmp_path / "vendored" / "__init__.py").touch()
    shutil.copytree(PACKAGE / "seam", tmp_path / "vendored" / "seam")
    assert run_blocked(tmp_path, "vendored") > 0
