# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels of an engine that only answers `doctor`, and of a torch that is empty: to install fast."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from ds4d_blender.install.managed import Order

TORCH = "2.13.0"
ABLE = {
    "engine": "0.1.0",
    "able": True,
    "checks": [{"name": "numpy", "ok": True, "detail": "2.0", "remedy": "", "needed": True}],
}
UNFIT = {
    "engine": "0.1.0",
    "able": False,
    "checks": [{"name": "numba", "ok": False, "detail": "does not load", "needed": True}],
}
MAIN = "import sys\nprint({report!r})\nsys.exit({code})\n"


def order(folder: Path, report: Any = ABLE, *, version: str = "0.1.0", **changes: Any) -> Order:
    """Return an order to install the small engine from a folder of wheels into `folder`/root."""
    wheels = folder / "wheels"
    wheels.mkdir(exist_ok=True)
    _wheel(wheels, "torch", TORCH, {"torch/__init__.py": ""}, [])
    main = MAIN.format(report=json.dumps(report), code=0 if report["able"] else 1)
    files = {"ds4d_engine/__init__.py": "", "ds4d_engine/__main__.py": main}
    engine = _wheel(folder, "ds4d", version, files, ["torch>=2.4"])
    constraints = folder / "constraints.txt"
    constraints.write_text(f"torch=={TORCH}\n")
    values = {
        "root": str(folder / "root"),
        "wheel": str(engine),
        "constraints": str(constraints),
        "wheels": str(wheels),
    }
    return Order(**(values | changes))


def tree(folder: Path) -> dict[str, bytes | str]:
    """Return all that a folder holds: the bytes of its files, the targets of its links."""
    found: dict[str, bytes | str] = {}
    for base, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(base, name)
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            elif path.is_file():
                found[str(path)] = path.read_bytes()
    return found


def _wheel(
    folder: Path, name: str, version: str, files: dict[str, str], requires: list[str]
) -> Path:
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*contents, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in {**contents, f"{info}/RECORD": record}.items():
            archive.writestr(inside, text)
    return path
