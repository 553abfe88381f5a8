# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person or a program sees while the engine works."""

from __future__ import annotations

import io

import pytest

from ds4d_engine.console import (
    duration_text,
    json_listener,
    plain_listener,
    progress_line,
    progress_listener,
)
from ds4d_engine.seam import Progress, from_json_line


def _event(done: float, **changes: object) -> Progress:
    content: dict[str, object] = {"stage": "fit", "done": done, "total": 100.0} | changes
    return Progress(**content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (125, "2 min 05 s"), (7320, "2 h 02 min")],
)
def test_durations_read_in_their_largest_two_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_line_tells_part_time_left_message_and_values() -> None:
    event = _event(25, eta_seconds=61.0, message="growing", values={"loss": 0.01234})
    assert progress_line(event) == "fit:  25 %, 1 min 01 s left, growing, loss 0.01234"


def test_a_stage_without_work_is_done() -> None:
    assert progress_line(_event(0, total=0.0)) == "fit: 100 %"


def test_logs_get_the_start_the_end_and_a_line_every_ten_seconds() -> None:
    stream, now = io.StringIO(), [0.0]
    listen = plain_listener(stream, clock=lambda: now[0])
    for second in range(26):
        now[0] = float(second)
        listen(_event(4 * second))
    shown = [line.split(",")[0] for line in stream.getvalue().splitlines()]
    assert shown == ["fit:   0 %", "fit:  40 %", "fit:  80 %", "fit: 100 %"]


def test_json_lines_are_the_events() -> None:
    stream = io.StringIO()
    event = _event(3, message="x", values={"loss": 0.5})
    json_listener(stream)(event)
    assert from_json_line(stream.getvalue()) == event


def test_none_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_listener("none") as listen:
        listen(_event(1))
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_away_from_a_terminal_the_bar_is_plain_lines_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress_listener("bar") as listen:
        listen(_event(100))
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "fit: 100 %\n"


def test_on_a_terminal_the_bar_shows_stage_time_left_and_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    with progress_listener("bar") as listen:
        listen(_event(50, eta_seconds=90.0, message="clip [a]", values={"loss": 0.25}))
    captured = capsys.readouterr()
    assert captured.out == ""
    for words in ("fit", "50 %", "1 min 30 s left", "clip [a], loss 0.25"):
        assert words in captured.err
