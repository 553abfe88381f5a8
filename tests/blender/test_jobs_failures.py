# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever goes wrong with an engine becomes one sentence, and the job can be tried again."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ds4d_blender.engine.location import Engine
from ds4d_blender.engine.process import Patience
from ds4d_blender.jobs.attempt import SILENT, Limits
from ds4d_blender.jobs.job import Job, State
from tests.blender.fake_engines import Stepper, fake_engine
from tests.blender.waiting import lives

SOON = Patience(0.3, 0.3, 0.3)
QUICK = Limits(silent=0.4, patience=SOON)
HASTY = Limits(silent=0.4, greeting=1.2, patience=SOON)


class Fit:
    """One job with an engine of a certain behaviour."""

    def __init__(self, folder: Path, engine: Engine | str, limits: Limits = QUICK, **env: str):
        if isinstance(engine, str):
            engine = fake_engine(engine, folder, **env)
        self.stepper = Stepper(folder / "jobs", lambda: engine, limits)
        self.job = self.stepper.queue.add(Job("clip", ["clip.mp4"], str(folder / "clip.ds4d")))

    def end(self, state: State = State.FAILED, error: str = "") -> str:
        """Step until the job is over and return its sentence."""
        self.stepper.until(lambda: self.job.state.is_over)
        self.stepper.end()
        assert self.job.state is state and self.job.error == error
        message = self.job.message
        assert message.endswith(".") and "\n" not in message and "Traceback" not in message
        assert self.stepper.queue.current is None
        return message


def test_a_missing_interpreter(tmp_path: Path) -> None:
    message = Fit(tmp_path, Engine("/no/such/python")).end(error="EngineMissing")
    assert message == (
        "The engine cannot be started, there is no /no/such/python; choose or install it in the "
        "add-on's preferences."
    )


def test_an_interpreter_without_the_engine(tmp_path: Path) -> None:
    message = Fit(tmp_path, Engine(sys.executable)).end(error="EngineMissing")
    assert message == ("This Python has no DS4D engine; install it in the add-on's preferences.")


def test_an_engine_that_ends_at_once(tmp_path: Path) -> None:
    message = Fit(tmp_path, "exits_at_once").end(error="NoEngine")
    assert message.startswith("The engine ended before it said anything (exit code 3);")


def test_an_engine_of_another_version(tmp_path: Path) -> None:
    message = Fit(tmp_path, "wrong_version").end(error="EngineOutdated")
    assert message == (
        "The engine is version 9.8.7 and speaks version 7, 8 of the conversation where this "
        "add-on speaks 1; update it in the add-on's preferences."
    )


def test_a_program_that_prints_only_garbage(tmp_path: Path) -> None:
    fit = Fit(tmp_path, "garbage", HASTY)
    message = fit.end(error="NoEngine")
    assert "no DS4D engine, it said “Welcome to the coffee machine”" in message
    assert "coffee" in Path(fit.job.log).read_text("utf-8", "replace")


def test_a_program_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    message = Fit(tmp_path, "mute", HASTY).end(error="EngineSilent")
    assert message.startswith("The engine did not answer for 1 s; check it")


def test_an_engine_that_falls_silent_is_said_to_and_can_be_ended_and_resumed(
    tmp_path: Path,
) -> None:
    fit = Fit(tmp_path, "stall")
    fit.stepper.until(lambda: fit.job.error == SILENT)
    assert fit.job.state is State.RUNNING
    assert fit.job.message.startswith("The engine has not answered for 0 s; wait, or end it")
    worker = fit.job.worker
    fit.stepper.queue.kill(fit.job.id)
    assert fit.end(State.STOPPED) == "Stopped; Resume goes on from the last checkpoint."
    assert fit.job.resumable and not lives(worker)


def test_an_engine_that_speaks_again_is_no_longer_called_silent(tmp_path: Path) -> None:
    fit = Fit(tmp_path, "obedient", FAKE_SECONDS="7")  # a word every 0.7 s
    fit.stepper.until(lambda: fit.job.error == SILENT)
    fit.stepper.until(lambda: fit.job.error == "" and fit.job.message == "")
    fit.stepper.end()


def test_time_in_which_blender_did_not_look_is_no_silence(tmp_path: Path) -> None:
    fit = Fit(tmp_path, "stall", Limits(silent=1.5))
    fit.stepper.until(lambda: fit.job.part > 0.1)
    time.sleep(2.0)  # a render that holds the main thread
    fit.stepper.step()
    assert fit.job.error == ""
    fit.stepper.end()


def test_cancelling_an_engine_that_ignores_it_ends_it_all_the_same(tmp_path: Path) -> None:
    fit = Fit(tmp_path, "ignores_cancel")
    fit.stepper.until(lambda: fit.job.part > 0)
    worker = fit.job.worker
    fit.stepper.queue.cancel(fit.job.id)
    assert fit.end(State.STOPPED) == "Cancelled; there was nothing to keep yet."
    assert not lives(worker) and not Path(fit.job.output).exists()


def test_cancelling_before_the_engine_has_spoken(tmp_path: Path) -> None:
    fit = Fit(tmp_path, "mute")
    fit.stepper.until(lambda: fit.job.state is State.STARTING)
    fit.stepper.queue.cancel(fit.job.id)
    assert fit.end(State.STOPPED) == "Cancelled; there was nothing to keep yet."


@pytest.mark.parametrize(
    ("name", "what"),
    [("SIGKILL", "was killed, by the system when the memory"), ("SIGSEGV", "crashed (SIGSEGV)")],
)
def test_an_engine_that_a_signal_ends_can_be_resumed(name: str, what: str, tmp_path: Path) -> None:
    fit = Fit(tmp_path, "dies_by_signal", FAKE_SIGNAL=name)
    message = fit.end(error="EngineKilled")
    assert what in message and fit.job.resumable
    assert message.endswith("Resume goes on from the last checkpoint.")


def test_what_an_engine_says_of_its_failure_is_what_the_artist_reads(tmp_path: Path) -> None:
    said = "The memory ran out; choose a smaller preset."
    fit = Fit(tmp_path, "fails", FAKE_MESSAGE=said, FAKE_ERROR="OutOfMemory", FAKE_RESUMABLE="1")
    assert fit.end(error="OutOfMemory") == said
    assert fit.job.resumable


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        ("MemoryError", "OutOfMemory", "The memory ran out; choose a smaller preset."),
        ("torch.OutOfMemoryError: CUDA out of memory.", "OutOfMemory", "The GPU's memory ran out"),
        ("RuntimeError: CUDA error: device lost", "CudaLost", "The GPU stopped answering"),
        ("OSError: [Errno 28] No space left on device", "DiskFull", "The disk is full; make room"),
        ("ds4d: error: There is no clip x.mp4.", "EngineError", "There is no clip x.mp4."),
        ("something odd", "EngineError", "The engine ended without saying why (exit code 1);"),
    ],
)
def test_last_words_in_the_log_say_what_happened(
    words: str, error: str, sentence: str, tmp_path: Path
) -> None:
    fit = Fit(tmp_path, "fails", FAKE_LAST_WORDS=words)
    assert fit.end(error=error).startswith(sentence)


def test_what_a_library_grumbled_about_on_the_way_is_not_the_reason(tmp_path: Path) -> None:
    grumble = "\n".join(["No module named xformers", *map(str, range(6)), "something odd"])
    fit = Fit(tmp_path, "fails", FAKE_LAST_WORDS=grumble)
    assert fit.end(error="EngineError").startswith("The engine ended without saying why")


def test_the_log_of_an_earlier_attempt_explains_nothing(tmp_path: Path) -> None:
    fit = Fit(tmp_path, "fails", FAKE_LAST_WORDS="something odd")
    Path(tmp_path / "jobs" / f"{fit.job.id}.log").write_text("MemoryError\n")
    assert "without saying why" in fit.end(error="EngineError")


def test_an_old_checkpoint_of_another_fit_is_not_resumed_from(tmp_path: Path) -> None:
    old = tmp_path / "clip.ds4d.checkpoint"
    old.write_text("of last week")
    os.utime(old, (1e9, 1e9))
    fit = Fit(tmp_path, "fails", FAKE_LAST_WORDS="something odd")
    fit.end(error="EngineError")
    assert not fit.job.resumable


def test_a_checkpoint_that_is_gone_is_not_asked_for(tmp_path: Path) -> None:
    fit = Fit(tmp_path, "obedient", FAKE_SECONDS="0.1")
    fit.job.resumable = True
    assert fit.end(State.DONE) == "Done."
    assert Path(fit.job.output).read_text() == "asset, begun 1 times"
