# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on disk: what is written is read, and damage costs one job, not all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ds4d_blender.jobs.job import Job, State, job_from_dict, job_to_dict
from ds4d_blender.jobs.queue import JobQueue
from ds4d_blender.jobs.seat import Seat, is_taken
from ds4d_blender.jobs.store import delete_job, job_path, load_jobs, save_job
from ds4d_engine.seam import EngineError
from tests.blender.waiting import until


def job(**fields: object) -> Job:
    return Job(name="Fox é", words=["a b.mp4", "--size", "64"], output="/tmp/fox.ds4d", **fields)


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    mine = job(state=State.FAILED, values={"psnr": 31.5}, eta_seconds=2.0, inputs=["a b.mp4"])
    save_job(tmp_path, mine)
    assert load_jobs(tmp_path) == ([mine], [])
    assert [path.name for path in tmp_path.iterdir()] == [f"{mine.id}.job.json"]


def test_jobs_are_read_in_their_order(tmp_path: Path) -> None:
    for place in (3.0, 1.0, 2.0):
        save_job(tmp_path, job(place=place))
    assert [mine.place for mine in load_jobs(tmp_path)[0]] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"id": "x"}',
        b'{"id": "../x", "name": "a", "words": [], "output": "b"}',
        b'{"id": "x", "name": "a", "words": "no list", "output": "b"}',
        b'{"id": "x", "name": "a", "words": [], "output": "b", "state": "flying"}',
        b'{"id": "x", "name": "a", "words": [], "output": "b", "part": "much"}',
    ],
)
def test_a_damaged_file_leaves_out_that_job_with_a_sentence(damage: bytes, tmp_path: Path) -> None:
    whole = job()
    save_job(tmp_path, whole)
    (tmp_path / "x.job.json").write_bytes(damage)
    jobs, (sentence,) = load_jobs(tmp_path)
    assert jobs == [whole]
    assert sentence == (
        f"A job could not be read and is left out; its file is {tmp_path / 'x.job.json'}."
    )


def test_entries_of_a_later_version_are_ignored() -> None:
    mine = job()
    assert job_from_dict(json.loads(json.dumps(job_to_dict(mine) | {"colour": "red"}))) == mine


def test_a_half_written_job_is_not_there(tmp_path: Path) -> None:
    mine = job()
    save_job(tmp_path, mine)
    job_path(tmp_path, mine.id).with_suffix(".json.part").write_text("{")
    assert load_jobs(tmp_path) == ([mine], [])


def test_a_deleted_job_leaves_nothing(tmp_path: Path) -> None:
    mine = job()
    save_job(tmp_path, mine)
    (tmp_path / f"{mine.id}.log").write_text("log")
    (tmp_path / mine.id / "capture").mkdir(parents=True)
    delete_job(tmp_path, mine)
    until(lambda: list(tmp_path.iterdir()) == [])


def test_a_folder_that_is_gone_is_one_sentence_and_no_crash(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^The list of jobs cannot be saved in .*\.$"):
        save_job(tmp_path / "gone", job())
    folder = tmp_path / "jobs"
    queue = JobQueue(folder, lambda: pytest.fail("nothing runs here"))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    queue.add(job())
    queue.add(job().__class__("b", [], "/tmp/b.ds4d"))
    assert len(queue.problems) == 1 and len(queue.jobs) == 2
    queue.shutdown()


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("")
    with pytest.raises(EngineError, match=r"^The folder of jobs .* cannot be made: .*\.$"):
        JobQueue(tmp_path / "jobs", lambda: pytest.fail("nothing runs here"))


def test_a_seat_is_taken_as_long_as_its_holder_lives(tmp_path: Path, repository: Path) -> None:
    text = (
        "import sys, time; from pathlib import Path\n"
        "from ds4d_blender.jobs.seat import Seat\n"
        f"seat = Seat(Path({str(tmp_path)!r})); print(seat.name, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, cwd=repository
    ) as holder:
        assert holder.stdout is not None
        name = holder.stdout.readline().strip()
        assert is_taken(tmp_path, name)
        holder.kill()
    until(lambda: not is_taken(tmp_path, name))
    assert list(tmp_path.iterdir()) == []


def test_a_seat_that_was_left_is_free(tmp_path: Path) -> None:
    seat = Seat(tmp_path)
    assert is_taken(tmp_path, seat.name)
    seat.leave()
    assert not is_taken(tmp_path, seat.name) and list(tmp_path.iterdir()) == []
