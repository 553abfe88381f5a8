# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends that nobody asked for, of real fits: a killed worker, a killed Blender."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest

from ds4d_blender import session
from ds4d_blender.install.check import EngineState, Kind
from ds4d_blender.jobs.job import State
from ds4d_blender.operators import subject
from ds4d_blender.session import Session
from tests.blender.pictures import write_clip
from tests.blender.test_session import ROOT, Desk, real_engine
from tests.blender.waiting import lives, until

pytestmark = [
    pytest.mark.usefixtures("registered"),
    pytest.mark.skipif(os.name == "nt", reason="kills by signal"),
]

# Another Blender that fits, and waits to be killed.
BLENDER = """
import sys
sys.path.insert(0, {root!r})
import ds4d_blender
from ds4d_blender import session
from ds4d_blender.operators import subject
from ds4d_blender.install.check import EngineState, Kind
from tests.blender.test_session import Desk, real_engine
from pathlib import Path

ds4d_blender.register()
subject.engine_state = lambda: EngineState(Kind.READY, "ready")
session.chosen_engine = real_engine
session._session = session.Session(Path({folder!r}) / "jobs")
desk = Desk(Path({folder!r}))
job = desk.start(Path({clip!r}), "ball", steps=300, checkpoint_seconds=0.2)
checkpoint = Path(job.output + ".checkpoint")
desk.until(lambda: checkpoint.exists(), 240)
print("worker", job.worker, flush=True)
desk.until(lambda: False, 240)
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: None) -> Desk:
    ready = EngineState(Kind.READY, "The engine is ready.")
    monkeypatch.setattr(subject, "engine_state", lambda: ready)
    engine = real_engine()
    monkeypatch.setattr(session, "chosen_engine", lambda: engine)
    monkeypatch.setattr(session, "_session", Session(tmp_path / "jobs"))
    return Desk(tmp_path)


def test_a_real_fit_whose_worker_is_killed_says_so_and_goes_on(desk: Desk, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "ball")
    job = desk.start(clip, "ball", steps=300, checkpoint_seconds=0.2)
    desk.until(lambda: Path(f"{job.output}.checkpoint").exists())
    os.kill(job.worker, signal.SIGKILL)
    desk.until(lambda: job.state.is_over)
    assert job.state is State.FAILED and job.resumable
    assert "killed" in job.message or "SIGKILL" in job.message, job.message
    assert bpy.ops.ds4d.resume() == {"FINISHED"}
    desk.until(lambda: job.state.is_over)
    assert job.state is State.DONE, job.message
    desk.end()


def test_a_real_fit_whose_blender_is_killed_ends_and_goes_on_in_the_next_one(
    desk: Desk, tmp_path: Path
) -> None:
    desk.end()
    clip = write_clip(tmp_path / "ball")
    script = BLENDER.format(root=str(ROOT), folder=str(tmp_path), clip=str(clip))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as blender:
        assert blender.stdout is not None
        worker = 0
        for line in blender.stdout:
            if line.startswith("worker "):
                worker = int(line.split()[1])
                break
        assert worker and lives(worker)
        blender.kill()
        killed = time.monotonic()
    until(lambda: not lives(worker), 15.0)
    assert time.monotonic() - killed < 10.0
    again = Session(tmp_path / "jobs")
    desk.now, desk.closed = again, False
    (job,) = again.queue.jobs
    assert job.state is State.FAILED and job.resumable, job.message
    again.queue.retry(job.id)
    desk.until(lambda: job.state.is_over)
    assert job.state is State.DONE, job.message
    desk.end()
