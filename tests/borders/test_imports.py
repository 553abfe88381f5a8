# SPDX-License-Identifier: GPL-3.0-or-later
"""The import borders at run time: what each part loads, in a fresh interpreter."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = ("torch", "numba", "gsplat", "torchmetrics", "cv2", "safetensors", "rich", "trimesh")
BLENDER = ("bpy", "bmesh", "mathutils", "ds4d_blender")
BLOCKER = """
import importlib, sys

class Blocker:
    blocked = frozenset({blocked!r})

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.blocked:
            raise ModuleNotFoundError(f"{{name}} may not be loaded here", name=name)

sys.meta_path.insert(0, Blocker())
"""

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="the engine's environment only"
)
needs_blender = pytest.mark.skipif(
    importlib.util.find_spec("bpy") is None, reason="Blender's environments only"
)


def run_isolated(repository: Path, code: str, *, blocked: tuple[str, ...] = ()) -> str:
    """Run code in a new interpreter where importing `blocked` fails; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    result = subprocess.run(
        [sys.executable, "-c", BLOCKER.format(blocked=blocked) + code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=repository,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def modules_of(repository: Path, package: str) -> list[str]:
    """Name every module of a package in the checkout."""
    names = []
    for file in sorted((repository / package.replace(".", "/")).rglob("*.py")):
        parts = file.relative_to(repository).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    assert names, f"{package} has no modules"
    return names


def import_all(names: list[str]) -> str:
    return f"for name in {names!r}: importlib.import_module(name)\n"


def imported_names(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (level, module) of every import statement in a file, those in functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


def test_seam_loads_without_any_library_of_the_engine(repository: Path) -> None:
    names = modules_of(repository, "ds4d_engine.seam")
    run_isolated(repository, import_all(names), blocked=HEAVY + BLENDER)


def test_importing_the_seam_loads_only_the_seam_of_the_engine(repository: Path) -> None:
    code = "import ds4d_engine.seam\nprint(*(n for n in sys.modules if n.startswith('ds4d_')))"
    loaded = run_isolated(repository, code).split()
    assert "ds4d_engine.seam" in loaded
    assert [n for n in loaded if n != "ds4d_engine" and not n.startswith("ds4d_engine.seam")] == []


def test_seam_imports_only_itself_numpy_and_the_standard_library(repository: Path) -> None:
    allowed = sys.stdlib_module_names | {"numpy"}
    seam = repository / "ds4d_engine" / "seam"
    for file in seam.rglob("*.py"):
        depth = len(file.relative_to(seam).parts)
        for level, module in imported_names(file):
            if level:
                assert level <= depth, f"{file.name} imports from above the seam"
            else:
                assert module.partition(".")[0] in allowed, f"{file.name} imports {module}"


def test_addon_sources_name_nothing_of_the_engine_but_its_seam(repository: Path) -> None:
    forbidden = {*HEAVY, "torchvision"}
    for file in (repository / "ds4d_blender").rglob("*.py"):
        for level, module in imported_names(file):
            if level:
                continue
            root = module.partition(".")[0]
            assert root not in forbidden, f"{file.name} imports {module}"
            if root == "ds4d_engine":
                assert file.name == "seam.py", f"{file.name} imports the engine past seam.py"
                assert module.startswith("ds4d_engine.seam"), f"{file.name} imports {module}"


@needs_blender
def test_addon_loads_whole_without_any_library_of_the_engine(repository: Path) -> None:
    names = modules_of(repository, "ds4d_blender")
    run_isolated(repository, import_all(names), blocked=HEAVY)


@needs_torch
def test_engine_loads_whole_without_blender(repository: Path) -> None:
    names = [n for n in modules_of(repository, "ds4d_engine") if not n.endswith("__main__")]
    run_isolated(repository, import_all(names), blocked=BLENDER)
