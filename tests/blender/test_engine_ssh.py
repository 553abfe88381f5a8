# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine behind a real ssh, where this machine has a server to start."""

from __future__ import annotations

import dataclasses
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds4d_blender.engine.location import Engine
from ds4d_blender.jobs.job import Job, State
from tests.blender.fake_engines import Stepper, fake_engine
from tests.blender.waiting import lives, until

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/mine.pub
PidFile none
StrictModes no
UsePAM no
"""


def answers(port: int) -> bool:
    with socket.socket() as end:
        return end.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The words that reach a server of our own, which listens to this machine only."""
    server = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if server is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh, ssh-keygen and sshd")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "mine"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(key, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    command = [server, "-D", "-e", "-f", str(folder / "config")]
    with open(folder / "log", "wb") as log, subprocess.Popen(command, stderr=log) as daemon:
        end = time.monotonic() + 5.0
        while not answers(port) and daemon.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        if not answers(port):
            daemon.kill()
            pytest.skip(f"sshd does not start here: {(folder / 'log').read_text().strip()}")
        options = ["BatchMode=yes", "StrictHostKeyChecking=no", "LogLevel=ERROR"]
        options.append("UserKnownHostsFile=/dev/null")
        yield (
            *("ssh", "-p", str(port), "-i", str(folder / "mine"), "-F", "none"),
            *(word for option in options for word in ("-o", option)),
            f"{getpass.getuser()}@127.0.0.1",
        )
        daemon.terminate()


@pytest.fixture
def engine(ssh: tuple[str, ...], tmp_path: Path) -> Engine:
    engine = fake_engine("obedient", tmp_path, FAKE_SECONDS="3")
    return dataclasses.replace(engine, prefix=ssh, folder=str(tmp_path / "far away"))


@pytest.fixture
def stepper(engine: Engine, tmp_path: Path) -> Iterator[Stepper]:
    stepper = Stepper(tmp_path / "jobs", lambda: engine)
    yield stepper
    stepper.end()


def add(stepper: Stepper, tmp_path: Path) -> Job:
    clip = tmp_path / "it's a clip.mp4"
    clip.write_bytes(os.urandom(300_000))
    output = str(tmp_path / "clip.ds4d")
    return stepper.queue.add(Job("clip", [str(clip)], output, inputs=[str(clip)]))


def test_a_fit_over_ssh_is_like_one_here(stepper: Stepper, tmp_path: Path) -> None:
    job = add(stepper, tmp_path)
    stepper.until(lambda: job.preview_count and job.values.get("gaussians"), 30.0)
    assert Path(job.preview).read_text() == "preview 1"
    sent = tmp_path / "far away" / job.id / "in" / "0" / "it's a clip.mp4"
    assert sent.read_bytes() == Path(job.inputs[0]).read_bytes()
    stepper.until(lambda: job.state.is_over, 30.0)
    assert (job.state, job.message) == (State.DONE, "Done.")
    assert Path(job.output).read_text() == "asset, begun 1 times"
    assert list((tmp_path / "far away").iterdir()) == []


def test_cancelling_over_ssh_brings_back_what_there_is(stepper: Stepper, tmp_path: Path) -> None:
    job = add(stepper, tmp_path)
    stepper.until(lambda: job.values.get("gaussians"), 30.0)
    stepper.queue.cancel(job.id)
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.state is State.STOPPED and job.resumable
    assert Path(job.output).is_file() and Path(f"{job.output}.checkpoint").read_text() == "end"


def test_when_ssh_dies_the_worker_there_ends_and_the_job_can_be_resumed(
    stepper: Stepper, tmp_path: Path
) -> None:
    job = add(stepper, tmp_path)
    stepper.until(lambda: job.values.get("gaussians"), 30.0)
    folder = tmp_path / "far away" / job.id
    worker = int((folder / "worker.pid").read_text())
    assert lives(worker) and worker != job.worker
    os.kill(job.worker, signal.SIGKILL)
    until(lambda: not lives(worker), 10.0)
    assert (folder / "out" / "clip.ds4d.checkpoint").read_text() == "end"
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.state is State.FAILED and job.resumable
    stepper.queue.retry(job.id)
    stepper.until(lambda: job.state.is_over, 30.0)
    assert Path(job.output).read_text() == "asset, begun 2 times"


def test_a_machine_that_refuses_is_one_sentence(
    stepper: Stepper, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = engine.prefix.index("-p") + 1
    closed = (*engine.prefix[:port], "1", *engine.prefix[port + 1 :])
    monkeypatch.setattr(
        stepper.queue, "_engine", lambda: dataclasses.replace(engine, prefix=closed)
    )
    job = add(stepper, tmp_path)
    stepper.until(lambda: job.state.is_over, 30.0)
    assert job.state is State.FAILED and "port 1: Connection refused." in job.message
    assert "\n" not in job.message and not job.resumable
