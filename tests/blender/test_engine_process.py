# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as a child process: what comes, what goes, and how it ends."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from ds4d_blender.engine.call import EngineCall, Reply
from ds4d_blender.engine.location import Engine
from ds4d_blender.engine.mailbox import Mailbox
from ds4d_blender.engine.process import MOST_LOGGED, EngineProcess, Patience
from ds4d_engine.seam import (
    Command,
    Do,
    Event,
    Failure,
    Heartbeat,
    Hello,
    Preview,
    Progress,
    Result,
    to_json_line,
)
from tests.blender.fake_engines import fake_engine
from tests.blender.waiting import exists, lives, until

SHORT = Patience(asked=0.3, closed=0.3, terminated=0.3)


class Run:
    """A fake engine at work, and all that it has said."""

    def __init__(self, name: str, folder: Path, patience: Patience = SHORT, **environment: str):
        self.output = folder / "clip.ds4d"
        self.engine = fake_engine(name, folder, **environment)
        words = ["fit", "clip", "-o", str(self.output), "--progress", "json", "--control"]
        self.process = EngineProcess(self.engine, words, folder / "log.txt", patience=patience)
        self.said: list[Event] = []

    def hear(self) -> list[Event]:
        self.said += self.process.poll()
        return self.said

    def heard(self, kind: type[Event]) -> bool:
        return any(isinstance(event, kind) for event in self.hear())

    def start(self) -> Run:
        until(lambda: self.heard(Hello))
        self.process.say(Command(Do.START))
        return self

    def end(self) -> int:
        until(lambda: not self.process.alive)
        self.hear()
        assert self.process.exit_code is not None
        return self.process.exit_code


def code(text: str) -> list[str]:
    """A command that runs Python code."""
    return [sys.executable, "-c", text]


def finished(call: EngineCall) -> Reply:
    until(lambda: call.poll().done)
    return call.poll()


def test_what_an_engine_says_arrives_in_order_and_its_result_last(tmp_path: Path) -> None:
    run = Run("obedient", tmp_path).start()
    assert run.end() == 0
    kinds = [type(event) for event in run.said]
    assert kinds[0] is Hello and kinds[-1] is Result and {Progress, Preview} < set(kinds)
    assert run.output.read_text() == "asset, begun 1 times"


def test_an_engine_does_what_it_is_told(tmp_path: Path) -> None:
    run = Run("obedient", tmp_path, FAKE_SECONDS="60").start()
    until(lambda: run.heard(Preview))
    run.process.say(Command(Do.PAUSE))
    until(lambda: Heartbeat(paused=True) in run.hear())
    run.process.say(Command(Do.CONTINUE))
    until(lambda: Heartbeat(paused=False) in run.hear())
    run.process.stop()
    assert run.end() == 0
    assert isinstance(run.said[-1], Result) and run.said[-1].values["stopped"] == 1.0


def test_looking_and_telling_never_wait_for_an_engine_that_does_neither(tmp_path: Path) -> None:
    run = Run("stall", tmp_path).start()
    longest = 0.0
    for _ in range(3000):  # more than a pipe holds
        begun = time.perf_counter()
        run.process.say(Command(Do.PAUSE))
        run.process.poll()
        longest = max(longest, time.perf_counter() - begun)
    run.process.kill()
    run.end()
    assert longest < 0.1


def test_a_flood_keeps_the_newest_progress_and_everything_that_is_said_once(tmp_path: Path) -> None:
    run = Run("flood", tmp_path).start()
    until(lambda: not run.process.alive, 60.0)
    assert [type(event) for event in run.hear()][-2:] == [Progress, Result]
    assert len(run.said) < 10
    assert next(e for e in run.said if isinstance(e, Progress)).done > 0


def test_the_mailbox_is_bounded_whatever_is_put_into_it() -> None:
    box = Mailbox()
    for number in range(5000):
        assert box.put_line(to_json_line(Progress("fit", number, 5000)).encode() + b"\n") is None
        assert box.put_line(to_json_line(Failure(f"{number}")).encode() + b"\n") is None
    taken = box.take()
    assert len(taken) == 1001 and taken[0] == Progress("fit", 4999, 5000)
    assert taken[-1] == Failure("4999") and box.take() == []


def test_what_is_no_event_goes_to_the_log_and_the_events_around_it_arrive(tmp_path: Path) -> None:
    run = Run("talkative", tmp_path).start()
    assert run.end() == 0
    assert isinstance(run.said[-1], Result) and run.said[-1].values == {"psnr": 30.0}
    assert run.process.stray_line == "Downloading nothing ..."
    log = run.process.log.read_text()
    assert "a warning of some library" in log and len(log) < 2 * MOST_LOGGED


def test_garbage_is_no_event_and_counts_as_silence(tmp_path: Path) -> None:
    run = Run("garbage", tmp_path)
    until(lambda: run.process.stray_line)
    time.sleep(0.3)
    assert run.hear() == [] and run.process.silent_seconds > 0.25
    assert run.process.stray_line == "Welcome to the coffee machine"
    run.process.kill()
    assert run.end() == -9


@pytest.mark.parametrize(
    ("python", "words"), [("/no/such/python", "there is no /no/such/python"), ("/", "may not be")]
)
def test_a_program_that_cannot_be_started_is_one_sentence(
    python: str, words: str, tmp_path: Path
) -> None:
    process = EngineProcess(Engine(python), ["doctor"], tmp_path / "log.txt")
    until(lambda: not process.alive)
    (failure,) = process.poll()
    assert isinstance(failure, Failure) and words in failure.message
    assert failure.error == "EngineMissing" and process.exit_code == 127


def test_the_log_holds_what_goes_to_standard_error(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("earlier\n")
    process = EngineProcess(code("import sys; print('trouble', file=sys.stderr)"), [], log)
    until(lambda: not process.alive)
    assert log.read_text() == "earlier\ntrouble\n"


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    process = EngineProcess(code("print('x')"), [], tmp_path / "gone" / "log.txt")
    until(lambda: not process.alive)
    assert process.exit_code == 0 and process.stray_line == "x"


def test_words_that_no_process_can_get_are_one_sentence(tmp_path: Path) -> None:
    process = EngineProcess(code("pass"), ["a\0b"], tmp_path / "log.txt")
    until(lambda: not process.alive)
    (failure,) = process.poll()
    assert isinstance(failure, Failure) and "embedded null byte" in failure.message


def test_stopping_escalates_from_asking_to_killing_and_leaves_no_zombie(tmp_path: Path) -> None:
    run = Run("ignores_cancel", tmp_path).start()
    until(lambda: run.heard(Progress))
    pid, begun = run.process.pid, time.monotonic()
    run.process.stop()
    assert run.process.alive and lives(pid)
    assert run.end() == -9
    assert 0.8 < time.monotonic() - begun < 5.0
    assert not exists(pid)


def test_an_engine_that_is_let_go_ends_by_itself_with_asset_and_checkpoint(tmp_path: Path) -> None:
    run = Run("obedient", tmp_path, Patience(), FAKE_SECONDS="60").start()
    until(lambda: run.heard(Preview))
    run.process.release()
    assert run.end() == 0
    assert run.output.is_file() and Path(f"{run.output}.checkpoint").read_text() == "end"
    assert sorted(path.name for path in tmp_path.glob("*preview*")) == []


def test_what_an_engine_started_ends_with_it(tmp_path: Path) -> None:
    child = tmp_path / "child.txt"
    run = Run("leaves_grandchild", tmp_path, FAKE_CHILD=str(child)).start()
    assert run.end() == 0
    until(lambda: not lives(int(child.read_text())), 5.0)


def test_killing_ends_what_an_engine_started(tmp_path: Path) -> None:
    text = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({code('import time; time.sleep(600)')!r})\n"
        "print(child.pid, flush=True)\ntime.sleep(600)"
    )
    process = EngineProcess(code(text), [], tmp_path / "log.txt")
    until(lambda: process.stray_line)
    process.kill()
    until(lambda: not process.alive)
    until(lambda: not lives(int(process.stray_line)), 5.0)


def test_no_thread_stays_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    Run("obedient", tmp_path, FAKE_SECONDS="0").start().end()
    until(lambda: threading.active_count() <= before, 5.0)


def test_the_engine_does_not_get_the_settings_of_blenders_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/blender")
    monkeypatch.setenv("PYTHONPATH", "/blender/lib")
    variables = Engine("python", environment={"PYTHONPATH": "/engine"}).variables()
    assert "PYTHONHOME" not in variables and variables["PYTHONPATH"] == "/engine"
    assert variables["PYTHONSAFEPATH"] == "1"


def test_a_call_returns_the_json_that_was_printed(tmp_path: Path) -> None:
    text = 'print(\'{\\n "able": false,\\n "checks": []\\n}\'); raise SystemExit(1)'
    reply = finished(EngineCall(code(text), []))
    assert reply.result == {"able": False, "checks": []} and reply.error == ""


def test_a_call_tells_progress_and_then_the_result(tmp_path: Path) -> None:
    lines = [to_json_line(Progress("find object", 1, 2))]
    lines.append(to_json_line(Result({"masks": "here"}, {"frames": 2})))
    reply = finished(EngineCall(code(f"print(*{lines!r}, sep='\\n')"), []))
    assert reply.progress == Progress("find object", 1, 2)
    assert reply.result == {"files": {"masks": "here"}, "values": {"frames": 2.0}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"print({to_json_line(Failure('There is no clip.'))!r}); raise SystemExit(2)", "no clip."),
        ("import sys; sys.exit('ds4d: error: There is no clip.')", "There is no clip."),
        ("import no_such_package", "A package of the engine is missing"),
        ("raise SystemExit(3)", "exit code 3"),
    ],
)
def test_a_call_that_fails_is_one_sentence(text: str, sentence: str) -> None:
    reply = finished(EngineCall(code(text), []))
    assert reply.result is None and sentence in reply.error
    assert "\n" not in reply.error and "Traceback" not in reply.error


def test_a_call_that_is_cancelled_or_silent_is_over_and_its_process_gone() -> None:
    for seconds in (60.0, 0.2):
        call = EngineCall(code("import time; time.sleep(600)"), [], seconds=seconds)
        until(lambda call=call: call._process.pid)
        if seconds == 60.0:
            call.cancel()
        reply = finished(call)
        assert reply.error and reply.result is None
        until(lambda call=call: not lives(call._process.pid), 5.0)
