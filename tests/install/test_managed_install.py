# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine installed for real, from the extension's zip, by the Python of this Blender.

Takes minutes and half a gigabyte of packages, from wherever pip is set up to find them: `nox -s
tests_install`. Prints what it took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("in_blender.py")
SMALL_BYTES = 600_000_000


class Blender:
    """A clean Blender with the extension; each call is a new process with the same settings."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.folder, self.archive = folder, archive
        self.home = folder / "home"
        self.home.mkdir()

    @property
    def user(self) -> Path:
        """The extension's own folder."""
        return self.folder / "blender/extensions/.user/user_default/ds4d_blender"

    def does(self, *words: str) -> dict[str, Any]:
        """Do one thing of `in_blender.py`; return its report."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        # An empty home shows what is written there; pip's settings stay the person's own.
        kept.setdefault("XDG_CONFIG_HOME", str(Path.home() / ".config"))
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        started = time.monotonic()
        result = subprocess.run(
            [sys.executable, "-I", str(SCRIPT), str(self.archive), str(report), *words],
            capture_output=True,
            text=True,
            env=kept
            | {
                "HOME": str(self.home),
                "BLENDER_USER_RESOURCES": str(self.folder / "blender"),
            },
            cwd=self.folder,
            timeout=1500,
            check=False,
        )
        log = self.user / "install.log"
        said = result.stdout + result.stderr + (log.read_text() if log.exists() else "")[-3000:]
        assert result.returncode == 0, said
        content: dict[str, Any] = json.loads(report.read_text())
        print(f"{' '.join(words)}: {time.monotonic() - started:.0f} s, {content}")
        return content

    def left(self) -> list[str]:
        """Name what lies in the extension's folder besides jobs and logs."""
        names = os.listdir(self.user) if self.user.exists() else []
        return sorted(name for name in names if not name.endswith(".log") and name != "jobs")


@pytest.fixture(scope="module")
def blender(extension_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Blender:
    return Blender(tmp_path_factory.mktemp("managed"), extension_zip)


def bytes_of(folder: Path) -> int:
    """Return what a folder takes on the disk."""
    return sum(p.lstat().st_size for p in folder.rglob("*") if not p.is_dir())


def test_1_cancelled_while_packages_are_unpacked_it_leaves_nothing(blender: Blender) -> None:
    if blender.does("measure")["bytes"] > SMALL_BYTES:
        pytest.skip("the package index has no small torch for this Python")
    report = blender.does("cancel", "Unpacking")
    assert report["part"] > 0.5 and report["message"].startswith("Unpacking")
    assert report["state"] == "MISSING"
    assert blender.left() == []


def test_2_from_nothing_to_a_passing_doctor(blender: Blender) -> None:
    report = blender.does("install")
    assert report["state"] == "READY", report["sentence"]
    assert report["longest_step_ms"] < 100
    print(f"on the disk: {bytes_of(blender.user / 'engine') / 1e6:.0f} MB")
    assert blender.left() == ["engine"]
    assert blender.does("check")["state"] == "READY"


def test_3_the_installed_engine_fits_a_clip(blender: Blender, tmp_path: Path) -> None:
    report = blender.does("fit", str(tmp_path))
    assert report["state"] == "done", report["message"]
    assert report["points"] > 0


def test_4_nothing_was_written_outside_the_users_folder(blender: Blender) -> None:
    # pip asks a Rust compiler for its version, where there is one; rustup's keeps notes of that.
    written = [path for path in blender.home.rglob("*") if path.is_file()]
    assert [path for path in written if ".rustup" not in path.parts] == []


def test_5_a_broken_environment_is_noticed_and_repaired(blender: Blender) -> None:
    packages = next((blender.user / "engine" / "lib").glob("python*/site-packages"))
    (packages / "numpy" / "__init__.py").write_text("raise ImportError('broken')\n")
    report = blender.does("check")
    assert report["state"] == "BROKEN" and "press Repair" in report["sentence"]
    report = blender.does("install")
    assert report["state"] == "READY", report["sentence"]
    assert blender.does("check")["state"] == "READY"


def test_6_removed_it_leaves_nothing(blender: Blender) -> None:
    assert blender.does("remove")["state"] == "MISSING"
    assert blender.left() == []
