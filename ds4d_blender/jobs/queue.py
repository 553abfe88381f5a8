# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of this Blender: one runs at a time, the others wait, all are kept on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..engine.location import Engine
from ..engine.remote import forget
from ..seam import commands, errors
from .attempt import Attempt, Limits
from .job import Job, State
from .seat import Seat, is_taken
from .store import delete_job, load_jobs, log_path, save_job

# A worker that lost its Blender is given this long to write its checkpoint, in seconds.
LEAVING = 15.0
_CLOSED = "Blender was closed while this was fitting; Resume goes on from the last checkpoint."
_CLOSED_EARLY = "Blender was closed before there was anything to keep; Retry begins again."


class JobQueue:
    """Keeps jobs and works on them one after another; no method waits for anything.

    Args:
        folder: where jobs and logs are kept; made if it is not there.
        engine: gives the engine to use; asked whenever a job begins. It may raise EngineError.

    Raises:
        EngineError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        engine: Callable[[], Engine],
        *,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.EngineError(
                f"The folder of jobs {folder} cannot be made: {error.strerror or error}."
            ) from error
        self.changes = 0
        """Raised at every visible change."""
        self._engine = engine
        self._limits = limits
        self._attempt: Attempt | None = None
        self._closed = False
        self._opened = time.monotonic()
        self._seat = Seat(self.folder)
        self._jobs: list[Job] = []
        loaded, self.problems = load_jobs(self.folder)
        """Sentences about what could not be read or saved."""
        for job in loaded:
            if not is_taken(self.folder, job.seat):
                self._adopt(job)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Return the jobs in their order; only the queue changes them."""
        return tuple(self._jobs)

    @property
    def current(self) -> Job | None:
        """Return the job that is worked on."""
        return self._attempt.job if self._attempt is not None else None

    def add(self, job: Job) -> Job:
        """Put a job at the end; raise EngineError where one writes the same file already."""
        for other in self._jobs:
            if not other.state.is_over and _same_file(other.output, job.output):
                raise errors.EngineError(
                    f"“{other.name}” already writes {job.output}; choose another output."
                )
        job.seat, job.state = self._seat.name, State.QUEUED
        job.place = max((other.place for other in self._jobs), default=0.0) + 1.0
        job.message = "Waits for its turn." if self.current else ""
        self._jobs.append(job)
        self._changed(job)
        return job

    def step(self) -> None:
        """Take note of what has happened; to be called about ten times a second."""
        if self._closed:
            return
        if self._attempt is None:
            self._begin_next()
        if self._attempt is None:
            return
        job = self._attempt.job
        before, kept = replace(job), (job.state, job.resumable, job.prepared, job.worker)
        over = self._attempt.step()
        if over:
            self._attempt = None
        if kept != (job.state, job.resumable, job.prepared, job.worker) or over:
            self._changed(job)
        elif _face(before) != _face(job):
            self.changes += 1

    def pause(self, job_id: str) -> None:
        """Let the running job write a checkpoint and hold still.

        Raises:
            EngineError: what runs first cannot be paused.
        """
        self._tell(job_id, commands.Do.PAUSE, State.RUNNING, "Pausing after a checkpoint.")

    def go_on(self, job_id: str) -> None:
        """Let a paused job go on."""
        self._tell(job_id, commands.Do.CONTINUE, State.PAUSED, "Going on.")

    def cancel(self, job_id: str) -> None:
        """End a job soon and keep what there is; a waiting one does not begin."""
        job = self._find(job_id)
        if self._attempt is not None and self._attempt.job is job:
            if job.state is not State.STOPPING:
                self._attempt.stop()
                self._changed(job)
        elif job.state is State.QUEUED:
            job.state, job.message = State.STOPPED, "Cancelled before it began."
            self._changed(job)

    def kill(self, job_id: str) -> None:
        """End a job now; what it has not saved is lost."""
        job = self._find(job_id)
        if self._attempt is not None and self._attempt.job is job:
            self._attempt.kill()
            self._changed(job)

    def retry(self, job_id: str, *, afresh: bool = False) -> None:
        """Queue a job again that is over; from its checkpoint if it has one and not `afresh`."""
        job = self._find(job_id)
        if not job.state.is_over:
            return
        job.resumable = job.resumable and not afresh
        job.state, job.error, job.message = State.QUEUED, "", "Waits for its turn."
        self._changed(job)

    def remove(self, job_id: str) -> None:
        """Forget a job with its log and previews; its asset stays.

        Raises:
            EngineError: it is being worked on.
        """
        job = self._find(job_id)
        if self.current is job:
            raise errors.EngineError(f"“{job.name}” is being worked on; cancel it first.")
        self._jobs.remove(job)
        delete_job(self.folder, job)
        for path in (job.preview, job.picture):
            with suppress(OSError):
                if path and path != job.output:
                    Path(path).unlink(missing_ok=True)
        with suppress(errors.DS4DError):
            engine = self._engine()
            if engine.is_remote and job.started and job.state is not State.DONE:
                forget(engine, job.id)
        self.changes += 1

    def move(self, job_id: str, by: int) -> None:
        """Move a job up (negative) or down among the others."""
        job = self._find(job_id)
        old = self._jobs.index(job)
        new = min(max(old + by, 0), len(self._jobs) - 1)
        self._jobs.insert(new, self._jobs.pop(old))
        for place, other in enumerate(self._jobs, 1):
            if other.place != place:
                other.place = float(place)
                self._changed(other)

    def shutdown(self) -> None:
        """Let go of everything; a worker that runs ends by itself after a checkpoint."""
        if self._closed:
            return
        self._closed = True
        if self._attempt is not None:
            self._attempt.release()
            self._save(self._attempt.job)
        self._seat.leave()

    def _begin_next(self) -> None:
        for job in self._jobs:
            if job.state is State.QUEUED:
                if self._still_leaving(job):
                    job.message = "Waits until its earlier run has ended."
                    return
                resume = job.resumable
                log = log_path(self.folder, job.id)
                self._attempt = Attempt(job, self._engine, log, self._limits, resume)
                self._changed(job)
                return

    def _still_leaving(self, job: Job) -> bool:
        """Tell whether the worker of an earlier Blender may still be writing this job's files."""
        if not job.worker or os.name == "nt" or time.monotonic() - self._opened > LEAVING:
            return False
        try:
            os.kill(job.worker, 0)
        except OSError:
            return False
        return True

    def _adopt(self, job: Job) -> None:
        """Take over a job that an earlier Blender left."""
        job.seat = self._seat.name
        if job.state.is_active:
            job.state, job.eta_seconds, job.stage = State.FAILED, None, ""
            checkpoint = Path(f"{job.output}.checkpoint")
            with suppress(OSError):
                job.resumable |= checkpoint.stat().st_mtime >= job.started
            job.error = "BlenderClosed"
            job.message = _CLOSED if job.resumable else _CLOSED_EARLY
        self._jobs.append(job)
        self._changed(job)

    def _tell(self, job_id: str, do: commands.Do, state: State, message: str) -> None:
        job = self._find(job_id)
        if self._attempt is not None and self._attempt.job is job and job.state is state:
            if not self._attempt.listens:
                raise errors.EngineError("What runs now cannot be paused; wait for the fit.")
            self._attempt.say(do)
            job.message = message
            self._changed(job)

    def _find(self, job_id: str) -> Job:
        for job in self._jobs:
            if job.id == job_id:
                return job
        raise errors.EngineError("There is no such job any more.")

    def _changed(self, job: Job) -> None:
        self.changes += 1
        self._save(job)

    def _save(self, job: Job) -> None:
        try:
            save_job(self.folder, job)
        except errors.EngineError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))


def _face(job: Job) -> tuple[object, ...]:
    """Return what a person sees of a job."""
    return (
        *(job.state, job.stage, job.message, job.error, job.preview_count, int(job.seconds)),
        *(round(job.part, 3), tuple(job.values.values())),
    )


def _same_file(first: str, second: str) -> bool:
    return os.path.normcase(os.path.abspath(first)) == os.path.normcase(os.path.abspath(second))
