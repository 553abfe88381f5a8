# SPDX-License-Identifier: GPL-3.0-or-later
"""Making the engine's environment: whole and checked, or not at all. The engine is a small one."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ds4d_blender.install import check, managed, pip, short_name, torch_build
from ds4d_blender.install.child import Cancelled
from ds4d_blender.install.claim import clear_up
from ds4d_blender.install.managed import Order, install
from ds4d_blender.install.places import Places
from ds4d_blender.install.record import read_record
from ds4d_blender.seam import errors, events
from tests.blender.small_engine import UNFIT, order, tree


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Order, list[events.Progress]]:
    """A small engine, installed once, and what was said meanwhile."""
    asked = order(tmp_path_factory.mktemp("installed"))
    said: list[events.Progress] = []
    install(asked, said.append)
    return asked, said


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No process may start and no socket may open."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing may be started or reached")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    yield


def where(asked: Order) -> Places:
    return Places(Path(asked.root))


def test_an_installed_engine_is_ready(installed: tuple[Order, list[events.Progress]]) -> None:
    asked, _ = installed
    record = read_record(where(asked).engine)
    assert (record.engine, record.torch, record.build) == ("0.1.0", "2.13.0", "cpu")
    state = check.managed_state(where(asked), "0.1.0")
    assert state.kind is check.Kind.READY and state.usable
    assert "processor" in state.sentence


def test_the_environment_still_works_where_it_was_moved_to(
    installed: tuple[Order, list[events.Progress]],
) -> None:
    engine = where(installed[0]).managed()
    done = subprocess.run(
        engine.command("doctor", "--json"),
        capture_output=True,
        text=True,
        check=True,
        env=engine.variables(),
    )
    assert '"able": true' in done.stdout


def test_nothing_but_the_environment_and_a_log_is_left(
    installed: tuple[Order, list[events.Progress]],
) -> None:
    places = where(installed[0])
    assert sorted(os.listdir(places.root)) == ["engine", "install.log"]
    assert not (places.engine / "tmp").exists()


def test_each_stage_is_said_to_its_end_and_never_goes_back(
    installed: tuple[Order, list[events.Progress]],
) -> None:
    said = installed[1]
    stages = list(dict.fromkeys(event.stage for event in said))
    assert stages == ["environment", "lookup", "download", "install", "check"]
    for stage in stages:
        done = [event.done / event.total for event in said if event.stage == stage]
        assert done == sorted(done) and done[-1] == 1.0


def test_without_online_access_and_wheels_nothing_is_started(
    tmp_path: Path, no_process: None
) -> None:
    asked = order(tmp_path, wheels="", online=False)
    with pytest.raises(errors.EngineError, match="Allow Online Access"):
        install(asked, events.silent)
    assert not Path(asked.root).exists()


def test_a_folder_without_wheels_is_refused(tmp_path: Path, no_process: None) -> None:
    (tmp_path / "empty").mkdir()
    asked = order(tmp_path, wheels=str(tmp_path / "empty"), online=True)
    with pytest.raises(errors.EngineError, match="There are no packages in"):
        install(asked, events.silent)


def test_a_full_disk_is_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = managed.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(managed.shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    asked = order(tmp_path)
    with pytest.raises(errors.EngineError, match=r"needs .* GB of room .* and 1\.0 GB are free"):
        install(asked, events.silent)
    assert os.listdir(asked.root) == ["install.log"]


def test_cancelled_half_way_leaves_nothing(tmp_path: Path) -> None:
    asked = order(tmp_path)
    said: list[str] = []

    def listen(event: events.Progress) -> None:
        said.append(event.stage)

    with pytest.raises(Cancelled):
        install(asked, listen, lambda: "lookup" in said)
    assert "download" not in said
    assert os.listdir(asked.root) == ["install.log"]


def test_a_folder_whose_name_is_too_long_is_filled_under_a_shorter_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a_long_name"
    folder.mkdir()
    (folder / "short").touch()
    with short_name.short_name(folder) as same:
        assert same == folder
    monkeypatch.setattr(short_name, "LONGEST_NAME", len(str(folder)) + 10)
    with short_name.short_name(folder) as other:
        assert other != folder and (other / "short").exists()
        (other / "0123456789").touch()
        (other / "012345678").touch()
    assert not other.parent.exists()
    assert sorted(os.listdir(folder)) == ["012345678", "short"]


def test_an_environment_filled_under_a_shorter_name_works_under_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = order(tmp_path)
    monkeypatch.setattr(short_name, "LONGEST_INSIDE", 1 << 21)
    install(asked, events.silent)
    assert check.managed_state(where(asked), "0.1.0").kind is check.Kind.READY


def test_an_engine_that_does_not_work_never_replaces_one_that_does(
    installed: tuple[Order, list[events.Progress]], tmp_path: Path
) -> None:
    asked = installed[0]
    before = tree(where(asked).engine)
    worse = dataclasses.replace(order(tmp_path, UNFIT), root=asked.root)
    with pytest.raises(errors.EngineError, match="cannot work here: numba: does not load"):
        install(worse, events.silent)
    assert tree(where(asked).engine) == before
    assert sorted(os.listdir(asked.root)) == ["engine", "install.log"]


def test_the_engine_alone_is_exchanged_without_network_where_its_packages_are_the_same(
    installed: tuple[Order, list[events.Progress]], tmp_path: Path
) -> None:
    shutil.copytree(where(installed[0]).engine, tmp_path / "root" / "engine", symlinks=True)
    newer = order(tmp_path, version="0.2.0", wheels="", renew=True)
    said: list[str] = []
    install(newer, lambda event: said.append(event.stage))
    assert check.managed_state(where(newer), "0.2.0").kind is check.Kind.READY
    assert "download" not in said
    assert sorted(os.listdir(newer.root)) == ["engine", "install.log"]


def test_an_update_that_does_not_work_leaves_the_engine_as_it_was(
    installed: tuple[Order, list[events.Progress]], tmp_path: Path
) -> None:
    asked = installed[0]
    before = tree(where(asked).engine)
    worse = order(tmp_path, UNFIT, version="0.2.0", wheels="", renew=True)
    with pytest.raises(errors.EngineError, match="cannot work here"):
        install(dataclasses.replace(worse, root=asked.root), events.silent)
    assert tree(where(asked).engine) == before


def test_other_packages_take_a_whole_installation(
    installed: tuple[Order, list[events.Progress]], tmp_path: Path
) -> None:
    newer = order(tmp_path, version="0.2.0", renew=True, root=installed[0].root)
    Path(newer.constraints).write_text("torch==2.14.0\n")
    with pytest.raises(errors.EngineError, match="cannot be updated alone"):
        install(newer, events.silent)
    assert check.managed_state(where(newer), "0.1.0").kind is check.Kind.READY


def test_a_second_installation_at_once_is_refused(tmp_path: Path) -> None:
    asked = order(tmp_path)
    part = where(asked).part
    part.mkdir(parents=True)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (part / "owner.pid").write_text(str(other.pid))
    try:
        with pytest.raises(errors.EngineError, match="Another Blender is installing"):
            install(asked, events.silent)
        clear_up(where(asked))
        assert part.exists()
    finally:
        other.communicate(b"\n")


def test_the_missing_package_of_a_folder_of_wheels_is_named(tmp_path: Path) -> None:
    said = "ERROR: No matching distribution found for torch>=2.4\n"
    assert "no package that fits for torch>=2.4" in pip._why(said, tmp_path)
    assert "nothing that fits this computer for torch>=2.4" in pip._why(said, None)
    lost = "WARNING: Retrying ... NewConnectionError(...)\n" + said
    assert "cannot be reached" in pip._why(lost, None)


def test_more_than_was_agreed_to_is_refused() -> None:
    build = torch_build.choose_build(torch_build.PROCESSOR, None, system="linux", machine="x86_64")
    asked = Order("root", "wheel", "constraints", online=True, agreed_bytes=480_000_000)
    managed._refuse_more_than_agreed(asked, build, 500_000_000)
    with pytest.raises(errors.EngineError, match=r"would be 3\.0 GB, and 480 MB were agreed to"):
        managed._refuse_more_than_agreed(asked, build, 3_030_000_000)
    with pytest.raises(errors.EngineError, match=r"more than 700 MB, .* graphics cards"):
        managed._refuse_more_than_agreed(asked, build, 700_000_000, whole=False)
