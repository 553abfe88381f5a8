# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on carries of the engine: all of it as a wheel, and the versions it works with."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from ..seam import errors

ADDON = Path(__file__).resolve().parent.parent


@cache
def version() -> str:
    """Return the version of the add-on, which is that of the engine it carries."""
    # A checkout has the manifest beside the package; an installed extension has it inside.
    for folder in (ADDON, ADDON.parent):
        manifest = folder / "blender_manifest.toml"
        if manifest.is_file():
            return str(tomllib.loads(manifest.read_text(encoding="utf-8"))["version"])
    raise errors.EngineError("The add-on is damaged, its manifest is missing: install it again.")


def wheel() -> Path:
    """Return the engine's wheel; raise EngineError where this copy of the add-on has none."""
    return _part_of_engine(f"ds4d-{version()}-py3-none-any.whl")


def constraints() -> Path:
    """Return the file of the versions that the engine was tested with."""
    return _part_of_engine("constraints.txt")


def torch_version(constraints_file: Path) -> str:
    """Return the version of torch that the constraints name."""
    text = constraints_file.read_text(encoding="utf-8")
    found = re.search(r"^torch==(\S+)$", text, re.MULTILINE)
    if found is None:
        raise errors.EngineError(f"{constraints_file} names no version of torch: add `torch==...`.")
    return found[1]


def _part_of_engine(name: str) -> Path:
    path = ADDON / "engine" / name
    if not path.is_file():
        raise errors.EngineError(
            "This copy of the add-on carries no engine: install the extension's zip, or choose an "
            "existing engine."
        )
    return path
