# SPDX-License-Identifier: GPL-3.0-or-later
"""A controlled fit in a process of its own, and what a test tells it and hears from it."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ds4d_engine.seam import (
    Command,
    Do,
    Event,
    Failure,
    Progress,
    Result,
    command_to_json_line,
    from_json_line,
)

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SMALL = ("gaussians=60", "max_gaussians=80", "threads=1", "feature_views=2")


class Conversation:
    """Speaks with one process."""

    def __init__(self, program: Sequence[str], words: Sequence[str], log: Path) -> None:
        self.log = log
        self.events: list[Event] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, *program, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
        threading.Thread(target=self._read, daemon=True).start()

    def say(self, do: Do, version: int = 1) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command_to_json_line(Command(do, version)) + "\n")
        self.process.stdin.flush()

    def leave(self) -> None:
        """Close its standard input, as the end of whoever started it does."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def hear(self, wanted: Callable[[Event], bool], seconds: float = 60.0) -> Event:
        """Return the first event from now on that is wanted; fail where none comes."""
        until = time.monotonic() + seconds
        while True:
            line = self._lines.get(timeout=max(until - time.monotonic(), 0.01))
            assert line is not None, f"it ended: {self.log.read_text()[-600:]}"
            self.events.append(from_json_line(line))
            if wanted(self.events[-1]):
                return self.events[-1]

    def end(self, seconds: float = 60.0) -> Result | Failure:
        """Return the last event, and wait for the process."""
        last = self.hear(lambda event: isinstance(event, (Result, Failure)), seconds)
        assert isinstance(last, (Result, Failure))
        self.process.wait(seconds)
        assert self._lines.get(timeout=5) is None, "nothing follows the last event"
        return last

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)


@contextmanager
def conversation(
    folder: Path,
    output: Path,
    settings: Sequence[str],
    words: Sequence[str] = (),
    *,
    program: Sequence[str] = ("-m", "ds4d_engine"),
) -> Iterator[Conversation]:
    """Start a fit of a dataset with settings KEY=VALUE, and end it, whatever the test did."""
    fit = ["fit", str(folder), "-o", str(output), "--preset", "draft", "--control"]
    fit += ["--progress", "json", *words, "--set", *settings]
    talk = Conversation(program, fit, output.with_suffix(".log"))
    try:
        yield talk
    finally:
        talk.process.kill()
        talk.process.wait()
        for pipe in (talk.process.stdin, talk.process.stdout):
            assert pipe is not None
            pipe.close()


def fitting(event: Event) -> bool:
    """Tell whether an event says that the optimisation runs."""
    return isinstance(event, Progress) and event.stage == "fit"
