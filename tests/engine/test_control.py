# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's side of a conversation, over pipes in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ds4d_engine import control as control_module
from ds4d_engine.control import Cancelled, Control, Speaker
from ds4d_engine.seam import (
    Command,
    Do,
    EngineError,
    Event,
    Heartbeat,
    Hello,
    Progress,
    command_to_json_line,
    from_json_line,
)

STEP = Progress("read", 1.0, 2.0)


@dataclass
class Ends:
    """Both ends of a conversation; `left` are the exit codes with which the engine's end left."""

    control: Control
    commands: int
    events: int
    left: list[int] = field(default_factory=list)

    def say(self, do: Do, version: int = 1) -> None:
        os.write(self.commands, (command_to_json_line(Command(do, version)) + "\n").encode())

    def leave(self) -> None:
        """Close the end that commands come from."""
        if self.commands >= 0:
            os.close(self.commands)
            self.commands = -1

    def heard(self) -> list[Event]:
        return [
            from_json_line(line) for line in os.read(self.events, 1 << 20).decode().split("\n")[:-1]
        ]


@pytest.fixture
def ends() -> Iterator[Ends]:
    incoming, commands = os.pipe()
    events, outgoing = os.pipe()
    left: list[int] = []
    stream = os.fdopen(outgoing, "w", encoding="utf-8")
    control = Control(incoming, stream, last_seconds=0.2, leave=left.append)
    pair = Ends(control, commands, events, left)
    yield pair
    control.close()
    pair.leave()
    until(lambda: bool(left), "it left")
    stream.close()
    os.close(events)
    os.close(incoming)


def until(condition, what: str, seconds: float = 5.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def test_the_first_word_is_hello_with_the_versions_spoken(ends: Ends) -> None:
    ends.control.open()
    hello = ends.heard()[0]
    assert isinstance(hello, Hello)
    assert hello.versions == (1,) and hello.engine


def test_it_beats_until_it_is_closed(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "HEARTBEAT_SECONDS", 0.02)
    ends.control.open()
    time.sleep(0.2)
    ends.control.close()
    time.sleep(0.05)
    beats = [event for event in ends.heard() if isinstance(event, Heartbeat)]
    assert len(beats) >= 3 and not any(beat.paused for beat in beats)
    ends.control.say(STEP)
    assert ends.heard() == [STEP]


def test_it_starts_when_told(ends: Ends) -> None:
    ends.control.open()
    ends.say(Do.START)
    ends.control.wait_for_start(5)


def test_nobody_saying_start_is_one_sentence(ends: Ends) -> None:
    ends.control.open()
    with pytest.raises(EngineError, match="Nothing told the engine to start"):
        ends.control.wait_for_start(0.05)


def test_a_version_that_it_does_not_speak_is_one_sentence(ends: Ends) -> None:
    ends.control.open()
    ends.say(Do.START, version=7)
    with pytest.raises(EngineError, match="speaks version 1 of its conversation, not 7"):
        ends.control.wait_for_start(5)


def test_cancelled_before_its_start_it_never_starts(ends: Ends) -> None:
    ends.control.open()
    ends.say(Do.CANCEL)
    with pytest.raises(Cancelled):
        ends.control.wait_for_start(5)


def test_cancelled_before_there_is_something_to_keep_it_ends_at_the_next_event(
    ends: Ends,
) -> None:
    ends.control.open()
    ends.control.listen(STEP)
    ends.say(Do.CANCEL)
    until(ends.control.should_stop, "it heard")
    with pytest.raises(Cancelled):
        ends.control.listen(STEP)


def test_cancelled_later_it_is_asked_and_its_events_go_on(ends: Ends) -> None:
    ends.control.open()
    ends.control.begun = True
    assert not ends.control.should_stop()
    ends.say(Do.CANCEL)
    until(ends.control.should_stop, "it heard")
    ends.control.listen(STEP)
    assert STEP in ends.heard()


def test_no_handler_of_errors_swallows_a_cancellation() -> None:
    assert not issubclass(Cancelled, Exception)


@pytest.mark.parametrize("end", [Do.CONTINUE, Do.CANCEL])
def test_paused_it_keeps_what_there_is_and_waits(ends: Ends, end: Do) -> None:
    kept: list[bool] = []
    ends.control.open()
    assert ends.control.wait_while_paused(lambda: kept.append(True)) == 0 and not kept
    ends.say(Do.PAUSE)
    until(lambda: not ends.control._going.is_set(), "it heard")
    threading.Timer(0.3, ends.say, [end]).start()
    idle = ends.control.wait_while_paused(lambda: kept.append(True))
    assert idle >= 0.25 and kept == [True]
    beats = [event for event in ends.heard() if isinstance(event, Heartbeat)]
    assert [beat.paused for beat in beats][-2:] == [True, False]


def test_a_cancelled_run_cannot_be_paused_any_more(ends: Ends) -> None:
    ends.control.open()
    ends.say(Do.CANCEL)
    ends.say(Do.PAUSE)
    ends.say(Do.START)
    until(lambda: ends.control._version is not None, "it heard all")
    assert ends.control.wait_while_paused() == 0


def test_what_is_no_command_is_logged_and_left_alone(
    ends: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    ends.control.open()
    os.write(
        ends.commands, b'\x00\xff{"do": \n\n[1]\n' + json.dumps({"do": "dance"}).encode() + b"\n"
    )
    ends.say(Do.START)
    ends.control.wait_for_start(5)
    said = capsys.readouterr().err
    assert said.count("told something unknown") == 3 and "Traceback" not in said


def test_a_command_may_arrive_in_pieces(ends: Ends) -> None:
    ends.control.open()
    for byte in command_to_json_line(Command(Do.START)).encode() + b"\n":
        os.write(ends.commands, bytes([byte]))
    ends.control.wait_for_start(5)


def test_abandoned_it_stops_and_soon_leaves_by_force_without_unfinished_files(
    ends: Ends, tmp_path: Path
) -> None:
    half = tmp_path / "clip.ds4d.part"
    half.write_bytes(b"half")
    ends.control.leftovers += [half, tmp_path / "none"]
    ends.control.open()
    ends.leave()
    until(ends.control.should_stop, "it heard")
    assert not ends.left, "it has a moment to end by itself"
    until(lambda: bool(ends.left), "it left")
    assert ends.left == [control_module.EXIT_ABANDONED] and not half.exists()


def test_abandoned_while_paused_it_goes_on_to_its_end(ends: Ends) -> None:
    ends.control.open()
    ends.say(Do.PAUSE)
    until(lambda: not ends.control._going.is_set(), "it heard")
    ends.leave()
    ends.control.wait_while_paused()
    assert ends.control.should_stop()


def test_lines_of_several_threads_stay_whole(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        speaker = Speaker(stream)
        event = Progress("x" * 3000, 1.0, 2.0)
        work = [
            threading.Thread(target=lambda: [speaker.say(event) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    lines = (tmp_path / "out").read_text().splitlines()
    assert len(lines) == 200 and {from_json_line(line).stage for line in lines} == {event.stage}  # type: ignore[union-attr]


NOISY = """
import os, subprocess, sys
from ds4d_engine.control import Control
from ds4d_engine.seam import Heartbeat
control = Control.over_standard_streams()
print("python")
os.write(1, b"library\\n")
subprocess.run([sys.executable, "-c", "print('program', open(0).read())"])
control.say(Heartbeat())
"""


def test_what_else_is_printed_goes_to_the_log_and_programs_read_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOISY],
        input="not for them",
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parent.parent.parent,
        timeout=60,
        check=True,
    )
    assert [from_json_line(line) for line in done.stdout.splitlines()] == [Heartbeat()]
    assert sorted(done.stderr.split()) == ["library", "program", "python"]


def test_a_listener_that_went_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    speaker = Speaker(stream)
    speaker.say(STEP)
    speaker.say(STEP)
    with pytest.raises(BrokenPipeError):
        stream.close()
