# SPDX-License-Identifier: GPL-3.0-or-later
"""What a long-running engine says: progress, previews, a result or an error, one JSON line each."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import EngineError

EVENT_VERSION = 1
MIN_SECONDS_BETWEEN = 0.2


@dataclass(frozen=True)
class Progress:
    """Report how far a stage is: ``done`` of ``total``, in the stage's own unit.

    ``eta_seconds`` until the stage ends, None while unknown; ``values`` are named numbers worth
    showing (loss, count).
    """

    stage: str
    done: float
    total: float
    eta_seconds: float | None = None
    message: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """Report success: the files written by role, and named numbers."""

    files: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Report why the engine stopped, as one sentence.

    ``error`` is the error's class name; ``resumable`` says that a checkpoint lies there to go on
    from.
    """

    message: str
    error: str = "EngineError"
    resumable: bool = False


@dataclass(frozen=True)
class Hello:
    """Open a controlled run: which versions of the conversation this engine can hold."""

    versions: tuple[int, ...]
    engine: str
    """The engine's own version."""


@dataclass(frozen=True)
class Heartbeat:
    """Say that the engine is alive, every few seconds, whatever it is busy with."""

    paused: bool = False


@dataclass(frozen=True)
class Preview:
    """Report how the result looks so far: the files written by role, and named numbers.

    Roles are "asset", a small asset, and "picture", a PNG of source and fit side by side. The next
    preview overwrites them, each whole.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)


Event = Progress | Result | Failure | Hello | Heartbeat | Preview
Listener = Callable[[Progress], None]

_KINDS: dict[str, type[Event]] = {
    "progress": Progress,
    "result": Result,
    "error": Failure,
    "hello": Hello,
    "heartbeat": Heartbeat,
    "preview": Preview,
}


def silent(event: Progress) -> None:
    """Ignore an event."""


def to_json_line(event: Event) -> str:
    """Encode an event as one line of JSON, without the newline; non-finite numbers become null."""
    kind = next(kind for kind, cls in _KINDS.items() if isinstance(event, cls))
    content = {name: _finite(value) for name, value in asdict(event).items()}
    return json.dumps({"ds4d_event": EVENT_VERSION, "kind": kind, **content}, allow_nan=False)


def from_json_line(line: str) -> Event:
    """Decode a line; raise EngineError when it is no event that this version knows.

    Unknown fields are ignored, so that a later version may add some.
    """
    try:
        content = json.loads(line)
        version = content["ds4d_event"]
    except (ValueError, TypeError, KeyError):
        raise EngineError(f"The engine said something that is no event: {line[:80]!r}.") from None
    if version != EVENT_VERSION:
        raise EngineError(f"The engine speaks event version {version}, not {EVENT_VERSION}.")
    try:
        return _decode(content)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise EngineError(f"The engine sent a malformed event: {line[:80]!r}.") from None


class Stage:
    """Report the progress of one stage: the first and last update, and at most five a second.

    ``initial`` is the work done before this stage object existed (a resumed run), so that the
    ETA counts only what this one did.
    """

    def __init__(
        self,
        listener: Listener,
        stage: str,
        total: float,
        *,
        initial: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.listener = listener
        self.stage = stage
        self.total = float(total)
        self.initial = float(initial)
        self.clock = clock
        self.started = clock()
        self.last_emitted = -math.inf
        self.finished = False

    def update(self, done: float, message: str = "", **values: float) -> None:
        """Say that ``done`` of the total is reached."""
        now = self.clock()
        last = done >= self.total and not self.finished
        if not last and now - self.last_emitted < MIN_SECONDS_BETWEEN:
            return
        self.finished = done >= self.total
        self.last_emitted = now
        eta = self._eta_seconds(done, now)
        self.listener(Progress(self.stage, float(done), self.total, eta, message, values))

    def _eta_seconds(self, done: float, now: float) -> float | None:
        if done >= self.total:
            return 0.0
        progressed = done - self.initial
        if progressed <= 0:
            return None
        return (now - self.started) / progressed * (self.total - done)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    # Numpy and torch scalars arrive here too; anything that is a number becomes a plain one.
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, tuple):
        return [_finite(item) for item in value]
    number = float(value)
    return number if math.isfinite(number) else None


def _decode(content: Mapping[str, Any]) -> Event:
    kind = content["kind"]
    if kind == "progress":
        eta = content.get("eta_seconds")
        return Progress(
            str(content["stage"]),
            float(content["done"]),
            float(content["total"]),
            None if eta is None else float(eta),
            str(content.get("message", "")),
            _numbers(content.get("values", {})),
        )
    if kind in ("result", "preview"):
        files = {str(role): str(path) for role, path in content.get("files", {}).items()}
        values = _numbers(content.get("values", {}))
        return Result(files, values) if kind == "result" else Preview(files, values)
    if kind == "error":
        error = str(content.get("error", "EngineError"))
        return Failure(str(content["message"]), error, bool(content.get("resumable", False)))
    if kind == "hello":
        return Hello(tuple(int(v) for v in content["versions"]), str(content["engine"]))
    if kind == "heartbeat":
        return Heartbeat(bool(content.get("paused", False)))
    raise ValueError(kind)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(k): math.nan if v is None else float(v) for k, v in values.items()}
