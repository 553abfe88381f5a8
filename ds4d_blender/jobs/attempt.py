# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt at a job: its process from the start to the end, told in the job's own fields."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..engine import ends
from ..engine.location import Engine
from ..engine.process import EngineProcess, Patience
from ..engine.remote import RemoteRun
from ..seam import commands, errors, events
from .job import Job, State
from .stages import label, part_of_job, seconds_left

SILENT = "EngineSilent"
LONGEST_BLINK = 1.0  # seconds that one call of `step` may count as watched


@dataclass(frozen=True)
class Limits:
    """How long a job's process may be silent, and how patiently it is stopped; seconds."""

    silent: float = 30.0
    greeting: float = 90.0
    patience: Patience = Patience()  # noqa: RUF009  # frozen


class Attempt:
    """Runs a job once; `step` looks after it and never waits."""

    def __init__(
        self, job: Job, engine: Callable[[], Engine], log: Path, limits: Limits, resume: bool
    ) -> None:
        self.job = job
        self._engine = engine
        self._log = log
        self._limits = limits
        self._resume = resume
        self._watched = time.monotonic()
        self._silent = 0.0
        self._version = False
        self._failure: events.Failure | None = None
        self._result: events.Result | None = None
        self._process: EngineProcess | RemoteRun | None = None
        self._in_before = bool(job.before) and not job.prepared
        self._kept = _checkpoint_time(job)
        job.state, job.stage, job.message, job.error = State.STARTING, "Starting", "", ""
        job.started, job.eta_seconds, job.worker = time.time(), None, 0
        job.log = str(log)
        if not resume:
            job.part, job.seconds, job.values, job.preview_count = 0.0, 0.0, {}, 0
            job.preview = job.picture = ""

    def step(self) -> bool:
        """Take note of what has happened; return whether the attempt is over."""
        if self._process is None:
            return not self._launch()
        process = self._process
        alive = process.alive  # before its last events are taken
        heard = process.poll()
        for event in heard:
            self._hear(event)
        self._watch(alive and not heard)
        self.job.worker = process.pid
        if alive:
            return False
        if self._in_before and self._prepared():
            self._in_before, self._process = False, None
            return not self._launch()
        self._end(process)
        return True

    @property
    def listens(self) -> bool:
        """Tell whether its process does what it is told."""
        return self._version

    def say(self, do: commands.Do) -> None:
        """Tell the process something."""
        if self._process is not None:
            self._process.say(commands.Command(do))

    def stop(self) -> None:
        """End soon, with what there is."""
        self.job.state, self.job.message = State.STOPPING, "Stopping, and keeping what there is."
        if self._process is None:
            return
        if self._version and not self.job.error:
            self._process.stop()
        else:  # it would not understand, or does not answer
            self._process.release()

    def kill(self) -> None:
        """End now; what was not saved is lost."""
        self.job.state, self.job.message = State.STOPPING, "Ending it."
        if self._process is not None:
            self._process.kill()

    def release(self) -> None:
        """Let the process end by itself, as when Blender quits."""
        if self._process is not None:
            self._process.release()

    def _launch(self) -> bool:
        """Start the process that is next; return whether there is one."""
        job, patience = self.job, self._limits.patience
        self._log_from = self._log.stat().st_size if self._log.exists() else 0
        self._silent, self._version, self._watched = 0.0, False, time.monotonic()
        if job.state is State.STOPPING:
            self._over(State.STOPPED, "Cancelled; there was nothing to keep yet.")
            return False
        if self._in_before:
            self._process = EngineProcess(job.before, [], self._log, patience=patience)
            return True
        try:
            engine = self._engine()
        except errors.DS4DError as error:
            self._over(State.FAILED, str(error), type(error).__name__)
            return False
        # A checkpoint on another machine is that machine's to know of.
        self._resume = self._resume and (engine.is_remote or self._kept is not None)
        words = ["fit", *job.words, "--progress", "json", "--control"]
        words += ["--resume"] if self._resume else []
        if engine.is_remote:
            self._process = RemoteRun(
                engine, words, job.inputs, job.output, job.id, self._log, patience
            )
        else:
            words += ["-o", job.output]
            self._process = EngineProcess(engine, words, self._log, patience=patience)
        return True

    def _hear(self, event: events.Event) -> None:
        job = self.job
        if isinstance(event, events.Hello):
            self._greet(event)
        elif isinstance(event, events.Heartbeat):
            was, now = job.state, State.PAUSED if event.paused else State.RUNNING
            if was in (State.RUNNING, State.PAUSED) and was is not now:
                job.state, job.message = now, "Paused." if event.paused else ""
        elif isinstance(event, events.Progress):
            self._progress(event)
        elif isinstance(event, events.Preview):
            job.preview = event.files.get("asset", job.preview)
            job.picture = event.files.get("picture", job.picture)
            job.values |= _finite(event.values)
            job.preview_count += 1
        else:
            if isinstance(event, events.Result):
                self._result = event
            elif self._failure is None:
                self._failure = event
            if self._process is not None:
                self._process.release()  # there is nothing left to do

    def _greet(self, hello: events.Hello) -> None:
        version = commands.common_version(hello.versions)
        assert self._process is not None
        if version is not None:
            self._version = True
            self._process.say(commands.Command(commands.Do.START, version))
            if self.job.state is State.STARTING:
                self.job.state = State.RUNNING
            return
        theirs = ", ".join(map(str, hello.versions)) or "none"
        ours = ", ".join(map(str, commands.CONVERSATION_VERSIONS))
        self._failure = events.Failure(
            f"The engine is version {hello.engine} and speaks version {theirs} of the conversation "
            f"where this add-on speaks {ours}; update it {ends.PREFERENCES}.",
            "EngineOutdated",
        )
        self._process.kill()

    def _progress(self, event: events.Progress) -> None:
        job = self.job
        if self._in_before and job.state is State.STARTING:
            job.state = State.RUNNING
        job.stage = label(event.stage)
        part = part_of_job(event, has_before=bool(job.before), in_before=self._in_before)
        job.part = max(job.part, part)
        job.eta_seconds = seconds_left(event)
        job.values |= _finite(event.values)
        # A worker on another machine keeps its checkpoint there when this Blender is gone.
        job.resumable |= event.stage == "fit" and isinstance(self._process, RemoteRun)
        if job.state is not State.STOPPING:
            job.message = event.message

    def _watch(self, silent: bool) -> None:
        """Count time without a word; time in which nobody looked does not count."""
        now = time.monotonic()
        blink = min(now - self._watched, LONGEST_BLINK)
        self._watched = now
        job = self.job
        if job.state is not State.PAUSED:
            job.seconds += blink
        self._silent = self._silent + blink if silent else 0.0
        if self._silent == 0.0 and job.error == SILENT:
            job.error = job.message = ""
        if self._in_before or job.state is State.STOPPING or not silent:
            return
        assert self._process is not None
        if not self._version and self._silent > self._limits.greeting:
            self._failure = self._failure or self._no_greeting()
            self._process.kill()
        elif self._silent > self._limits.silent:
            job.error = SILENT
            job.message = (
                f"The engine has not answered for {self._silent:.0f} s; wait, or end it and go on "
                "from the last checkpoint."
            )

    def _no_greeting(self) -> events.Failure:
        assert self._process is not None
        if self._process.stray_line:
            return ends.no_engine(self._process)
        return events.Failure(
            f"The engine did not answer for {self._silent:.0f} s; check it {ends.PREFERENCES}.",
            "EngineSilent",
        )

    def _prepared(self) -> bool:
        """Tell whether what runs first has done its work."""
        assert self._process is not None
        done = self._failure is None and self._process.exit_code == 0
        if done and self.job.state is not State.STOPPING:
            self.job.prepared, self._result = True, None
            self.job.state = State.STARTING
            return True
        return False

    def _end(self, process: EngineProcess | RemoteRun) -> None:
        job, failure = self.job, self._failure
        kept = _checkpoint_time(job)
        job.resumable = self._resume or (kept is not None and kept != self._kept)
        job.resumable |= failure is not None and failure.resumable
        if self._result is not None and "asset" in self._result.files:
            job.values |= _finite(self._result.values)
            job.output = self._result.files["asset"]
            stopped = job.state is State.STOPPING or bool(self._result.values.get("stopped"))
            if stopped:
                self._over(State.STOPPED, "Stopped early; what there was is kept.")
            else:
                job.resumable = False
                self._over(State.DONE, "Done.")
            return
        if job.state is State.STOPPING or self._result is not None:
            kept = "Stopped; Resume goes on from the last checkpoint."
            nothing = "Cancelled; there was nothing to keep yet."
            self._over(State.STOPPED, kept if job.resumable else nothing)
            return
        if failure is None:
            who = "What runs before the fit" if self._in_before else "The engine"
            spoke = self._version or self._in_before
            failure = ends.why_it_ended(process, spoke=spoke, log_from=self._log_from, who=who)
        message = failure.message
        if failure.error == "EngineKilled" and job.resumable:
            message = f"{message[:-1]}; Resume goes on from the last checkpoint."
        self._over(State.FAILED, message, failure.error)

    def _over(self, state: State, message: str, error: str = "") -> None:
        job = self.job
        job.state, job.message, job.error = state, message, error
        job.eta_seconds = 0.0 if state is State.DONE else None
        if state is State.DONE:
            job.part = 1.0
        job.stage = ""


def _checkpoint_time(job: Job) -> int | None:
    """Return when a job's checkpoint was written, None where there is none."""
    with suppress(OSError):
        return Path(f"{job.output}.checkpoint").stat().st_mtime_ns
    return None


def _finite(values: object) -> dict[str, float]:
    assert isinstance(values, dict)
    return {name: value for name, value in values.items() if math.isfinite(value)}
