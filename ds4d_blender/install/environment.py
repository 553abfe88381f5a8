# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty Python environment with pip in it."""

from __future__ import annotations

import ensurepip
import zipfile
from collections.abc import Callable
from pathlib import Path

from ..engine.location import Engine
from ..seam import errors
from . import child
from .places import packages_of, python_of


def make_environment(python: str, folder: Path, log: Path, cancelled: Callable[[], bool]) -> None:
    """Make a virtual environment of a Python in `folder`, which may exist.

    Raises:
        EngineError: that Python cannot make one.
        child.Cancelled: `cancelled` said so.
    """

    def run(*command: str) -> None:
        code, said = child.run(command, variables, log, cancelled=cancelled)
        if code:
            last = (said.strip().splitlines() or ["the log says more"])[-1][:200]
            raise errors.EngineError(f"Blender's Python cannot make an environment ({last}).")

    # Its temporary files would go elsewhere otherwise.
    variables = Engine("").variables() | {name: str(folder) for name in ("TMPDIR", "TEMP", "TMP")}
    run(python, "-I", "-m", "venv", "--without-pip", str(folder))
    bundled = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if bundled:
        # To unpack it is to install it, and much faster than having it install itself.
        with zipfile.ZipFile(bundled[-1]) as wheel:
            wheel.extractall(packages_of(folder))
    else:
        run(str(python_of(folder)), "-I", "-m", "ensurepip")
