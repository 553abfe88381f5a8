# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math

import pytest

from ds4d_engine.seam import (
    EngineError,
    Event,
    Failure,
    Heartbeat,
    Hello,
    Preview,
    Progress,
    Result,
    Stage,
    from_json_line,
    to_json_line,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    "event",
    [
        Progress("fit", 3, 10, 4.5, "growing", {"loss": 0.25}),
        Progress("fit", 0, 10),
        Result({"asset": "clip.ds4d"}, {"psnr": 31.5}),
        Failure("There is no dataset.\nTwo lines", "DatasetError"),
        Failure("The memory is full.", "MemoryError", resumable=True),
        Hello((1, 2), "0.1.0"),
        Heartbeat(paused=True),
        Preview({"asset": "clip.preview.ds4d"}, {"psnr": 21.0}),
    ],
)
def test_every_event_survives_its_json_line(event: Event) -> None:
    line = to_json_line(event)
    assert "\n" not in line
    assert from_json_line(line) == event


def test_numbers_that_are_not_finite_stay_valid_json() -> None:
    line = to_json_line(Progress("fit", 1, 2, math.inf, values={"loss": math.nan}))
    assert "NaN" not in line
    assert "Infinity" not in line
    event = from_json_line(line)
    assert isinstance(event, Progress)
    assert event.eta_seconds is None
    assert math.isnan(event.values["loss"])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Traceback (most recent call last):",
        "3",
        "[]",
        "{}",
        '{"ds4d_event": 1, "kind": "progress"}',
        '{"ds4d_event": 1, "kind": "song"}',
        '{"ds4d_event": 1, "kind": "progress", "stage": "a", "done": "x", "total": 1}',
    ],
)
def test_a_line_that_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(EngineError):
        from_json_line(line)


def test_an_event_of_a_newer_version_is_refused() -> None:
    content = json.loads(to_json_line(Result()))
    with pytest.raises(EngineError, match="event version 2"):
        from_json_line(json.dumps({**content, "ds4d_event": 2}))


def test_fields_of_a_later_release_are_ignored() -> None:
    content = json.loads(to_json_line(Progress("fit", 1, 2)))
    assert from_json_line(json.dumps({**content, "mood": "good"})) == Progress("fit", 1, 2)


def test_a_stage_emits_first_and_last_and_at_most_five_a_second() -> None:
    clock, events = Clock(), []
    stage = Stage(events.append, "fit", 1000, clock=clock)
    for step in range(1001):
        clock.now = step / 500  # two seconds in all
        stage.update(step)
    assert (events[0].done, events[-1].done) == (0, 1000)
    assert 10 <= len(events) <= 12
    assert events[-1].eta_seconds == 0


def test_the_last_update_is_emitted_once() -> None:
    clock, events = Clock(), []
    stage = Stage(events.append, "fit", 2, clock=clock)
    for done in (0, 1, 2, 2):
        stage.update(done)
    assert [event.done for event in events] == [0, 2]


def test_the_eta_follows_the_rate_so_far() -> None:
    clock, events = Clock(), []
    stage = Stage(events.append, "fit", 100, clock=clock)
    stage.update(0)
    clock.now = 10.0
    stage.update(25, "quarter", loss=0.5)
    assert events[0].eta_seconds is None
    assert events[1].eta_seconds == pytest.approx(30)
    assert (events[1].message, events[1].values) == ("quarter", {"loss": 0.5})


def test_work_done_before_a_resume_does_not_flatter_the_eta() -> None:
    clock, events = Clock(), []
    stage = Stage(events.append, "fit", 100, initial=50, clock=clock)
    clock.now = 10.0
    stage.update(60)
    assert events[0].eta_seconds == pytest.approx(40)
