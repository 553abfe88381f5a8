# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs with the real engine in its own interpreter: tiny fits from the start to the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ds4d_blender.engine.location import Engine
from ds4d_blender.jobs.job import Job, State
from ds4d_engine.seam import Asset, read_asset
from tests.blender.fake_engines import FOLDER, Stepper
from tests.blender.tiny_film import write_film
from tests.blender.waiting import lives, until

SETTINGS = ("--preset", "draft", "--size", "32", "--motion", "spline", "--threads", "1")
SLOW = 120.0
"""Seconds for a fit that takes three, on a machine that is busy with others."""
SMALL = ("gaussians=150", "max_gaussians=200", "reveal_times=0")
ARRAYS = ("means", "quats", "scales", "opacities", "sh0", "shN", "dynamic_scores")


@pytest.fixture(scope="module")
def engine(repository: Path) -> Engine:
    """The engine of DS4D_ENGINE_PYTHON, or of this checkout's own environment."""
    python = os.environ.get("DS4D_ENGINE_PYTHON", "")
    if not python:
        own = repository / ".nox" / "engine" / "bin" / "python"
        if not own.is_file():
            pytest.skip("needs an engine: set DS4D_ENGINE_PYTHON, or run `nox -s tests_engine`")
        python = str(own)
    environment = {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    return Engine(python, environment=environment)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "disc")


@pytest.fixture
def stepper(engine: Engine, tmp_path: Path) -> Iterator[Stepper]:
    stepper = Stepper(tmp_path / "jobs", lambda: engine)
    yield stepper
    stepper.end()


@pytest.fixture
def add(stepper: Stepper, film: Path, tmp_path: Path) -> Callable[..., Job]:
    """Queues a fit of the tiny film."""

    def build(name: str, iterations: int, *words: str) -> Job:
        steps = ("--set", f"iterations={iterations}", *SMALL)
        words = (str(film), *SETTINGS, *steps, *words)
        return stepper.queue.add(Job(name, list(words), str(tmp_path / f"{name}.ds4d")))

    return build


def same(first: Asset, second: Asset) -> bool:
    """Tell whether two assets hold the same splats, bit for bit."""
    pairs = [
        (getattr(getattr(first, part), name), getattr(getattr(second, part), name))
        for part in ("static", "dynamic")
        for name in ARRAYS
    ]
    pairs += [(getattr(first.motion, n), getattr(second.motion, n)) for n in ARRAYS[:3]]
    return all(np.array_equal(one, other) for one, other in pairs)


def test_a_fit_shows_previews_and_ends_with_an_asset(
    stepper: Stepper, add: Callable[..., Job]
) -> None:
    job = add("clip", 300, "--preview-seconds", "0.2")
    previews: list[Asset] = []

    def over() -> bool:
        if job.preview_count > len(previews) and Path(job.preview).exists():
            previews.append(read_asset(job.preview))
            assert Path(job.picture).read_bytes().startswith(b"\x89PNG")
        return job.state.is_over

    seen = stepper.until(over, SLOW)
    assert (job.state, job.error) == (State.DONE, ""), job.message
    asset = read_asset(job.output)
    assert asset.frame_count == 4 and job.values["gaussians"] > 100 and job.values["psnr"] > 15
    assert previews and not same(previews[0], asset)
    parts = [part for _, part in seen]
    assert parts == sorted(parts) and len(set(parts)) > 5
    assert not Path(job.preview).exists(), "previews are removed at the end"
    print(f"longest step of {len(stepper.times)}: {1e3 * max(stepper.times):.1f} ms")


def test_a_fit_pauses_goes_on_and_cancels_in_the_middle(
    stepper: Stepper, add: Callable[..., Job]
) -> None:
    job = add("clip", 100_000)
    stepper.until(lambda: job.values.get("gaussians"), SLOW)
    stepper.queue.pause(job.id)
    stepper.until(lambda: job.state is State.PAUSED)
    assert Path(f"{job.output}.checkpoint").is_file()
    part = job.part
    stepper.rest(1.0)
    assert job.part == part
    stepper.queue.go_on(job.id)
    stepper.until(lambda: job.part > part)
    begun = time.monotonic()
    stepper.queue.cancel(job.id)
    stepper.until(lambda: job.state.is_over)
    print(f"cancelled in {time.monotonic() - begun:.1f} s")
    assert job.state is State.STOPPED and job.resumable
    assert job.message == "Stopped early; what there was is kept."
    assert read_asset(job.output).frame_count == 4 and not lives(job.worker)


def test_a_fit_that_is_cancelled_before_it_begins_leaves_nothing(
    stepper: Stepper, add: Callable[..., Job], tmp_path: Path
) -> None:
    job = add("clip", 100_000)
    stepper.until(lambda: job.state is State.RUNNING)
    stepper.queue.cancel(job.id)
    stepper.until(lambda: job.state.is_over, SLOW)
    assert job.state is State.STOPPED and not job.resumable
    assert job.message == "Cancelled; there was nothing to keep yet."
    assert [path.name for path in tmp_path.iterdir()] == ["jobs"]


def test_a_killed_worker_is_resumed_to_the_result_of_an_uninterrupted_fit(
    stepper: Stepper, add: Callable[..., Job]
) -> None:
    whole = add("whole", 500)
    stepper.until(lambda: whole.state.is_over, SLOW)
    cut = add("cut", 500, "--set", "checkpoint_seconds=0.1")
    checkpoint = Path(f"{cut.output}.checkpoint")
    stepper.until(lambda: checkpoint.is_file() and cut.part > 0.3, SLOW)
    os.kill(cut.worker, signal.SIGKILL)
    stepper.until(lambda: cut.state.is_over)
    assert cut.state is State.FAILED and cut.error == "EngineKilled" and cut.resumable
    assert cut.message.endswith("Resume goes on from the last checkpoint.")
    assert not Path(cut.output).exists()
    stepper.queue.retry(cut.id)
    stepper.until(lambda: cut.state.is_over, SLOW)
    assert cut.state is State.DONE, cut.message
    assert same(read_asset(whole.output), read_asset(cut.output))


@pytest.mark.skipif(os.name == "nt", reason="needs a shell over there")
def test_a_fit_elsewhere_shows_previews_here_and_brings_its_asset(
    engine: Engine, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "far"
    home.mkdir()
    monkeypatch.setenv("FAKE_SSH_HOME", str(home))
    prefix = (sys.executable, str(FOLDER / "ssh.py"), "far")
    far = Engine(engine.python, prefix, "~/work", engine.environment)
    stepper = Stepper(tmp_path / "jobs", lambda: far)
    words = [str(film), *SETTINGS, "--set", "iterations=300", *SMALL, "--preview-seconds", "0.2"]
    job = stepper.queue.add(Job("clip", words, str(tmp_path / "clip.ds4d"), [str(film)]))
    stepper.until(lambda: job.preview_count or job.state.is_over, SLOW)
    assert read_asset(job.preview).frame_count == 4 and Path(job.preview).parent == tmp_path
    stepper.until(lambda: job.state.is_over, SLOW)
    assert job.state is State.DONE, job.message
    assert read_asset(job.output).frame_count == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.ds4d", "far", "jobs"]
    assert list((home / "work").iterdir()) == []
    stepper.end()


PARENT = """
import sys, time
from pathlib import Path
from ds4d_blender.engine.location import Engine
from ds4d_blender.jobs.job import Job
from ds4d_blender.jobs.queue import JobQueue

folder, python, repository, *words = sys.argv[1:]
engine = Engine(python, environment={"PYTHONPATH": repository, "OMP_NUM_THREADS": "1"})
queue = JobQueue(Path(folder) / "jobs", lambda: engine)
job = queue.add(Job("clip", words, str(Path(folder) / "clip.ds4d")))
while not job.values.get("gaussians"):
    queue.step()
    time.sleep(0.05)
print(job.worker, flush=True)
while True:
    queue.step()
    time.sleep(0.05)
"""


def test_when_blender_is_killed_the_worker_ends_and_its_checkpoint_is_good(
    engine: Engine, film: Path, tmp_path: Path, repository: Path
) -> None:
    words = [str(film), *SETTINGS, "--set", "iterations=600", *SMALL]
    command = [sys.executable, "-c", PARENT, str(tmp_path), engine.python, str(repository), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=repository) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert lives(worker)
        parent.kill()
        begun = time.monotonic()
        until(lambda: not lives(worker), 10.0)
        print(f"the worker was gone after {time.monotonic() - begun:.1f} s")
    assert not list(tmp_path.glob("*part*")) and not list(tmp_path.glob("*preview*"))
    again = Stepper(tmp_path / "jobs", lambda: engine)
    (job,) = again.queue.jobs
    assert job.state is State.FAILED and job.resumable
    assert job.message.startswith("Blender was closed while this was fitting; Resume")
    again.queue.retry(job.id)
    again.until(lambda: job.state.is_over, SLOW)
    assert job.state is State.DONE, job.message
    assert read_asset(job.output).frame_count == 4
    again.end()


def test_what_the_engine_refuses_is_its_own_sentence(stepper: Stepper, tmp_path: Path) -> None:
    job = stepper.queue.add(Job("clip", [str(tmp_path / "no.mp4")], str(tmp_path / "clip.ds4d")))
    stepper.until(lambda: job.state.is_over, SLOW)
    assert job.state is State.FAILED and job.error == "DatasetError" and not job.resumable
    assert "no.mp4" in job.message and "\n" not in job.message
