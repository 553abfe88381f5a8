# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine on another machine: files go there, results come back, nothing stays behind."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ds4d_blender.engine.call import EngineCall, Reply
from ds4d_blender.engine.location import Engine, quoted
from ds4d_blender.engine.process import Patience
from ds4d_blender.engine.transfer import Link, fetch, send, signature
from ds4d_blender.jobs.attempt import Limits
from ds4d_blender.jobs.job import Job, State
from ds4d_engine.seam import EngineError
from tests.blender.fake_engines import FOLDER, Stepper, fake_engine
from tests.blender.waiting import lives, until

pytestmark = pytest.mark.skipif(
    os.name == "nt" or shutil.which("tar") is None, reason="needs a shell and tar over there"
)
LIMITS = Limits(patience=Patience(20.0, 10.0, 2.0))


@dataclasses.dataclass
class Far:
    """The other machine, which is a folder of this one."""

    engine: Engine
    home: Path
    calls: Path
    here: Path

    def fit(self, **fields: object) -> tuple[Stepper, Job]:
        """Queue a fit of a clip and its masks."""
        clip, masks = self.here / "my clip é.mp4", self.here / "masks"
        clip.write_bytes(b"film" * 1000)
        masks.mkdir(exist_ok=True)
        (masks / "0.png").write_bytes(b"mask")
        words = [str(clip), f"--masks={masks}", "--set", "seed=3"]
        stepper = Stepper(self.here / "jobs", lambda: self.engine, LIMITS)
        inputs = [str(clip), str(masks)]
        output = str(self.here / "out clip.ds4d")
        return stepper, stepper.queue.add(Job("clip", words, output, inputs, **fields))

    def left(self) -> list[str]:
        """What lies in the work folder over there."""
        return sorted(path.name for path in (self.home / "ds4d jobs").glob("*"))


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Far]]:
    def build(name: str, **environment: str) -> Far:
        home, here, calls = tmp_path / "far", tmp_path / "here", tmp_path / "calls.txt"
        home.mkdir(exist_ok=True)
        here.mkdir(exist_ok=True)
        monkeypatch.setenv("FAKE_SSH_HOME", str(home))
        monkeypatch.setenv("FAKE_SSH_LOG", str(calls))
        prefix = (sys.executable, str(FOLDER / "ssh.py"), "far")
        engine = fake_engine(name, tmp_path, **environment)
        engine = dataclasses.replace(engine, prefix=prefix, folder="~/ds4d jobs")
        return Far(engine, home, calls, here)

    yield build


def test_words_reach_the_other_machine_as_they_are() -> None:
    words = ["a b", "it's", '"quoted"', "$HOME", "é", "*", ""]
    line = Engine("/usr/bin/python3", ("ssh", "far")).line(*words)
    shell = line.replace("-m ds4d_engine", "-c 'import sys; print(sys.argv[1:])'")
    said = subprocess.run(
        [shutil.which("sh") or "sh", "-c", shell.replace("/usr/bin/python3", sys.executable)],
        capture_output=True,
        check=True,
    )
    assert said.stdout.decode().strip() == repr(words)


def test_a_tilde_is_the_home_of_the_other_machine() -> None:
    shell = subprocess.run(
        ["sh", "-c", f"echo {quoted('~/a b')} {quoted('~')} {quoted('a~/b')}"],
        capture_output=True,
        check=True,
        env={"HOME": "/far"},
    )
    assert shell.stdout == b"/far/a b /far a~/b\n"


def test_files_and_folders_come_back_as_they_went(far: Callable[..., Far]) -> None:
    there = far("obedient")
    source = there.here / "a folder"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "é.bin").write_bytes(os.urandom(700_000))
    (there.here / "link.bin").symlink_to(source / "deep" / "é.bin")
    link, paths, went = Link(there.engine), [str(source), str(there.here / "link.bin")], []
    send(link, paths, str(there.home / "in"), went.append)
    assert went == sorted(went) and went[-1] > 1_400_000
    assert (there.home / "in" / ".sent").read_text() == signature(paths)
    back = {"é.bin": there.here / "back.bin", "absent": there.here / "absent"}
    assert fetch(link, f"{there.home}/in/0/a folder/deep", back, went.append) == ["é.bin"]
    assert back["é.bin"].read_bytes() == (source / "deep" / "é.bin").read_bytes()
    assert (there.home / "in" / "1" / "link.bin").stat().st_size == 700_000


def test_a_fit_elsewhere_is_like_one_here(far: Callable[..., Far]) -> None:
    there = far("obedient", FAKE_SECONDS="1.5")
    stepper, job = there.fit()
    pictures = set()

    def over() -> bool:
        if job.preview and Path(job.preview).exists():
            pictures.add(Path(job.preview).read_text())
        return job.state.is_over

    stepper.until(over, 30.0)
    assert (job.state, job.message) == (State.DONE, "Done.")
    assert "preview 1" in pictures and Path(job.preview).parent == there.here
    assert Path(job.output).read_text() == "asset, begun 1 times"
    assert there.left() == []
    assert not list(there.here.glob(".*part*")) and not list(there.here.glob("*preview*"))
    stepper.end()


def test_inputs_lie_over_there_under_the_names_that_the_words_give(
    far: Callable[..., Far],
) -> None:
    there = far("obedient", FAKE_SECONDS="60")
    stepper, job = there.fit()
    stepper.until(lambda: job.values.get("psnr"), 30.0)
    calls = there.calls.read_text()
    folder = there.home / "ds4d jobs" / job.id
    assert (folder / "in" / "0" / "my clip é.mp4").read_bytes() == b"film" * 1000
    assert (folder / "in" / "1" / "masks" / "0.png").read_bytes() == b"mask"
    assert f"{folder}/in/0/my clip" in calls and f"--masks={folder}/in/1/masks" in calls
    assert f"{folder}/out/out clip.ds4d" in calls and str(there.here) not in calls.split("fit")[-1]
    stepper.end()


def test_a_cancelled_fit_brings_back_what_there_is_and_goes_on_without_sending_again(
    far: Callable[..., Far],
) -> None:
    there = far("obedient", FAKE_SECONDS="3")
    stepper, job = there.fit()
    stepper.until(lambda: job.values.get("gaussians"), 30.0)
    stepper.queue.cancel(job.id)
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.state is State.STOPPED and job.resumable
    assert Path(job.output).is_file() and Path(f"{job.output}.checkpoint").is_file()
    sent = there.calls.read_text().count("tar -xf")
    stepper.queue.retry(job.id)
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.state is State.DONE and there.calls.read_text().count("tar -xf") == sent == 1
    assert Path(job.output).read_text() == "asset, begun 2 times"
    stepper.end()


def test_a_checkpoint_that_is_only_here_is_taken_along(far: Callable[..., Far]) -> None:
    there = far("obedient")
    stepper, job = there.fit(resumable=True)
    Path(f"{job.output}.checkpoint").write_text("of this machine")
    stepper.until(lambda: job.state.is_over, 30.0)
    assert Path(job.output).read_text() == "asset, begun 2 times"
    stepper.end()


def test_banners_of_a_login_disturb_nothing(
    far: Callable[..., Far], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = far("obedient")
    stepper, job = there.fit()
    there.engine.shell("true")
    monkeypatch.setenv("FAKE_SSH_BANNER", "1")
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.state is State.DONE, job.message
    stepper.end()


def test_a_machine_that_does_not_answer_is_one_sentence(
    far: Callable[..., Far], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = far("obedient")
    monkeypatch.setenv("FAKE_SSH_REFUSES", "1")
    stepper, job = there.fit()
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.state is State.FAILED and job.message == (
        "The files could not be copied to far: ssh: connect to host far: Connection refused."
    )
    stepper.end()


def answer(engine: Engine) -> Reply:
    call = EngineCall(engine, ["doctor", "--json"])
    until(lambda: call.poll().done)
    return call.poll()


def test_a_call_reaches_the_other_machine_and_says_what_keeps_it_from_there(
    far: Callable[..., Far], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = far("answers")
    monkeypatch.setenv("FAKE_SSH_BANNER", "1")
    assert answer(there.engine).result == {"able": True, "words": ["doctor", "--json"]}
    assert "is not there" in answer(dataclasses.replace(there.engine, python="/no/python")).error
    monkeypatch.setenv("FAKE_SSH_REFUSES", "1")
    assert answer(there.engine).error == (
        "The other machine cannot be reached (ssh: connect to host far: Connection refused); "
        "check it in the add-on's preferences."
    )


def test_an_input_that_is_gone_is_one_sentence(far: Callable[..., Far]) -> None:
    there = far("obedient")
    stepper, job = there.fit()
    Path(job.inputs[0]).unlink()
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.state is State.FAILED and "my clip é.mp4" in job.message
    assert job.message.endswith(".") and "\n" not in job.message
    stepper.end()


def test_a_lost_connection_can_be_resumed_and_the_worker_there_is_not_left_alone(
    far: Callable[..., Far],
) -> None:
    there = far("obedient", FAKE_SECONDS="4")
    stepper, job = there.fit()
    stepper.until(lambda: job.values.get("gaussians"), 30.0)
    folder = there.home / "ds4d jobs" / job.id
    worker = int((folder / "worker.pid").read_text())
    assert lives(worker)
    os.kill(worker, signal.SIGKILL)
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.state is State.FAILED and job.resumable
    assert job.message.endswith("Resume goes on from the last checkpoint.")
    stepper.queue.retry(job.id)
    stepper.until(lambda: job.state.is_over, 30.0)
    assert Path(job.output).read_text() == "asset, begun 2 times"
    stepper.end()


def test_a_worker_that_was_left_over_there_is_ended_before_another_begins(
    far: Callable[..., Far],
) -> None:
    there = far("obedient")
    words = [sys.executable, "-c", "import time; time.sleep(60)", "ds4d_engine"]
    with subprocess.Popen(words) as left:
        threading.Thread(target=left.wait, daemon=True).start()
        before = there.home / "ds4d jobs" / "before"
        before.mkdir(parents=True)
        (before / "worker.pid").write_text(f"{left.pid}\n")
        stepper, job = there.fit()
        before.rename(before.with_name(job.id))  # whole, before the job looks
        stepper.until(lambda: job.state.is_over, 30.0)
        assert not lives(left.pid) and job.state is State.DONE
    stepper.end()


def test_after_blender_was_closed_a_fit_elsewhere_goes_on_from_its_checkpoint_there(
    far: Callable[..., Far],
) -> None:
    there = far("obedient", FAKE_SECONDS="3")
    stepper, job = there.fit()
    stepper.until(lambda: job.values.get("gaussians"), 30.0)
    stepper.queue.shutdown()
    checkpoint = there.home / "ds4d jobs" / job.id / "out" / f"{Path(job.output).name}.checkpoint"
    until(lambda: checkpoint.exists() and checkpoint.read_text() == "end")
    assert not Path(f"{job.output}.checkpoint").exists()
    again = Stepper(there.here / "jobs", lambda: there.engine, LIMITS)
    (same,) = again.queue.jobs
    assert same.state is State.FAILED and same.resumable
    again.queue.retry(same.id)
    again.until(lambda: same.state.is_over, 30.0)
    assert Path(same.output).read_text() == "asset, begun 2 times"
    again.end()


def test_a_fit_elsewhere_that_is_ended_at_once_goes_on_from_its_checkpoint_there(
    far: Callable[..., Far],
) -> None:
    there = far("stall")
    stepper, job = there.fit()
    stepper.until(lambda: job.values.get("psnr"), 30.0)
    checkpoint = there.home / "ds4d jobs" / job.id / "out" / f"{Path(job.output).name}.checkpoint"
    until(checkpoint.exists)
    stepper.queue.kill(job.id)
    stepper.until(lambda: job.state.is_over, 5.0)
    assert job.state is State.STOPPED and job.resumable
    stepper.end()


def test_cancelling_while_files_are_sent_ends_at_once(far: Callable[..., Far]) -> None:
    there = far("obedient")
    stepper, job = there.fit()
    pipe = there.here / "endless"
    os.mkfifo(pipe)
    job.inputs.append(str(pipe))  # nobody ever writes to it
    job.inputs[0] = str(there.here / "big.bin")
    with open(job.inputs[0], "wb") as file:
        file.truncate(2 << 30)
    stepper.until(lambda: job.part > 0.0005, 30.0)
    begun = time.monotonic()
    stepper.queue.cancel(job.id)
    stepper.until(lambda: job.state.is_over, 10.0)
    assert time.monotonic() - begun < 3.0
    assert job.state is State.STOPPED and not Path(job.output).exists()
    assert not (there.home / "ds4d jobs" / job.id / "in").exists()
    stepper.end()


def test_a_removed_job_is_removed_over_there(far: Callable[..., Far]) -> None:
    there = far("fails", FAKE_LAST_WORDS="MemoryError")
    stepper, job = there.fit()
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.error == "OutOfMemory" and there.left() == [job.id]
    stepper.queue.remove(job.id)
    until(lambda: there.left() == [])
    stepper.end()


def test_what_cannot_be_fetched_is_one_sentence(far: Callable[..., Far]) -> None:
    there = far("obedient")
    with pytest.raises(EngineError, match="could not be copied from far"):
        fetch(Link(there.engine), "/no/such/folder", {"a": there.here / "a"}, lambda count: None)
    assert list(there.here.iterdir()) == []
