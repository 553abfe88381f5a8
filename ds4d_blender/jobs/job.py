# SPDX-License-Identifier: GPL-3.0-or-later
"""One fit that an artist asked for: what it is, and how far it is."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from ..seam import errors


class State(StrEnum):
    """Where a job is on its way."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    """Ended early by the artist; an asset is kept if there was one."""
    FAILED = "failed"

    @property
    def is_active(self) -> bool:
        """Tell whether a process works on it, or is about to end."""
        return self in _ACTIVE

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more happens by itself."""
        return self in (State.DONE, State.STOPPED, State.FAILED)


_ACTIVE = (State.STARTING, State.RUNNING, State.PAUSED, State.STOPPING)


@dataclass
class Job:
    """A fit; everything but the first block is written by the queue."""

    name: str
    words: list[str]
    """Words of `ds4d fit` after "fit", without -o, --progress and --control."""
    output: str
    """The .ds4d file to write."""
    inputs: list[str] = field(default_factory=list)
    """Paths among the words that an engine on another machine needs."""
    before: list[str] = field(default_factory=list)
    """A command to run first on this machine; it speaks progress, result and error lines.

    Its standard input stays open as long as this Blender lives; it should end when that closes.
    """
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    state: State = State.QUEUED
    stage: str = ""
    """What is being done, in a person's words."""
    part: float = 0.0
    """How much of the whole job is done, 0..1."""
    eta_seconds: float | None = None
    message: str = ""
    """One sentence."""
    error: str = ""
    """Class name of the error, "" when there is none; "EngineSilent" may pass."""
    values: dict[str, float] = field(default_factory=dict)
    preview: str = ""
    """Path of the newest preview asset."""
    picture: str = ""
    """Path of the newest preview picture."""
    preview_count: int = 0
    resumable: bool = False
    """Whether a retry goes on from a checkpoint."""
    started: float = 0.0
    """When the present attempt began, seconds since 1970."""
    seconds: float = 0.0
    """How long it has worked, all attempts together."""
    log: str = ""
    place: float = 0.0
    """Where it stands among the jobs."""
    prepared: bool = False
    """Whether `before` has been done."""
    seat: str = ""
    """The Blender that it belongs to."""
    worker: int = 0
    """Number of the process that worked on it last."""


def job_to_dict(job: Job) -> dict[str, Any]:
    """Return a job as values that JSON can hold."""
    return asdict(job) | {"state": job.state.value}


def job_from_dict(content: object) -> Job:
    """Return the job of `job_to_dict`; unknown entries are left out.

    Raises:
        EngineError: it is no job.
    """
    if not isinstance(content, dict):
        raise errors.EngineError("This is no job.")
    defaults = Job("", [], "")
    given: dict[str, Any] = {}
    for entry in fields(Job):
        if entry.name not in content:
            continue
        value = content[entry.name]
        if not _fits(value, getattr(defaults, entry.name)):
            raise errors.EngineError(f"A job's {entry.name} cannot be {value!r}.")
        given[entry.name] = value
    if not {"id", "name", "words", "output"} <= given.keys() or not given["id"].isalnum():
        raise errors.EngineError("This is no job.")
    try:
        given["state"] = State(given.get("state", State.QUEUED))
    except ValueError:
        raise errors.EngineError(f"There is no state {given['state']!r}.") from None
    return Job(**given)


def _fits(value: object, default: object) -> bool:
    """Tell whether a value has the type that a field's default has."""
    if default is None:
        return value is None or isinstance(value, int | float)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, list):
        return isinstance(value, list) and all(isinstance(word, str) for word in value)
    if isinstance(default, dict):
        return isinstance(value, dict) and all(isinstance(n, int | float) for n in value.values())
    if isinstance(default, str):
        return isinstance(value, str)
    return isinstance(value, type(default))
