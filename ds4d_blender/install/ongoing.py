# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation, or a look at an engine, that goes on beside Blender."""

from __future__ import annotations

import sys
from pathlib import Path

from ..engine.call import EngineCall
from ..engine.ends import why_it_ended
from ..engine.location import Engine
from ..engine.process import EngineProcess, Patience
from ..seam import events
from .amounts import duration
from .check import Found, found_of
from .doctor import understand
from .managed import Order
from .worker import command

# How much of an installation each stage is, from measured times with a usual connection.
SHARES = {"environment": 0.05, "lookup": 0.1, "download": 0.45, "install": 0.25, "check": 0.15}
WORDS = {
    "environment": "Preparing",
    "lookup": "Looking up what is needed",
    "download": "Downloading",
    "install": "Unpacking",
    "check": "Trying the new engine",
}


NO_ENGINE = "What answers there is no DS4D engine: choose another Python."


class Installation:
    """A managed installation in a process of its own; the methods never wait.

    Args:
        order: what to install.
        log: file for what the process says besides.
        python: the Python that runs it, which the environment is made from.
    """

    def __init__(self, order: Order, log: Path, python: str = sys.executable) -> None:
        self.order = order
        self.part = 0.0
        """How far it is, 0 to 1."""
        self.message = WORDS["environment"]
        self.measured_bytes = 0
        """What the download takes; 0 until that is known."""
        self.done = False
        self.error = ""
        """Why it failed, one sentence; "" while it goes on and when it succeeded."""
        self.cancelled = False
        log.parent.mkdir(parents=True, exist_ok=True)
        patience = Patience(asked=20.0, closed=10.0, terminated=5.0)
        self._process = EngineProcess(command(order, python), [], log, patience=patience)

    def poll(self) -> bool:
        """Take in what it said; return whether anything a person sees has changed."""
        if self.done:
            return False
        before = (round(self.part, 3), self.message)
        alive = self._process.alive
        outcome: events.Event | None = None
        for event in self._process.poll():
            if isinstance(event, events.Progress):
                self._progress(event)
            elif isinstance(event, events.Result | events.Failure):
                outcome = event
        if outcome is not None or not alive:
            self._end(outcome)
        return self.done or before != (round(self.part, 3), self.message)

    def cancel(self) -> None:
        """Give it up; what was there before stays."""
        self.cancelled = True
        self.message = "Cancelling"
        self._process.stop()

    def release(self) -> None:
        """Let go of it without waiting: it clears up and ends by itself."""
        self._process.release()

    def _progress(self, event: events.Progress) -> None:
        if event.stage not in SHARES or self.cancelled:
            return
        stages = list(SHARES)
        before = sum(SHARES[stage] for stage in stages[: stages.index(event.stage)])
        self.part = max(self.part, before + SHARES[event.stage] * event.done / event.total)
        self.message = WORDS[event.stage]
        # What the first moments promise is not worth telling.
        if event.eta_seconds and event.done > 0.1 * event.total:
            self.message += f", about {duration(event.eta_seconds)} left"
        self.measured_bytes = int(event.values.get("download_bytes", self.measured_bytes))

    def _end(self, outcome: events.Event | None) -> None:
        self.done = True
        if isinstance(outcome, events.Result):
            self.part = 1.0
        elif isinstance(outcome, events.Failure):
            self.error = outcome.message
            self.cancelled = self.cancelled or outcome.error == "Cancelled"
        elif self.cancelled:
            self.error = "The installation was cancelled."
        else:
            self.error = why_it_ended(self._process, spoke=True).message


class Checking:
    """A look at an engine by its own `doctor`; the methods never wait."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._call = EngineCall(engine, ["doctor", "--json"])

    def poll(self) -> Found | None:
        """Return what it found; None while it looks."""
        reply = self._call.poll()
        if not reply.done:
            return None
        try:
            health = understand(reply.result) if reply.result else None
        except ValueError:
            health = None
        return found_of(health, reply.error or NO_ENGINE)

    def cancel(self) -> None:
        """Give it up."""
        self._call.cancel()
