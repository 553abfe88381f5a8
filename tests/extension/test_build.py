# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension zip: what is in it, and that Blender's validator accepts it."""

from __future__ import annotations

import base64
import email
import hashlib
import io
import shutil
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest


def test_building_twice_gives_the_same_bytes(
    build_addon: ModuleType, extension_zip: Path, tmp_path: Path
) -> None:
    assert build_addon.build(tmp_path).read_bytes() == extension_zip.read_bytes()


def test_zip_holds_the_addon_the_seam_the_engine_and_nothing_else(
    repository: Path, extension_zip: Path, engine_wheel: str
) -> None:
    def sources(folder: str, below: str) -> set[str]:
        files = (repository / folder).rglob("*.py")
        return {file.relative_to(repository / below).as_posix() for file in files}

    expected = {"blender_manifest.toml", "LICENSE", "ds4d_engine/__init__.py"}
    expected |= {engine_wheel, "engine/constraints.txt"}
    expected |= sources("ds4d_blender", "ds4d_blender") | sources("ds4d_engine/seam", ".")
    names = zipfile.ZipFile(extension_zip).namelist()
    assert sorted(names) == sorted(expected)
    assert {"__init__.py", "ds4d_engine/seam/asset.py"} <= set(names)


def test_blenders_own_python_gets_no_wheel(extension_zip: Path) -> None:
    manifest = zipfile.ZipFile(extension_zip).read("blender_manifest.toml").decode()
    assert "wheels" not in tomllib.loads(manifest)


def test_the_wheel_holds_the_whole_engine(
    repository: Path, extension_zip: Path, engine_wheel: str
) -> None:
    wheel = zipfile.ZipFile(io.BytesIO(zipfile.ZipFile(extension_zip).read(engine_wheel)))
    assert wheel.testzip() is None
    sources = {p.relative_to(repository) for p in (repository / "ds4d_engine").rglob("*.py")}
    info = "ds4d-0.1.0.dist-info"
    extra = ("METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE", "RECORD")
    expected = [path.as_posix() for path in sources] + [f"{info}/{name}" for name in extra]
    assert sorted(wheel.namelist()) == sorted(expected)
    for row in wheel.read(f"{info}/RECORD").decode().splitlines():
        name, digest, size = row.rsplit(",", 2)
        if name != f"{info}/RECORD":
            found = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(name)).digest())
            assert digest == f"sha256={found.decode().rstrip('=')}"
            assert int(size) == len(wheel.read(name))


def test_the_wheel_needs_what_the_project_needs(
    repository: Path, extension_zip: Path, engine_wheel: str
) -> None:
    wheel = zipfile.ZipFile(io.BytesIO(zipfile.ZipFile(extension_zip).read(engine_wheel)))
    metadata = email.message_from_bytes(wheel.read("ds4d-0.1.0.dist-info/METADATA"))
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    needed = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert needed == project["dependencies"]
    assert metadata["License-Expression"] == project["license"]
    assert metadata["Requires-Python"] == project["requires-python"]


def test_blenders_validator_accepts_the_zip(build_addon: ModuleType, extension_zip: Path) -> None:
    scripts = build_addon.find_blender_scripts()
    assert scripts is not None, "this test belongs to Blender's environments"
    build_addon.validate(extension_zip, scripts)


def test_blenders_validator_is_really_asked(
    build_addon: ModuleType, extension_zip: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(extension_zip) as good, zipfile.ZipFile(bad, "w") as archive:
        for name in good.namelist():
            archive.writestr(name, good.read(name).replace(b"blender_version_min", b"versions"))
    with pytest.raises(build_addon.BuildError, match=r"Blender refuses bad\.zip"):
        build_addon.validate(bad, build_addon.find_blender_scripts())


def test_a_version_that_is_not_the_engines_is_refused(
    build_addon: ModuleType, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(repository / "blender_manifest.toml", tmp_path)
    (tmp_path / "ds4d_engine").mkdir()
    (tmp_path / "ds4d_engine" / "__init__.py").write_text('__version__ = "99.0.0"\n')
    monkeypatch.setattr(build_addon, "ROOT", tmp_path)
    with pytest.raises(build_addon.BuildError, match=r"ds4d_engine says 99\.0\.0"):
        build_addon.read_manifest()
