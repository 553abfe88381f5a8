# SPDX-License-Identifier: GPL-3.0-or-later
"""A short command of the engine, such as `doctor --json`, and its answer."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..seam import events
from .ends import why_it_ended
from .location import Engine
from .process import EngineProcess, Patience

LONGEST_ANSWER = 16 << 20


@dataclass(frozen=True)
class Reply:
    """How far a call is: ``error`` is one sentence, "" while there is none.

    ``result`` is the JSON object that the command printed, or the files and values of its result.
    """

    done: bool = False
    result: dict[str, Any] | None = None
    error: str = ""
    progress: events.Progress | None = None


@dataclass
class _Heard:
    """What was printed that is no event; written by the reading thread."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    text: bytearray = field(default_factory=bytearray)

    def add(self, line: bytes) -> None:
        with self.lock:
            if len(self.text) < LONGEST_ANSWER:
                self.text += line


class EngineCall:
    """A command that runs beside Blender until it answers.

    Args:
        engine: which engine, or the words of any other command that speaks the same lines.
        words: the words after `ds4d`.
        seconds: after so long without any line it is given up.
    """

    def __init__(
        self, engine: Engine | Sequence[str], words: Sequence[str], *, seconds: float = 300.0
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ds4d-call-"))
        self._heard = _Heard()
        self._seconds = seconds
        self._reply = Reply()
        self._events: list[events.Event] = []
        self._process = EngineProcess(
            engine,
            words,
            self._folder / "log.txt",
            patience=Patience(asked=1.0, closed=1.0, terminated=2.0),
            stray=self._heard.add,
        )

    def poll(self) -> Reply:
        """Return how far it is; at once."""
        if self._reply.done:
            return self._reply
        alive = self._process.alive  # before its last events are taken
        for event in self._process.poll():
            if isinstance(event, events.Progress):
                self._reply = replace(self._reply, progress=event)
            elif isinstance(event, events.Result | events.Failure):
                self._events.append(event)
        if not alive:
            self._over(*self._answer())
        elif self._process.silent_seconds > self._seconds:
            self._give_up("The engine does not answer; try again.")
        return self._reply

    def cancel(self) -> None:
        """Give it up; nothing more comes of it."""
        if not self._reply.done:
            self._give_up("Cancelled.")

    def _give_up(self, error: str) -> None:
        self._process.kill()
        self._over(None, error)

    def _over(self, result: dict[str, Any] | None, error: str) -> None:
        self._reply = replace(self._reply, done=True, result=result, error=error)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answer(self) -> tuple[dict[str, Any] | None, str]:
        failures = [event for event in self._events if isinstance(event, events.Failure)]
        if failures:
            return None, failures[-1].message
        answer = _json_object(self._heard.text.decode("utf-8", "replace"))
        if answer is not None:  # `doctor` also answers when its exit code is not 0
            return answer, ""
        if self._process.exit_code:
            return None, why_it_ended(self._process, spoke=False).message
        results = [event for event in self._events if isinstance(event, events.Result)]
        if results:
            return {"files": dict(results[-1].files), "values": dict(results[-1].values)}, ""
        return {}, ""


def _json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text ends with; a login of another machine may print more."""
    for begin in re.finditer(r"^\{", text, re.MULTILINE):
        with suppress(ValueError):
            answer = json.loads(text[begin.start() :])
            if isinstance(answer, dict):
                return answer
    return None
