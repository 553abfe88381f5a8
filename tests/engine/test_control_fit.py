# SPDX-License-Identifier: GPL-3.0-or-later
"""A controlled fit in a real process: paused, cancelled, abandoned, failing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds4d_engine.fit.files import checkpoint_path, unfinished
from ds4d_engine.seam import (
    Do,
    Failure,
    Heartbeat,
    Hello,
    Preview,
    Progress,
    Result,
    read_asset,
)
from tests.engine.conversation import SMALL, conversation, fitting
from tests.engine.tiny_clip import tiny_asset, write_transforms

LONG = (*SMALL, "iterations=100000", "checkpoint_seconds=600")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_transforms(tiny_asset(), tmp_path_factory.mktemp("clip") / "clip")


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "clip.ds4d"
    yield path
    left = [file.name for file in unfinished(path) if file.exists()]
    assert not left, "nothing unfinished stays"


def is_paused(event: object) -> bool:
    return isinstance(event, Heartbeat) and event.paused


def test_it_says_hello_at_once_shows_itself_waits_while_paused_and_ends_with_what_there_is(
    folder: Path, output: Path
) -> None:
    with conversation(folder, output, LONG, ["--preview-seconds", "0.5"]) as talk:
        started = time.monotonic()
        assert isinstance(talk.hear(lambda event: True, 10), Hello)
        assert time.monotonic() - started < 5, "hello comes before torch"
        talk.say(Do.START)
        preview = talk.hear(lambda event: isinstance(event, Preview))
        assert isinstance(preview, Preview) and preview.values["step"] == 0
        assert read_asset(preview.files["asset"]).frame_count == 4
        seen = talk.hear(fitting)
        assert isinstance(seen, Progress) and seen.values["psnr"] > 0

        talk.say(Do.PAUSE)
        talk.hear(is_paused)
        assert checkpoint_path(output).is_file()
        count = len(talk.events)
        talk.hear(is_paused, 5)
        assert not any(fitting(event) for event in talk.events[count:]), "it rests"
        talk.say(Do.CONTINUE)
        talk.hear(fitting)

        talk.say(Do.CANCEL)
        result = talk.end()
    assert isinstance(result, Result) and result.values["stopped"] == 1
    assert result.files == {"asset": str(output)}
    assert read_asset(output).provenance["steps"] == result.values["steps"] > 0
    assert talk.process.returncode == 0
    assert not any(
        isinstance(event, Progress) and event.done > event.total for event in talk.events
    )


def test_cancelled_before_the_loop_it_ends_at_once_and_leaves_nothing(
    folder: Path, output: Path
) -> None:
    with conversation(folder, output, LONG) as talk:
        talk.say(Do.START)
        talk.hear(lambda event: isinstance(event, Progress))
        talk.say(Do.CANCEL)
        result = talk.end(20)
    assert result == Result({}, {"stopped": 1.0})
    assert talk.process.returncode == 0
    assert not output.exists() and not checkpoint_path(output).exists()


def test_abandoned_it_is_gone_within_ten_seconds_with_asset_and_checkpoint(
    folder: Path, output: Path
) -> None:
    with conversation(folder, output, LONG) as talk:
        talk.say(Do.START)
        talk.hear(fitting)
        talk.leave()
        started = time.monotonic()
        talk.process.wait(10)
        print(f"gone after {time.monotonic() - started:.1f} s")
    assert read_asset(output).frame_count == 4
    assert checkpoint_path(output).is_file()


def test_memory_that_runs_out_is_one_sentence(folder: Path, output: Path) -> None:
    count = 10**15  # more than any address space
    huge = (f"gaussians={count}", f"max_gaussians={count}", "init=random")
    with conversation(folder, output, huge) as talk:
        talk.say(Do.START)
        failure = talk.end()
    assert isinstance(failure, Failure)
    assert failure.error == "OutOfMemory" and not failure.resumable
    assert talk.process.returncode == 2
    assert talk.log.read_text().count("\n") == 1, "one line, no traceback"


def test_a_crash_is_told_and_its_traceback_is_in_the_log(folder: Path, output: Path) -> None:
    broken = output.parent / "broken.py"
    broken.write_text(
        "import sys\n"
        "from ds4d_engine.cli import main\n"
        "from ds4d_engine.fit import schedule\n"
        "schedule.Clock.done = property(lambda self: 1 / 0)\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    with conversation(folder, output, LONG, program=[str(broken)]) as talk:
        talk.say(Do.START)
        failure = talk.end()
    assert isinstance(failure, Failure) and failure.error == "Crash"
    assert "(ZeroDivisionError: division by zero)" in failure.message
    assert talk.process.returncode == 1
    assert "Traceback" in talk.log.read_text()


def test_a_request_to_terminate_ends_a_paused_run_as_a_cancel_does(
    folder: Path, output: Path
) -> None:
    with conversation(folder, output, LONG) as talk:
        talk.say(Do.START)
        talk.hear(fitting)
        talk.say(Do.PAUSE)
        talk.hear(is_paused)
        talk.process.terminate()
        result = talk.end()
    assert isinstance(result, Result) and result.values["stopped"] == 1


def test_options_that_do_not_fit_are_told(folder: Path, output: Path) -> None:
    with conversation(folder, output, SMALL, ["--no-such-option"]) as talk:
        failure = talk.end()
    assert isinstance(failure, Failure) and failure.error == "ConfigError"
    assert "--no-such-option" in failure.message and talk.process.returncode == 2
