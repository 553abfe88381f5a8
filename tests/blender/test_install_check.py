# SPDX-License-Identifier: GPL-3.0-or-later
"""How an engine is, from a few looks at the disk: one sentence that says what to click."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest

from ds4d_blender.engine.location import Engine
from ds4d_blender.install import check, places
from ds4d_blender.install.check import EngineState, Found, Kind, Memory
from ds4d_blender.install.doctor import understand
from ds4d_blender.install.places import Places, packages_of, python_of
from ds4d_blender.install.record import Record, read_record, write_record
from ds4d_blender.seam import errors

BASE = os.path.realpath(sys.executable)
RECORD = Record(
    engine="1.0",
    torch="2.13.0+cpu",
    build="cpu",
    python="3.11.7",
    base=BASE,
    base_bytes=os.path.getsize(BASE),
    constraints="",
    summary="Fits run on the processor.",
)


@pytest.fixture
def made(tmp_path: Path) -> Places:
    """The folder of an engine that looks as an installation leaves it."""
    where = Places(tmp_path)
    python = python_of(where.engine)
    python.parent.mkdir(parents=True)
    python.symlink_to(BASE)
    (where.engine / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    for name in ("ds4d_engine", "torch"):
        (packages_of(where.engine) / name).mkdir(parents=True)
    write_record(where.engine, RECORD)
    return where


def state(where: Places, version: str = "1.0") -> EngineState:
    return check.managed_state(where, version)


def test_what_an_installation_left_is_ready(made: Places) -> None:
    assert state(made) == EngineState(Kind.READY, "The engine is ready. Fits run on the processor.")


def test_nothing_is_missing(tmp_path: Path) -> None:
    assert state(Places(tmp_path)).kind is Kind.MISSING
    assert "press Install" in state(Places(tmp_path)).sentence


@pytest.mark.parametrize("text", ["", "{", "[]", '{"engine": 1}', None])
def test_without_its_record_it_is_damaged(made: Places, text: str | None) -> None:
    record = made.engine / "engine.json"
    record.unlink() if text is None else record.write_text(text)
    assert state(made).kind is Kind.BROKEN and "press Repair" in state(made).sentence


def test_a_record_with_something_else_in_it_is_none(made: Places) -> None:
    content = json.loads((made.engine / "engine.json").read_text())
    (made.engine / "engine.json").write_text(json.dumps(content | {"base": 3}))
    with pytest.raises(errors.EngineError, match="incomplete"):
        read_record(made.engine)


@pytest.mark.parametrize("name", ["torch", "ds4d_engine"])
def test_a_missing_part_is_told(made: Places, name: str) -> None:
    (packages_of(made.engine) / name).rmdir()
    assert state(made).kind is Kind.BROKEN


def test_another_version_than_the_add_ons_is_outdated(made: Places) -> None:
    assert state(made, "2.0") == EngineState(
        Kind.OUTDATED, "The engine is version 1.0, the add-on 2.0: press Update."
    )


def test_the_python_of_a_blender_that_was_deleted_is_gone(made: Places) -> None:
    python_of(made.engine).unlink()
    python_of(made.engine).symlink_to(made.root / "deleted" / "python")
    assert state(made).kind is Kind.GONE and "press Rebuild" in state(made).sentence
    write_record(made.engine, dataclasses.replace(RECORD, base=str(made.root / "deleted")))
    assert state(made).kind is Kind.GONE


def test_a_python_that_was_replaced_asks_for_a_check(made: Places) -> None:
    write_record(made.engine, dataclasses.replace(RECORD, base_bytes=1))
    found = state(made)
    assert found.kind is Kind.UNCHECKED and found.usable and "press Check" in found.sentence
    write_record(made.engine, check.stamped_anew(read_record(made.engine)))
    assert state(made).kind is Kind.READY


def test_only_an_engine_that_may_work_is_usable() -> None:
    usable = {kind for kind in Kind if EngineState(kind, "").usable}
    assert usable == {Kind.READY, Kind.UNCHECKED}


def test_a_replacement_cut_between_its_two_steps_is_put_right(made: Places) -> None:
    made.engine.rename(made.old)
    assert state(made).kind is Kind.MISSING
    places.recover(made)
    assert state(made).kind is Kind.READY


def test_a_replacement_leaves_the_new_one_only(made: Places) -> None:
    made.part.mkdir()
    (made.part / "new").touch()
    places.swap_in(made)
    assert os.listdir(made.engine) == ["new"] and os.listdir(made.root) == ["engine"]


def test_removing_leaves_nothing(made: Places) -> None:
    for folder in (made.part, made.old, made.cache):
        (folder / "inside").mkdir(parents=True)
    for file in (made.log, made.worker_log, made.checks):
        file.touch()
    (made.root / "jobs").mkdir()
    places.remove(made)
    assert os.listdir(made.root) == ["jobs"]
    places.remove(made)


def test_an_existing_engine_is_what_its_check_said(tmp_path: Path) -> None:
    path = tmp_path / "python"
    assert check.existing_state("", None, "1.0").kind is Kind.MISSING
    assert check.existing_state(str(path), None, "1.0").kind is Kind.BROKEN
    path.touch()
    assert check.existing_state(str(path), None, "1.0").kind is Kind.UNCHECKED
    fit = Found(True, "Fits run on the processor.", "1.0")
    assert check.existing_state(str(path), fit, "1.0").kind is Kind.READY
    assert check.existing_state(str(path), fit, "2.0").kind is Kind.OUTDATED
    unfit = check.existing_state(str(path), Found(False, "numba: not installed."), "1.0")
    assert unfit.kind is Kind.BROKEN and "(numba: not installed)" in unfit.sentence


def test_an_engine_elsewhere_needs_a_way_to_it() -> None:
    assert check.remote_state(" ", None, "1.0").kind is Kind.MISSING
    assert check.remote_state("ssh box", None, "1.0").kind is Kind.UNCHECKED


def test_a_check_is_remembered_for_the_very_engine_that_was_checked(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "new" / "checks.json")
    python = tmp_path / "python"
    python.write_text("one")
    engine, remote = Engine(str(python)), Engine("python3", prefix=("ssh", "box"))
    assert memory.recall(engine) is None
    memory.keep(engine, Found(True, "yes", "1.0"))
    memory.keep(remote, Found(False, "no"))
    again = Memory(memory.path)
    assert again.recall(engine) == Found(True, "yes", "1.0")
    assert again.recall(remote) == Found(False, "no")
    python.write_text("another")
    assert again.recall(engine) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 3}'])
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "checks.json").write_text(text)
    assert Memory(tmp_path / "checks.json").recall(Engine("x")) is None


def checks(**changes: tuple[bool, str]) -> dict[str, object]:
    usual = {
        "numpy": (True, "2.4.6"),
        "CUDA": (False, "no CUDA device"),
        "draw: gsplat": (False, "does not run here"),
        "ffmpeg": (True, "7.0"),
    }
    found = usual | {name.replace("_", ": "): what for name, what in changes.items()}
    return {
        "engine": "1.0",
        "able": all(ok for name, (ok, _) in found.items() if name == "numpy"),
        "checks": [
            {"name": n, "ok": ok, "detail": detail, "remedy": "", "needed": n == "numpy"}
            for n, (ok, detail) in found.items()
        ],
    }


def test_a_report_becomes_one_sentence() -> None:
    card = (True, "NVIDIA T4, CUDA 13.0")
    assert understand(checks()).sentence == "Fits run on the processor."
    assert "NVIDIA T4 also needs the CUDA toolkit" in understand(checks(CUDA=card)).sentence
    drawn = checks(**{"CUDA": card, "draw_gsplat": (True, "draws rightly")})
    assert understand(drawn).sentence == "Fits can use NVIDIA T4."
    assert understand(checks(ffmpeg=(False, "missing"))).sentence.endswith("Videos cannot be read.")
    unfit = understand(checks(numpy=(False, "not installed")))
    assert (unfit.able, unfit.sentence) == (False, "numpy: not installed.")


@pytest.mark.parametrize("report", [None, {}, [], {"checks": 3}, {"checks": [{}], "able": True}])
def test_what_is_no_report_is_refused(report: object) -> None:
    with pytest.raises(ValueError, match="no report"):
        understand(report)
