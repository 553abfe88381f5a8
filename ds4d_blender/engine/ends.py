# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an engine's process ended without saying so: one sentence from its exit code and its log."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ..seam import events

TAIL = 8192  # bytes of the log that are looked at
LAST_LINES = 5  # of them, which say what ended it and not what it grumbled about on the way
PREFERENCES = "in the add-on's preferences"
_SAID = re.compile(r"^ds4d: error: (.+)$", re.MULTILINE)
_UNREACHABLE = re.compile(
    r"^(ssh: .+|.+: Permission denied \(.+\)\.|Host key verification failed\.|"
    r"Connection to .+ (?:closed|timed out).*)$"
)
# What a log shows of known ends, and what to say; the first that is found counts.
_SIGNS = (
    ("No module named ds4d_engine", "EngineMissing", "This Python has no DS4D engine; install it"),
    ("No module named", "EngineBroken", "A package of the engine is missing; repair it"),
    ("CUDA out of memory", "OutOfMemory", "The GPU's memory ran out; choose a smaller preset"),
    ("MemoryError", "OutOfMemory", "The memory ran out; choose a smaller preset"),
    ("not enough memory", "OutOfMemory", "The memory ran out; choose a smaller preset"),
    ("CUDA error", "CudaLost", "The GPU stopped answering; try again"),
    ("No space left on device", "DiskFull", "The disk is full; make room and try again"),
)
_KILL = 9
_SIGNALS = {
    signal.SIGTERM: "was ended by another program",
    _KILL: "was killed, by the system when the memory runs out or by another program",
}


class Ended(Protocol):
    """What is known of a process that has ended."""

    @property
    def exit_code(self) -> int | None: ...
    @property
    def log(self) -> Path: ...
    @property
    def stray_line(self) -> str: ...


def why_it_ended(
    process: Ended, *, spoke: bool, log_from: int = 0, who: str = "The engine"
) -> events.Failure:
    """Return why a process ended that gave neither result nor error.

    ``spoke`` says whether it ever said what an engine says; its part of the log begins at byte
    ``log_from``.
    """
    log = tail(process.log, log_from)
    code = process.exit_code or 0
    said = _SAID.findall(log)
    if said and "--control" in said[-1]:
        return events.Failure(
            f"The engine is older than this add-on; update it {PREFERENCES}.", "EngineOutdated"
        )
    if said:
        return events.Failure(said[-1], "EngineError")
    last = [line.strip() for line in log.splitlines() if line.strip()][-LAST_LINES:]
    number = killed_by(code)
    found = _sign_in(last, code) if number != _KILL else None
    if found is not None:
        return found
    if number is not None:
        return events.Failure(f"{who} {_killed(number)}.", "EngineKilled")
    if not spoke:
        return no_engine(process)
    what = "without a result" if code == 0 else f"without saying why (exit code {code})"
    return events.Failure(f"{who} ended {what}; the log may say more.", "EngineError")


def _sign_in(lines: list[str], code: int) -> events.Failure | None:
    """Return what the last lines of a log say of the end, None when they say nothing known."""
    if code == 255 and lines and _UNREACHABLE.match(lines[-1]):
        quote = lines[-1].rstrip(".")
        return events.Failure(
            f"The other machine cannot be reached ({quote}); check it {PREFERENCES}.",
            "ConnectionLost",
        )
    if code == 127 and lines:  # as a shell of another machine says it
        return events.Failure(
            f"The engine's Python is not there ({lines[-1]}); choose another {PREFERENCES}.",
            "EngineMissing",
        )
    for sign, error, sentence in _SIGNS:
        if any(sign in line for line in lines):
            ending = f" {PREFERENCES}." if sentence.endswith("it") else "."
            return events.Failure(sentence + ending, error)
    return None


def killed_by(code: int) -> int | None:
    """Return the number of the signal that ended a process, None when it was none."""
    if code < 0:
        return -code
    return code - 128 if 128 < code < 160 else None  # as a shell tells it, of another machine


def tail(path: Path, begin: int = 0) -> str:
    """Return the end of a text file from byte `begin` on; "" when it cannot be read."""
    with suppress(OSError), open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(begin, size - TAIL))
        return file.read().decode("utf-8", "replace")
    return ""


def _killed(number: int) -> str:
    with suppress(ValueError):
        known = signal.Signals(number)
        return _SIGNALS.get(known, f"crashed ({known.name})")
    return f"crashed (signal {number})"


def no_engine(process: Ended) -> events.Failure:
    """Return why what was started is no engine."""
    if process.stray_line:
        sentence = (
            f"What was started is no DS4D engine, it said “{process.stray_line[:60]}”; choose "
            f"another {PREFERENCES}."
        )
    else:
        sentence = (
            f"The engine ended before it said anything (exit code {process.exit_code}); look at "
            f"the log, and check the engine {PREFERENCES}."
        )
    return events.Failure(sentence, "NoEngine")
