# SPDX-License-Identifier: GPL-3.0-or-later
"""Short questions to the engine whose answers the panel shows: an estimate, a look at the masks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .engine.call import EngineCall
from .engine.location import Engine
from .seam import errors

SHEET = "contact-sheet.png"


@dataclass
class Answer:
    """What is known of one question."""

    asked: tuple[str, ...]
    """The words that were asked: other settings make the answer an old one."""
    running: bool = True
    error: str = ""
    part: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)
    picture: str = ""


class Questions:
    """At most one estimate and one look at the masks, with their last answers."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self.changes = 0
        self.estimate: Answer | None = None
        self.mask: Answer | None = None
        self._engine = engine
        self._calls: dict[str, EngineCall] = {}
        self._folder: str = ""

    @property
    def is_asking(self) -> bool:
        """Tell whether an answer is still to come."""
        return bool(self._calls)

    def ask_estimate(self, source: str, words: Sequence[str], output: str) -> None:
        """Ask how long a fit will take and what it needs, with its result at `output`.

        Raises:
            EngineError: there is no engine, or it is on another machine.
        """
        asked = (source, *words)
        self._ask("estimate", ["estimate", *asked, "-o", output, "--json"])
        self.estimate = Answer(asked)

    def ask_mask(self, source: str, words: Sequence[str]) -> None:
        """Ask for the masks of a clip.

        Raises:
            EngineError: there is no engine, or it is on another machine.
        """
        asked = (source, *words)
        self._forget_folder()
        self._folder = tempfile.mkdtemp(prefix="ds4d-masks-")
        folder = Path(self._folder) / "masks"
        self._ask("mask", ["mask", *asked, "-o", str(folder), "--progress", "json"])
        self.mask = Answer(asked)

    def cancel(self) -> None:
        """Give up whatever is asked just now."""
        for name, call in self._calls.items():
            call.cancel()
            setattr(self, name, None)
        self._calls.clear()
        self.changes += 1

    def step(self) -> None:
        """Take note of answers; at once."""
        for name, call in list(self._calls.items()):
            answer: Answer = getattr(self, name)
            reply = call.poll()
            if reply.progress is not None and reply.progress.total > 0:
                part = round(reply.progress.done / reply.progress.total, 2)
                if part != answer.part:
                    answer.part, self.changes = part, self.changes + 1
            if not reply.done:
                continue
            del self._calls[name]
            answer.running, answer.error, self.changes = False, reply.error, self.changes + 1
            answer.values = reply.result or {}
            picture = Path(self._folder) / "masks" / SHEET
            if name == "mask" and not reply.error:
                if picture.is_file():
                    answer.picture = str(picture)
                else:
                    answer.error = "The engine drew no masks; its version may be too old."

    def close(self) -> None:
        """Give everything up and leave no files."""
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        self._forget_folder()

    def _ask(self, name: str, words: list[str]) -> None:
        engine = self._engine()
        if engine.is_remote:
            raise errors.EngineError(
                f"The engine is on {engine.host}, where this clip is not yet; this works only with "
                "an engine on this machine."
            )
        if name in self._calls:
            self._calls.pop(name).cancel()
        self._calls[name] = EngineCall(engine, words)
        self.changes += 1

    def _forget_folder(self) -> None:
        if self._folder:
            with suppress(OSError):
                shutil.rmtree(self._folder)
            self._folder = ""
