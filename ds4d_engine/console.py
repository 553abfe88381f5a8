# SPDX-License-Identifier: GPL-3.0-or-later
"""Listeners that show progress to a person or to another program."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from .seam.events import Listener, Progress, silent, to_json_line

STYLES = ("bar", "json", "none")
PLAIN_SECONDS_BETWEEN = 10.0


@contextmanager
def progress_listener(style: str) -> Iterator[Listener]:
    """Give the listener of a style: "bar" on stderr, "json" lines on stdout, or "none".

    "bar" draws bars on a terminal and prints a line now and then elsewhere.
    """
    if style == "json":
        yield json_listener(sys.stdout)
    elif style == "none":
        yield silent
    elif sys.stderr.isatty():
        with _bars() as listener:
            yield listener
    else:
        yield plain_listener(sys.stderr)


def json_listener(stream: TextIO) -> Listener:
    """Return a listener that writes one JSON line per event, flushed."""

    def listen(event: Progress) -> None:
        print(to_json_line(event), file=stream, flush=True)

    return listen


def plain_listener(stream: TextIO, clock: Callable[[], float] = time.monotonic) -> Listener:
    """Return a listener for logs: a line when a stage starts and ends, and every ten seconds."""
    last_line: dict[str, float] = {}

    def listen(event: Progress) -> None:
        now = clock()
        finished = event.done >= event.total
        due = now - last_line.get(event.stage, -float("inf")) >= PLAIN_SECONDS_BETWEEN
        if finished or due:
            last_line[event.stage] = now
            print(progress_line(event), file=stream, flush=True)

    return listen


def progress_line(event: Progress) -> str:
    """Return an event as one line of text."""
    part = 100.0 * event.done / event.total if event.total > 0 else 100.0
    words = [f"{event.stage}: {part:3.0f} %"]
    if event.eta_seconds:
        words.append(f"{duration_text(event.eta_seconds)} left")
    if event.message:
        words.append(event.message)
    words += [f"{name} {value:.4g}" for name, value in event.values.items()]
    return ", ".join(words)


def duration_text(seconds: float) -> str:
    """Return a length of time in the largest two units, such as "2 min 05 s"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@contextmanager
def _bars() -> Iterator[Listener]:
    bars = Bars(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("[dim]{task.fields[note]}", markup=True),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def listen(event: Progress) -> None:
        values = [f"{name} {value:.4g}" for name, value in event.values.items()]
        # Brackets in a file name are not markup.
        note = ", ".join([event.message, *values] if event.message else values).replace("[", "\\[")
        left = f"{duration_text(event.eta_seconds)} left" if event.eta_seconds else ""
        if event.stage not in tasks:
            tasks[event.stage] = bars.add_task(event.stage, left="", note="")
        bars.update(
            tasks[event.stage],
            total=max(event.total, 1e-9),
            completed=event.done if event.total > 0 else 1e-9,
            left=left,
            note=note,
        )

    with bars:
        yield listen
