# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension zip: what is in it, and that Blender's validator accepts it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from types import ModuleType

import pytest


def test_building_twice_gives_the_same_bytes(
    build_addon: ModuleType, extension_zip: Path, tmp_path: Path
) -> None:
    assert build_addon.build(tmp_path).read_bytes() == extension_zip.read_bytes()


def test_zip_holds_the_addon_the_seam_and_nothing_else(
    repository: Path, extension_zip: Path
) -> None:
    def sources(folder: str, below: str) -> set[str]:
        files = (repository / folder).rglob("*.py")
        return {file.relative_to(repository / below).as_posix() for file in files}

    expected = {"blender_manifest.toml", "LICENSE", "ds4d_engine/__init__.py"}
    expected |= sources("ds4d_blender", "ds4d_blender") | sources("ds4d_engine/seam", ".")
    names = zipfile.ZipFile(extension_zip).namelist()
    assert sorted(names) == sorted(expected)
    assert {"__init__.py", "ds4d_engine/seam/asset.py"} <= set(names)


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
