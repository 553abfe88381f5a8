# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation that goes on beside Blender, and is given up without a trace."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ds4d_blender.engine.location import Engine
from ds4d_blender.install.check import Found
from ds4d_blender.install.claim import clear_up
from ds4d_blender.install.ongoing import Checking, Installation
from ds4d_blender.install.places import Places
from ds4d_blender.install.worker import command
from tests.blender.small_engine import order
from tests.blender.waiting import lives, until


def begin(tmp_path: Path, **changes: object) -> Installation:
    asked = dataclasses.replace(order(tmp_path), **changes)
    return Installation(asked, tmp_path / "installer.log")


def left(installation: Installation) -> list[str]:
    root = Path(installation.order.root)
    return sorted(os.listdir(root)) if root.exists() else []


def test_a_cancelled_installation_leaves_nothing(tmp_path: Path) -> None:
    installation = begin(tmp_path)
    until(lambda: (tmp_path / "root" / "engine.part" / "lib").exists(), 30)
    installation.cancel()
    assert installation.message == "Cancelling"
    until(lambda: installation.poll() and installation.done, 30)
    assert installation.cancelled and "cancelled" in installation.error
    assert left(installation) == ["install.log"]


def test_who_lets_go_of_it_leaves_nothing_either(tmp_path: Path) -> None:
    installation = begin(tmp_path)
    until(lambda: (tmp_path / "root" / "engine.part" / "lib").exists(), 30)
    installation.release()
    until(lambda: left(installation) == ["install.log"], 30)


def test_the_installer_is_gone_when_the_one_who_began_it_is_killed(tmp_path: Path) -> None:
    words = command(order(tmp_path), sys.executable)
    code = f"import subprocess, sys; p = subprocess.Popen({words!r}, stdin=subprocess.PIPE); "
    code += "print(p.pid, flush=True); p.wait()"
    blender = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert blender.stdout is not None
    installer = int(blender.stdout.readline())
    until(lambda: (tmp_path / "root" / "engine.part" / "lib").exists(), 30)
    blender.send_signal(signal.SIGKILL)
    blender.wait()
    blender.stdout.close()
    until(lambda: not lives(installer), 10)
    assert os.listdir(tmp_path / "root") == ["install.log"]


def test_a_refusal_is_one_sentence(tmp_path: Path) -> None:
    installation = begin(tmp_path, wheels="", online=False)
    until(lambda: installation.poll() and installation.done, 30)
    assert "may not use the network" in installation.error and not installation.cancelled
    assert left(installation) == []


def test_an_installer_that_is_killed_is_told(tmp_path: Path) -> None:
    installation = begin(tmp_path)
    owner = tmp_path / "root" / "engine.part" / "owner.pid"
    until(lambda: owner.exists() and owner.read_text(), 30)
    os.kill(int(owner.read_text()), signal.SIGKILL)
    until(lambda: installation.poll() and installation.done, 30)
    assert "was killed" in installation.error
    clear_up(Places(tmp_path / "root"))
    assert left(installation) == ["install.log"]


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ('{"able": true, "engine": "0.1.0", "checks": []}', Found(True, "", "0.1.0")),
        ("nothing of sense", Found(False, "", reported=False)),
    ],
)
def test_a_check_says_what_the_engine_says(tmp_path: Path, printed: str, expected: Found) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{printed}'\n")
    python.chmod(0o755)
    checking = Checking(Engine(str(python)))
    found: list[Found] = []
    until(lambda: found or (found.append(f) if (f := checking.poll()) else None))
    assert dataclasses.replace(found[0], sentence="") == dataclasses.replace(expected, sentence="")
    assert expected.able or "no DS4D engine" in found[0].sentence


def test_a_python_that_is_not_there_fails_its_check(tmp_path: Path) -> None:
    checking = Checking(Engine(str(tmp_path / "nothing")))
    until(lambda: checking.poll() is not None)
    found = checking.poll()
    assert found is not None and not found.able and "there is no" in found.sentence
