# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as a wheel of the same bytes from the same sources: `python build_engine_wheel.py`.

The engine is pure Python, so that a zip with the right names is all a wheel takes; setuptools would
put the time and the machine into it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
# The oldest time a zip can hold: file times would make every build differ.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def wheel_name(version: str) -> str:
    """Return the file name of the engine's wheel."""
    return f"ds4d-{version}-py3-none-any.whl"


def build_wheel(folder: Path, version: str) -> Path:
    """Write the wheel into `folder`, atomically, and return its path."""
    target = folder / wheel_name(version)
    partial = target.with_suffix(".whl.part")
    folder.mkdir(parents=True, exist_ok=True)
    contents = wheel_contents(version)
    info = f"ds4d-{version}.dist-info"
    contents[f"{info}/RECORD"] = _record(contents, f"{info}/RECORD")
    with zipfile.ZipFile(partial, "w") as archive:
        for name, content in contents.items():
            write_member(archive, name, content)
    os.replace(partial, target)
    return target


def write_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file that tells nothing of when, where and by whom it was added."""
    entry = zipfile.ZipInfo(name, TIMESTAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content, compresslevel=9)


def text_of(source: Path) -> bytes:
    """Return a source file; line endings depend on the checkout."""
    return source.read_bytes().replace(b"\r\n", b"\n")


def wheel_contents(version: str) -> dict[str, bytes]:
    """Return all of the wheel's files but its RECORD, by name, in order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sources = sorted((ROOT / "ds4d_engine").rglob("*.py"))
    contents = {source.relative_to(ROOT).as_posix(): text_of(source) for source in sources}
    info = f"ds4d-{version}.dist-info"
    contents[f"{info}/METADATA"] = _metadata(project, version)
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: build_engine_wheel\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n"
    )
    scripts = "".join(f"{name} = {target}\n" for name, target in project["scripts"].items())
    contents[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}".encode()
    contents[f"{info}/licenses/LICENSE"] = text_of(ROOT / "LICENSE")
    return contents


def _metadata(project: dict[str, Any], version: str) -> bytes:
    """Return the core metadata, version 2.4, that pip reads."""
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {version}",
        f"Summary: {project['description']}",
        f"License-Expression: {project['license']}",
        "License-File: LICENSE",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {requirement}" for requirement in project["dependencies"]),
    ]
    for extra in ("priors",):  # what a user may add; the others are for those who work on it
        lines.append(f"Provides-Extra: {extra}")
        for requirement in project["optional-dependencies"][extra]:
            lines.append(f'Requires-Dist: {requirement}; extra == "{extra}"')
    return "\n".join([*lines, ""]).encode()


def _record(contents: dict[str, bytes], own_name: str) -> bytes:
    rows = []
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join([*rows, f"{own_name},,\n"]).encode()


def main() -> int:
    from build_addon import read_manifest

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder for the wheel")
    print(build_wheel(parser.parse_args().output, str(read_manifest()["version"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
