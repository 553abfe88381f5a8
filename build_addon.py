# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the Blender extension: `python build_addon.py [--output FOLDER]`.

The zip holds the add-on at its root and, below it, the engine twice: its numpy-only seam, which the
add-on imports, and all of it as a wheel with the versions it was tested with, which the add-on
installs into a Python environment of its own. The same sources give the same bytes. Where this
Python has bpy, Blender's own validator checks the result.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.append(str(ROOT))  # for a caller that loads this file from elsewhere

from build_engine_wheel import build_wheel, text_of, write_member  # noqa: E402


class BuildError(Exception):
    """Say in one sentence why the extension cannot be built, and what to do."""


def read_manifest() -> dict[str, object]:
    """Return blender_manifest.toml, refusing a version that is not the engine's."""
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    source = (ROOT / "ds4d_engine" / "__init__.py").read_text(encoding="utf-8")
    stated = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    engine_version = stated[1] if stated else "nothing"
    if manifest["version"] != engine_version:
        raise BuildError(
            f"blender_manifest.toml says version {manifest['version']} but ds4d_engine says "
            f"{engine_version}: make them equal."
        )
    return manifest


def members(wheel: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name in the zip, source file), in the zip's order."""
    found: dict[str, Path] = {name: ROOT / name for name in ("blender_manifest.toml", "LICENSE")}
    found["ds4d_engine/__init__.py"] = ROOT / "ds4d_engine" / "__init__.py"
    for folder, below in (("ds4d_blender", "ds4d_blender"), ("ds4d_engine/seam", ".")):
        for source in (ROOT / folder).rglob("*.py"):
            found[source.relative_to(ROOT / below).as_posix()] = source
    # Not among the manifest's wheels: those are for Blender's own Python.
    found[f"engine/{wheel.name}"] = wheel
    found["engine/constraints.txt"] = ROOT / "constraints.txt"
    yield from sorted(found.items())


def build(output: Path) -> Path:
    """Write `<id>-<version>.zip` into the folder `output`, atomically, and return its path."""
    manifest = read_manifest()
    target = output / f"{manifest['id']}-{manifest['version']}.zip"
    partial = target.with_suffix(".zip.part")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(partial, "w") as archive:
        wheel = build_wheel(Path(folder), str(manifest["version"]))
        for name, source in members(wheel):
            content = source.read_bytes() if source.suffix == ".whl" else text_of(source)
            write_member(archive, name, content)
    os.replace(partial, target)
    return target


def find_blender_scripts() -> Path | None:
    """Return the scripts folder of an installed bpy wheel, without importing bpy."""
    spec = importlib.util.find_spec("bpy")
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.glob("[0-9]*/scripts"), None)


def validate(archive: Path, scripts: Path) -> None:
    """Let Blender's own tool judge the zip, with the tags that Blender knows."""
    tool = scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    tags = scripts / "modules" / "_bpy_internal" / "extensions" / "tags.py"
    command = [sys.executable, str(tool), "validate", f"--valid-tags={tags}", str(archive)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BuildError(
            f"Blender refuses {archive.name}: {(result.stdout + result.stderr).strip()}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder for the zip")
    arguments = parser.parse_args()
    try:
        archive = build(arguments.output)
        print(f"built {archive} ({archive.stat().st_size / 1024:.0f} KiB)")
        scripts = find_blender_scripts()
        if scripts is None:
            print("not validated: this Python has no bpy (`pip install bpy==4.5.*`)")
        else:
            validate(archive, scripts)
            print("accepted by Blender's validator")
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
