# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that only pretend, each with one way of behaving; run as `python -m ds4d_engine`."""

from __future__ import annotations

import sys
from pathlib import Path

from ds4d_blender.engine.location import Engine

FOLDER = Path(__file__).parent
MAIN = """
import runpy, sys
sys.path.insert(0, {folder!r})
runpy.run_path({script!r}, run_name="__main__")
"""


def fake_engine(name: str, folder: Path, **environment: str) -> Engine:
    """Return an engine that behaves as the script `name` does; its package is made in a folder."""
    script = FOLDER / f"{name}.py"
    assert script.is_file(), f"there is no fake engine {name}"
    package = folder / f"fake-{name}" / "ds4d_engine"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    main = MAIN.format(folder=str(FOLDER), script=str(script))
    (package / "__main__.py").write_text(main)
    return Engine(sys.executable, environment={"PYTHONPATH": str(package.parent), **environment})
