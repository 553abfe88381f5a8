# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole path of an artist: start, watch, pause, cancel, save, load, undo; real fits, tiny."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender import live, session
from ds4d_blender.engine.location import Engine
from ds4d_blender.install.check import EngineState, Kind
from ds4d_blender.jobs.job import Job, State
from ds4d_blender.nodes import input_value, set_input
from ds4d_blender.operators import subject
from ds4d_blender.session import Session
from ds4d_engine.seam import read_asset, write_asset
from tests.blender.fake_engines import fake_engine
from tests.blender.observe import played
from tests.blender.pictures import write_clip
from tests.blender.synthetic import asset

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("registered")

# A few seconds of a fit, with previews several times a second.
TINY = """
gaussians = 300
max_gaussians = 400
nodes = 20
iterations = {steps}
checkpoint_seconds = {checkpoint_seconds}

[options]
size = 32
preview_seconds = 0.2
"""


def real_engine() -> Engine:
    """Return an engine that fits; skip where none is installed."""
    python = os.environ.get("DS4D_ENGINE_PYTHON") or str(ROOT / ".nox/engine/bin/python")
    if not Path(python).is_file():
        pytest.skip("no engine: set DS4D_ENGINE_PYTHON, or run `nox -s tests_engine` once")
    return Engine(python, environment={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})


class Desk:
    """A Blender with an engine, and somebody who lets time pass."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = session.current()
        self.times: list[float] = []
        self.closed = False

    def until(self, condition: Callable[[], object], seconds: float = 90.0) -> None:
        """Step as Blender's timer does until something is so."""
        end = time.monotonic() + seconds
        while not condition():
            jobs = [(job.state.value, job.message) for job in self.now.queue.jobs]
            assert time.monotonic() < end, f"waited {seconds} s in vain: {jobs}"
            begun = time.perf_counter()
            wait = self.now.step()
            self.times.append(time.perf_counter() - begun)
            time.sleep(min(wait, 0.02))

    def start(
        self,
        clip: Path,
        name: str,
        steps: int = 60,
        checkpoint_seconds: float = 60.0,
        **given: object,
    ) -> Job:
        """Press Start; return the job."""
        config = self.folder / f"{name}.toml"
        config.write_text(TINY.format(steps=steps, checkpoint_seconds=checkpoint_seconds))
        result = bpy.ops.ds4d.fit(
            source="CLIP",
            path=str(clip),
            output=str(self.folder / f"{name}.ds4d"),
            config=str(config),
            preset="DRAFT",
            **given,
        )
        assert result == {"FINISHED"}
        return self.now.queue.jobs[-1]

    def end(self) -> None:
        """End what runs."""
        current = self.now.queue.current
        if current is not None and not self.closed:
            self.now.queue.kill(current.id)
            self.until(lambda: self.now.queue.current is None)
        self.now.close()

    def follower(self, job: Job) -> bpy.types.Object:
        """Return the object that follows a job."""
        (target,) = live.followers()[job.id]
        return target


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: None) -> Iterator[object]:
    """Gives a desk with the engine of a test."""
    ready = EngineState(Kind.READY, "The engine is ready.")
    monkeypatch.setattr(subject, "engine_state", lambda: ready)
    desks: list[Desk] = []

    def build(engine: Engine) -> Desk:
        monkeypatch.setattr(session, "chosen_engine", lambda: engine)
        monkeypatch.setattr(session, "_session", Session(tmp_path / "jobs"))
        desks.append(Desk(tmp_path))
        return desks[-1]

    yield build
    for desk in desks:
        desk.end()


Use = Callable[[Engine], Desk]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "ball")


def test_a_real_fit_is_seen_growing_saved_reloaded_done_and_played(
    use: Use, clip: Path, tmp_path: Path
) -> None:
    desk = use(real_engine())
    other = bpy.data.objects.new("Other", None)
    bpy.context.scene.collection.objects.link(other)
    other.select_set(True)
    job = desk.start(clip, "ball", steps=150)
    assert bpy.context.selected_objects == [other]
    assert len(desk.follower(job).data.points) == 0

    desk.until(lambda: desk.follower(job)[live.SHOWS_KEY])
    first = desk.follower(job)[live.SHOWS_KEY]
    assert len(desk.follower(job).data.points) > 0 and job.state is State.RUNNING
    assert "psnr" in job.values and Path(job.picture).is_file()

    # The file is saved and loaded while it works.
    desk.follower(job).location = (0.0, 5.0, 0.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    desk.until(lambda: desk.follower(job)[live.SHOWS_KEY] not in ("", first))

    desk.until(lambda: job.state.is_over and desk.follower(job)[live.SHOWS_KEY].endswith("asset"))
    assert job.state is State.DONE, job.message
    target, fitted = desk.follower(job), read_asset(job.output)
    assert tuple(target.location) == (0.0, 5.0, 0.0)
    bpy.context.scene.frame_set(fitted.frame_start + 4)
    assert np.allclose(played(target)["position"], fitted.frame(4).means, atol=1e-5)
    assert max(desk.times) < 0.25 and sorted(desk.times)[-5] < 0.03


def test_a_real_fit_that_is_cancelled_keeps_what_there_is_and_the_next_one_begins(
    use: Use, clip: Path, tmp_path: Path
) -> None:
    desk = use(real_engine())
    job = desk.start(clip, "ball", steps=100_000)
    following = desk.start(clip, "second", steps=100_000)
    desk.until(lambda: job.values.get("step", 0) > 0)  # the first shows what the fit begins with
    assert bpy.ops.ds4d.cancel() == {"FINISHED"}
    desk.until(lambda: job.state.is_over)
    assert job.state is State.STOPPED and session.has_asset(job), job.message
    desk.until(lambda: desk.follower(job)[live.SHOWS_KEY].endswith("asset"))
    kept = read_asset(job.output)
    shown = len(desk.follower(job).data.points)
    assert shown == (len(kept.dynamic) or len(kept.static))
    desk.until(lambda: following.state is not State.QUEUED)
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.preview*"))


@pytest.fixture
def fake(use: Use, tmp_path: Path) -> Desk:
    """A desk whose engine only pretends, with previews that are real assets."""
    sample = tmp_path / "sample.ds4d"
    write_asset(sample, asset(12, 20))
    return use(fake_engine("obedient", tmp_path, FAKE_PREVIEW=str(sample), FAKE_SECONDS="60"))


def test_undo_brings_back_what_the_fit_shows_by_now(fake: Desk, clip: Path) -> None:
    bpy.ops.ed.undo_push(message="before")
    job = fake.start(clip, "ball")
    bpy.ops.ed.undo_push(message="start")
    bpy.context.scene.frame_set(7)
    bpy.ops.ed.undo_push(message="something else")
    fake.until(lambda: fake.follower(job)[live.SHOWS_KEY])
    bpy.ops.ed.undo()
    assert len(fake.follower(job).data.points) == 0  # as it was then
    fake.until(lambda: len(fake.follower(job).data.points) >= 20)
    bpy.ops.ed.redo()
    fake.until(lambda: len(fake.follower(job).data.points) >= 20)
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    assert not live.followers()
    fake.until(lambda: job.preview_count >= 1)
    assert not live.followers() and not job.state.is_over


def test_another_file_and_another_scene_do_not_disturb_the_jobs(
    fake: Desk, clip: Path, tmp_path: Path
) -> None:
    job = fake.start(clip, "ball")
    bpy.context.window.scene = bpy.data.scenes.new("Other")
    fake.until(lambda: fake.follower(job)[live.SHOWS_KEY])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert not live.followers()
    fake.until(lambda: job.preview_count >= 1)
    assert session.begun() is fake.now and job.state is State.RUNNING
    assert not live.followers()


def test_pause_and_continue_are_passed_on(fake: Desk, clip: Path) -> None:
    job = fake.start(clip, "ball")
    fake.until(lambda: job.state is State.RUNNING and job.preview_count)
    assert bpy.ops.ds4d.pause() == {"FINISHED"}
    fake.until(lambda: job.state is State.PAUSED)
    assert bpy.ops.ds4d.go_on() == {"FINISHED"}
    fake.until(lambda: job.state is State.RUNNING)


def test_a_job_cancelled_before_it_begins_leaves_no_empty_object(fake: Desk, clip: Path) -> None:
    fake.start(clip, "first")
    second = fake.start(clip, "second")
    assert second.id in live.followers()
    bpy.ops.ds4d.cancel(job=second.id)
    fake.until(lambda: second.id not in live.followers())
    assert second.state is State.STOPPED


def test_a_preview_that_cannot_be_read_is_passed_over(use: Use, clip: Path, tmp_path: Path) -> None:
    desk = use(fake_engine("obedient", tmp_path, FAKE_SECONDS="1"))  # its previews are text
    job = desk.start(clip, "ball")
    desk.until(lambda: job.state is State.DONE)
    desk.until(lambda: desk.now.trouble)
    assert "ball.ds4d" in desk.now.trouble  # its asset is text too
    assert len(desk.follower(job).data.points) == 0


def test_an_object_told_to_stay_as_it_is_stays(fake: Desk, clip: Path) -> None:
    job = fake.start(clip, "ball")
    fake.until(lambda: fake.follower(job)[live.SHOWS_KEY])
    target = fake.follower(job)
    set_input(target.modifiers["DS4D Play"], "Speed", 3.0)
    bpy.context.view_layer.objects.active = target
    bpy.ops.ds4d.stop_following()
    assert not live.followers() and input_value(target.modifiers["DS4D Play"], "Speed") == 3.0


def test_jobs_outlive_their_blender(fake: Desk, clip: Path, tmp_path: Path) -> None:
    job = fake.start(clip, "ball")
    fake.until(lambda: job.state is State.RUNNING and job.preview_count)
    fake.now.close()
    fake.closed = True
    again = Session(tmp_path / "jobs")
    (found,) = again.queue.jobs
    again.close()
    assert found.id == job.id and found.state is State.FAILED
    assert "Blender was closed" in found.message


def test_the_timer_survives_what_it_meets(
    fake: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(self: Session) -> float:
        raise KeyError("unforeseen")

    monkeypatch.setattr(Session, "step", fail)
    assert session.tick() > 0
    assert "unforeseen" in fake.now.trouble
    assert "KeyError" in capfd.readouterr().err
