# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs one after another: what an artist asks of them, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ds4d_blender.engine.location import Engine
from ds4d_blender.jobs.attempt import Limits
from ds4d_blender.jobs.job import Job, State
from ds4d_engine.seam import EngineError
from tests.blender.fake_engines import Stepper, fake_engine

Make = Callable[..., Stepper]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes a queue whose engine is a fake one; ends what is left at the end."""
    made: list[Stepper] = []

    def build(name: str, limits: Limits | None = None, **environment: str) -> Stepper:
        engine = fake_engine(name, tmp_path, **environment)
        made.append(Stepper(tmp_path / "jobs", lambda: engine, limits))
        return made[-1]

    yield build
    for stepper in made:
        stepper.end()


def job(tmp_path: Path, name: str = "clip", **fields: object) -> Job:
    return Job(name=name, words=["clip.mp4"], output=str(tmp_path / f"{name}.ds4d"), **fields)


def test_a_job_goes_from_queued_over_running_to_done(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient")
    mine = stepper.queue.add(job(tmp_path))
    assert mine.state is State.QUEUED
    seen = stepper.until(lambda: mine.state.is_over)
    assert list(dict.fromkeys(state for state, _ in seen)) == [
        *(State.STARTING, State.RUNNING, State.DONE)
    ]
    parts = [part for _, part in seen]
    assert parts == sorted(parts) and parts[-1] == 1.0
    assert mine.preview_count >= 1 and mine.values["gaussians"] == 100.0
    assert mine.message == "Done." and mine.error == "" and not mine.resumable
    assert Path(mine.output).is_file() and Path(mine.log).is_file()
    assert stepper.queue.current is None


def test_previews_are_there_while_it_fits(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient", FAKE_SECONDS="60")
    mine = stepper.queue.add(job(tmp_path))
    stepper.until(lambda: mine.preview_count)
    assert Path(mine.preview).is_file() and Path(mine.picture).is_file()
    assert mine.state is State.RUNNING and mine.values["step"] == 1.0


def test_a_second_job_waits_and_is_not_lost(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient")
    first = stepper.queue.add(job(tmp_path, "first"))
    second = stepper.queue.add(job(tmp_path, "second"))
    stepper.until(lambda: first.state is State.RUNNING)
    assert second.state is State.QUEUED and stepper.queue.current is first
    stepper.until(lambda: first.state.is_over)
    stepper.until(lambda: second.state.is_over)
    assert (first.state, second.state) == (State.DONE, State.DONE)
    assert second.started >= first.started + 0.4


def test_two_jobs_may_not_write_the_same_file(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient")
    stepper.queue.add(job(tmp_path, "one"))
    with pytest.raises(EngineError, match="“one” already writes"):
        stepper.queue.add(job(tmp_path, "one"))


def test_a_job_pauses_goes_on_and_is_cancelled_with_what_there_is(
    make: Make, tmp_path: Path
) -> None:
    stepper = make("obedient", FAKE_SECONDS="60")
    mine = stepper.queue.add(job(tmp_path))
    stepper.until(lambda: mine.preview_count)
    stepper.queue.pause(mine.id)
    stepper.until(lambda: mine.state is State.PAUSED)
    worked = mine.seconds
    stepper.rest(0.3)
    assert mine.seconds == worked
    stepper.queue.go_on(mine.id)
    stepper.until(lambda: mine.state is State.RUNNING)
    stepper.queue.cancel(mine.id)
    assert mine.state is State.STOPPING
    stepper.until(lambda: mine.state.is_over)
    assert mine.state is State.STOPPED and mine.resumable and Path(mine.output).is_file()
    assert mine.message == "Stopped early; what there was is kept."


def test_a_stopped_job_goes_on_from_its_checkpoint_or_begins_afresh(
    make: Make, tmp_path: Path
) -> None:
    stepper = make("obedient")
    mine = stepper.queue.add(job(tmp_path))
    stepper.until(lambda: mine.preview_count)
    stepper.queue.cancel(mine.id)
    stepper.until(lambda: mine.state is State.STOPPED)
    for afresh, text in ((False, "asset, begun 2 times"), (True, "asset, begun 1 times")):
        mine.resumable = True
        stepper.queue.retry(mine.id, afresh=afresh)
        stepper.until(lambda: mine.state is State.DONE)
        assert Path(mine.output).read_text() == text


def test_a_waiting_job_can_be_cancelled_and_removed(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient", FAKE_SECONDS="60")
    first = stepper.queue.add(job(tmp_path, "first"))
    second = stepper.queue.add(job(tmp_path, "second"))
    stepper.until(lambda: first.state is State.RUNNING)
    with pytest.raises(EngineError, match="being worked on"):
        stepper.queue.remove(first.id)
    stepper.queue.cancel(second.id)
    assert second.state is State.STOPPED and second.message == "Cancelled before it began."
    stepper.queue.remove(second.id)
    assert stepper.queue.jobs == (first,)
    assert [path.name for path in stepper.queue.folder.glob("*.json")] == [f"{first.id}.job.json"]


def test_jobs_change_places(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient")
    made = [stepper.queue.add(job(tmp_path, name)) for name in "abc"]
    stepper.queue.move(made[2].id, -5)
    stepper.queue.move(made[0].id, 1)
    names = [mine.name for mine in stepper.queue.jobs]
    assert names == ["c", "b", "a"]
    stepper.queue.shutdown()
    again = make("obedient")
    assert [mine.name for mine in again.queue.jobs] == names


def test_what_runs_first_is_part_of_the_job_and_is_not_repeated(make: Make, tmp_path: Path) -> None:
    stepper = make("dies_by_signal")
    marks = tmp_path / "captured.txt"
    mine = stepper.queue.add(job(tmp_path, before=stepper.capture(marks)))
    seen = stepper.until(lambda: mine.state.is_over)
    assert any(0.1 < part <= 0.25 for _, part in seen)
    assert mine.error == "EngineKilled" and mine.prepared
    stepper.queue.retry(mine.id)
    stepper.until(lambda: mine.state.is_over)
    assert marks.read_text() == "captured\n"


def test_a_failure_of_what_runs_first_is_the_jobs(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient")
    mine = stepper.queue.add(job(tmp_path, before=stepper.capture(None)))
    stepper.until(lambda: mine.state.is_over)
    assert mine.state is State.FAILED and mine.message == "There is no camera; add one."
    assert not mine.resumable and not Path(mine.output).exists()


def test_jobs_of_a_closed_blender_are_there_again(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient", FAKE_SECONDS="5")
    ran = stepper.queue.add(job(tmp_path, "ran"))
    waits = stepper.queue.add(job(tmp_path, "waits"))
    stepper.until(lambda: ran.values.get("gaussians"), 20.0)
    begun = time.monotonic()
    stepper.queue.shutdown()
    assert time.monotonic() - begun < 0.2
    again = make("obedient").queue
    kept = {mine.name: mine for mine in again.jobs}
    assert kept["waits"].state is State.QUEUED and kept["waits"].id == waits.id
    assert kept["ran"].state is State.FAILED and kept["ran"].resumable
    assert kept["ran"].message == (
        "Blender was closed while this was fitting; Resume goes on from the last checkpoint."
    )


def test_a_second_blender_leaves_the_firsts_jobs_alone(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient", FAKE_SECONDS="60")
    mine = stepper.queue.add(job(tmp_path))
    stepper.until(lambda: mine.state is State.RUNNING)
    assert make("obedient").queue.jobs == ()
    assert mine.state is State.RUNNING


def test_closing_lets_the_worker_end_by_itself_with_its_asset(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient", FAKE_SECONDS="60")
    mine = stepper.queue.add(job(tmp_path))
    stepper.until(lambda: mine.preview_count)
    stepper.queue.shutdown()
    end = time.monotonic() + 10.0
    while not Path(mine.output).exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert Path(mine.output).is_file() and Path(f"{mine.output}.checkpoint").is_file()


def test_a_step_takes_next_to_no_time_in_a_flood(make: Make, tmp_path: Path) -> None:
    stepper = make("flood")
    mine = stepper.queue.add(job(tmp_path))
    stepper.until(lambda: mine.state.is_over, 60.0)
    assert mine.state is State.DONE
    times = sorted(stepper.times)
    middle, longest = times[len(times) // 2], times[-1]
    print(f"a step in a flood: {1e3 * middle:.2f} ms, longest {1e3 * longest:.1f} ms")
    assert middle < 0.005 and longest < 0.1


def test_every_visible_change_is_counted_and_nothing_else(make: Make, tmp_path: Path) -> None:
    stepper = make("obedient", FAKE_SECONDS="60")
    stepper.rest(0.1)
    assert stepper.queue.changes == 0
    mine = stepper.queue.add(job(tmp_path))
    assert stepper.queue.changes == 1
    stepper.until(lambda: mine.preview_count)
    stepper.queue.pause(mine.id)
    stepper.until(lambda: mine.state is State.PAUSED)
    stepper.rest(0.2)
    changes = stepper.queue.changes
    stepper.rest(0.3)
    assert stepper.queue.changes == changes > 3


def test_what_is_asked_of_a_job_that_is_gone_is_one_sentence(make: Make) -> None:
    queue = make("obedient").queue
    for ask in (queue.pause, queue.go_on, queue.cancel, queue.retry, queue.remove, queue.kill):
        with pytest.raises(EngineError, match=r"^There is no such job any more\.$"):
            ask("nothing")


def test_an_engine_that_is_not_chosen_fails_the_job_and_the_next_one_is_tried(
    tmp_path: Path,
) -> None:
    def none() -> Engine:
        raise EngineError("No engine is installed; install it in Preferences.")

    stepper = Stepper(tmp_path / "jobs", none, None)
    made = [stepper.queue.add(job(tmp_path, name)) for name in "ab"]
    stepper.until(lambda: all(mine.state.is_over for mine in made))
    assert {mine.message for mine in made} == {"No engine is installed; install it in Preferences."}
    stepper.end()
