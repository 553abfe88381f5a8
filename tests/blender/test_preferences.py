# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: what they draw, what their buttons do, and which engine comes of it.

Texts are in snapshots/; with DS4D_WRITE_SNAPSHOTS=1 they are written anew.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest

import ds4d_blender
from ds4d_blender import preferences
from ds4d_blender.install import choice, desk, operators, shipped
from ds4d_blender.install.check import EngineState, Kind
from ds4d_blender.install.places import Places
from ds4d_blender.install.torch_build import Gpu
from ds4d_blender.preferences import chosen_engine, draw_preferences, engine_state
from ds4d_blender.seam import errors
from tests.blender import small_engine
from tests.blender.recording import Recording
from tests.blender.waiting import until

SNAPSHOTS = Path(__file__).parent / "snapshots"
GOOD = '{"able": true, "engine": "0.1.0", "checks": []}'


@pytest.fixture
def settings(
    registered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[preferences.DS4D_Preferences]:
    """The add-on's preferences as first seen; the managed engine lies in the test's folder."""
    addon = bpy.context.preferences.addons.new()
    addon.module = ds4d_blender.__name__
    for module in (choice, desk):
        monkeypatch.setattr(module, "folder", lambda: Places(tmp_path / "user"))
    monkeypatch.setattr(desk, "_desk", desk._Desk())
    yield addon.preferences
    desk.stop()
    bpy.context.preferences.addons.remove(addon)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of wheels of a small engine, which the add-on carries."""
    order = small_engine.order(tmp_path)
    monkeypatch.setattr(shipped, "wheel", lambda: Path(order.wheel))
    monkeypatch.setattr(shipped, "constraints", lambda: Path(order.constraints))
    return Path(order.wheels)


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets and processes are denied."""

    def deny(*_: Any, **__: Any) -> None:
        raise AssertionError("no process and no connection without consent")

    for owner, name in ((socket, "socket"), (socket, "create_connection"), (subprocess, "Popen")):
        monkeypatch.setattr(owner, name, deny)


def program(folder: Path, prints: str) -> str:
    """Write a program that prints something, whatever it is asked; return its path."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return str(path)


def drawn(settings: Any, state: EngineState | None = None) -> str:
    layout = Recording()
    draw_preferences(layout, settings, state or engine_state())
    return "\n".join(layout.lines) + "\n"


def check(name: str, text: str, folder: Path) -> None:
    """Compare a text with its snapshot."""
    text = text.replace(str(folder), "FOLDER")
    path = SNAPSHOTS / f"preferences-{name}.txt"
    if os.environ.get("DS4D_WRITE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"there is no {path.name}: write it with DS4D_WRITE_SNAPSHOTS=1"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("missing", EngineState(Kind.MISSING, "The engine is not installed: press Install.")),
        ("ready", EngineState(Kind.READY, "The engine is ready. Fits run on the processor.")),
        ("installing", EngineState(Kind.INSTALLING, "Downloading, about 40 s left.", 0.3)),
        ("broken", EngineState(Kind.BROKEN, "A part of the engine is missing: press Repair.")),
        ("outdated", EngineState(Kind.OUTDATED, "The engine is version 1, the add-on 2: ...")),
        ("gone", EngineState(Kind.GONE, "The engine was made with a Python that is gone: ...")),
    ],
)
def test_a_managed_engine_in_each_state(
    settings: Any, tmp_path: Path, name: str, state: EngineState
) -> None:
    check(name, drawn(settings, state), tmp_path)


def test_an_existing_engine_that_was_not_chosen_yet(settings: Any, tmp_path: Path) -> None:
    settings.kind = "EXISTING"
    check("existing", drawn(settings), tmp_path)


def test_an_engine_on_another_machine(settings: Any, tmp_path: Path) -> None:
    settings.kind = "REMOTE"
    settings.remote_prefix = "ssh render@box"
    check("remote", drawn(settings), tmp_path)


def asked(build: str, wheels: str = "") -> str:
    """Return what is asked before an installation."""
    layout = Recording()
    owner = SimpleNamespace(layout=layout, build=build, wheels=wheels)
    owner.bl_rna = bpy.ops.ds4d.install_engine.get_rna_type()
    operators.DS4D_OT_install_engine.draw(owner, bpy.context)
    return "\n".join(layout.lines) + "\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the texts name this system's builds")
def test_size_and_reason_are_told_before_anything_is_downloaded(
    settings: Any, tmp_path: Path
) -> None:
    assert "Looking for a graphics card" in asked("AUTOMATIC")
    desk._desk.gpu, desk._desk.gpu_known = Gpu("NVIDIA GeForce RTX 4090", 580, 8.9), True
    check("consent-card", asked("AUTOMATIC"), tmp_path)
    check("consent-processor", asked("PROCESSOR"), tmp_path)
    check("consent-folder", asked("PROCESSOR", "/media/packages"), tmp_path)


def test_the_size_that_was_found_out_is_told_the_next_time(settings: Any) -> None:
    desk._desk.measured["PROCESSOR"] = 3_030_000_000
    assert "Downloads about 3.0 GB" in asked("PROCESSOR")


def test_at_first_there_is_no_engine(settings: Any) -> None:
    assert engine_state().kind is Kind.MISSING
    with pytest.raises(errors.EngineError, match="press Install"):
        chosen_engine()


def test_a_chosen_python_becomes_the_engine(settings: Any, tmp_path: Path) -> None:
    settings.kind, settings.python = "EXISTING", program(tmp_path, GOOD)
    assert engine_state().kind is Kind.UNCHECKED
    assert chosen_engine().command("fit", "x") == [settings.python, "-m", "ds4d_engine", "fit", "x"]


def test_another_machine_is_reached_by_its_command(settings: Any) -> None:
    settings.kind = "REMOTE"
    settings.remote_prefix, settings.remote_python = "ssh -p 2222 'me@the box'", "~/env/bin/python"
    engine = chosen_engine()
    assert engine.prefix == ("ssh", "-p", "2222", "me@the box") and engine.is_remote
    settings.remote_prefix = "ssh 'box"
    with pytest.raises(errors.EngineError, match="quote"):
        chosen_engine()


@pytest.mark.parametrize(
    ("prints", "kind"),
    [
        (GOOD, Kind.READY),
        (GOOD.replace("0.1.0", "9.9.9"), Kind.OUTDATED),
        ('{"able": false, "checks": []}', Kind.BROKEN),
        ("hello", Kind.BROKEN),
    ],
)
def test_a_check_tells_how_an_existing_engine_is(
    settings: Any, tmp_path: Path, prints: str, kind: Kind
) -> None:
    settings.kind, settings.python = "EXISTING", program(tmp_path, prints)
    assert bpy.ops.ds4d.check_engine() == {"FINISHED"}
    assert engine_state().kind is Kind.CHECKING
    assert not bpy.ops.ds4d.check_engine.poll()
    until(lambda: desk.step() and engine_state().kind is not Kind.CHECKING)
    assert engine_state().kind is kind
    assert desk._desk.checking is None


@pytest.mark.parametrize("kind", ["EXISTING", "REMOTE"])
def test_a_real_engine_passes_its_check(
    settings: Any, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("FAKE_SSH_HOME", str(tmp_path))
    own = repository / ".nox" / "engine" / "bin" / "python"
    python = os.environ.get("DS4D_ENGINE_PYTHON", str(own))
    if not os.path.isfile(python):
        pytest.skip("needs an engine: set DS4D_ENGINE_PYTHON, or run `nox -s tests_engine`")
    stand_in = Path(__file__).parent / "fake_engines" / "ssh.py"
    settings.kind, settings.python, settings.remote_python = kind, python, python
    settings.remote_prefix = shlex.join([sys.executable, str(stand_in), "box"])
    assert bpy.ops.ds4d.check_engine() == {"FINISHED"}
    until(lambda: desk.step() and engine_state().kind is not Kind.CHECKING, 120)
    state = engine_state()
    assert state.kind is Kind.READY, state.sentence
    assert state.sentence.startswith("The engine is ready. Fits ")


def test_the_state_costs_a_drawing_next_to_nothing(settings: Any, tmp_path: Path) -> None:
    settings.kind, settings.python = "EXISTING", program(tmp_path, GOOD)
    engine_state()
    started = time.perf_counter()
    for _ in range(1000):
        engine_state()
    assert time.perf_counter() - started < 0.5


def test_without_online_access_nothing_is_installed(settings: Any, nothing_starts: None) -> None:
    assert not bpy.app.online_access
    assert "(off)" in next(line for line in drawn(settings).splitlines() if "Install..." in line)
    with pytest.raises(RuntimeError, match="Allow Online Access"):
        bpy.ops.ds4d.install_engine()


def test_no_button_and_no_state_reaches_the_network_or_starts_a_process(
    settings: Any, nothing_starts: None
) -> None:
    for kind in ("MANAGED", "EXISTING", "REMOTE"):
        settings.kind = kind
        drawn(settings)
    settings.kind = "MANAGED"
    for name in ("cancel_install", "check_engine", "remove_engine"):
        assert not getattr(bpy.ops.ds4d, name).poll()


def test_a_copy_that_carries_no_engine_says_so(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shipped.version()
    monkeypatch.setattr(shipped, "ADDON", tmp_path)
    (tmp_path / "torch-2.13.0-py3-none-any.whl").touch()
    with pytest.raises(RuntimeError, match="carries no engine"):
        bpy.ops.ds4d.install_engine(wheels=str(tmp_path))
    assert not desk.installing()


def test_from_nothing_to_ready_and_to_nothing_again(
    settings: Any, offered: Path, tmp_path: Path
) -> None:
    assert bpy.ops.ds4d.install_engine(wheels=str(offered)) == {"FINISHED"}
    assert not bpy.ops.ds4d.install_engine.poll() and not bpy.ops.ds4d.remove_engine.poll()
    assert bpy.ops.ds4d.cancel_install.poll()
    longest = 0.0
    end = time.monotonic() + 120
    while desk.installing():
        assert time.monotonic() < end
        started = time.perf_counter()
        desk.step()
        state = engine_state()
        longest = max(longest, time.perf_counter() - started)
        assert not desk.installing() or state.kind is Kind.INSTALLING
        time.sleep(0.01)
    assert engine_state().kind is Kind.READY, engine_state().sentence
    assert longest < 0.1
    assert chosen_engine().python.startswith(str(tmp_path / "user" / "engine"))
    assert bpy.ops.ds4d.check_engine() == {"FINISHED"}
    until(lambda: desk.step() and engine_state().kind is Kind.READY)
    main = next((tmp_path / "user/engine").rglob("ds4d_engine/__main__.py"))
    text = main.read_text()
    main.write_text("raise SystemExit(3)")
    assert bpy.ops.ds4d.check_engine() == {"FINISHED"}
    until(lambda: desk.step() and engine_state().kind is Kind.BROKEN)
    assert "press Repair" in engine_state().sentence
    main.write_text(text)  # a check that passes puts it right
    assert bpy.ops.ds4d.check_engine() == {"FINISHED"}
    until(lambda: desk.step() and engine_state().kind is Kind.READY)
    assert bpy.ops.ds4d.remove_engine() == {"FINISHED"}
    assert engine_state().kind is Kind.MISSING
    assert os.listdir(tmp_path / "user") == []


def test_a_failed_installation_says_why_until_the_next_one(
    settings: Any, offered: Path, tmp_path: Path
) -> None:
    (offered / "torch-2.13.0-py3-none-any.whl").rename(tmp_path / "elsewhere.whl")
    (offered / "other-1.0-py3-none-any.whl").touch()
    assert bpy.ops.ds4d.install_engine(wheels=str(offered)) == {"FINISHED"}
    until(lambda: desk.step() and not desk.installing(), 60)
    state = engine_state()
    assert state.kind is Kind.MISSING and "no package that fits for torch" in state.sentence
    assert bpy.ops.ds4d.install_engine.poll()


def test_a_cancelled_installation_is_no_failure(
    settings: Any, offered: Path, tmp_path: Path
) -> None:
    bpy.ops.ds4d.install_engine(wheels=str(offered))
    until(lambda: (tmp_path / "user" / "engine.part").exists())
    assert bpy.ops.ds4d.cancel_install() == {"FINISHED"}
    until(lambda: desk.step() and not desk.installing(), 30)
    assert "press Install" in engine_state().sentence
    assert not (tmp_path / "user" / "engine.part").exists()


def test_disabling_the_add_on_gives_an_installation_up(
    settings: Any, offered: Path, tmp_path: Path
) -> None:
    bpy.ops.ds4d.install_engine(wheels=str(offered))
    until(lambda: (tmp_path / "user" / "engine.part").exists())
    desk.stop()
    assert not bpy.app.timers.is_registered(desk._tick)
    until(lambda: not (tmp_path / "user" / "engine.part").exists(), 30)
    assert not (tmp_path / "user" / "engine").exists()
