# SPDX-License-Identifier: GPL-3.0-or-later
"""What this Blender works on: its jobs, the objects that follow them, and short questions.

It belongs to Blender, not to a file or a window: closing the panel, another scene or another file
change nothing. `step` does the work, a little at a time; a timer calls it. Nothing is begun before
somebody looks at the panel or starts something, so that a render farm's Blender has no part in it.
"""

from __future__ import annotations

import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from . import live
from .jobs.job import Job, State
from .jobs.queue import JobQueue
from .preferences import chosen_engine
from .questions import Questions
from .seam import DS4DError

QUIET_SECONDS = 0.1
BUSY_SECONDS = 0.02
"""Between two steps: usually, and while splats are on their way into the scene."""


class Session:
    """The jobs of this Blender and what is shown of them."""

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.queue = JobQueue(folder or self._folder(), chosen_engine)
        self.questions = Questions(chosen_engine)
        self.trouble = ""
        """One sentence about something that could not be shown."""
        self.followed: frozenset[str] = frozenset()
        """Numbers of the jobs that an object of this file follows."""
        self._upload: live.Upload | None = None
        self._refused: set[live.Wanted] = set()
        self._seen = (-1, -1)
        self._offers: tuple[object, ...] = ()
        self._look = True

    def step(self) -> float:
        """Do what there is to do, in a few milliseconds; return the seconds until the next."""
        self.queue.step()
        self.questions.step()
        seen = (self.queue.changes, self.questions.changes)
        if seen != self._seen:
            self._seen = seen
            # Progress comes often; objects are looked through only where there is news for them.
            offers = tuple((job.state, wanted_of(job)) for job in self.queue.jobs)
            self._look |= offers != self._offers
            self._offers = offers
            redraw()
        self._follow()
        return BUSY_SECONDS if self._upload is not None else QUIET_SECONDS

    def job(self, job_id: str) -> Job | None:
        """Return a job by its number, the current or else the newest one for ""."""
        if job_id:
            return next((job for job in self.queue.jobs if job.id == job_id), None)
        jobs = self.queue.jobs
        return self.queue.current or (jobs[-1] if jobs else None)

    def look_again(self, *, abandon: bool = False) -> None:
        """Compare objects and jobs anew: the file was loaded, or undo changed it.

        With `abandon`, Blender's data is about to be exchanged.
        """
        if abandon and self._upload is not None:
            self._upload.close()
            self._upload = None
        self._look = True

    def close(self) -> None:
        """Let go of everything; a worker ends by itself after a checkpoint."""
        if self._upload is not None:
            self._upload.close()
            self._upload = None
        self.questions.close()
        self.queue.shutdown()
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.cleanup()

    def _folder(self) -> Path:
        with suppress(ValueError, OSError):  # no installed extension, or nothing may be written
            folder = bpy.utils.extension_path_user(__package__, path="jobs", create=True)
            return Path(folder)
        self._temporary = tempfile.TemporaryDirectory(prefix="ds4d-jobs-")
        return Path(self._temporary.name)

    def _follow(self) -> None:
        if self._upload is None:
            if not self._look:
                return
            self._look = False
            self._upload = self._next_upload()
            if self._upload is None:
                return
        upload = self._upload
        upload.step()
        if not upload.done:
            return
        self._upload, self._look = None, True
        if not upload.error:
            self.trouble = ""
        else:
            # A preview may have been replaced or fetched away under the reader: the next comes.
            self._refused.add(upload.wanted)
            if not upload.wanted.passing:
                self.trouble = upload.error
        redraw()

    def _next_upload(self) -> live.Upload | None:
        followers = live.followers()
        self.followed = frozenset(followers)
        for job in self.queue.jobs:
            targets = followers.get(job.id)
            if not targets:
                continue
            wanted = wanted_of(job)
            if wanted is None:
                if job.state.is_over and not job.resumable:
                    live.remove_empty(targets)
                continue
            behind = any(target.get(live.SHOWS_KEY) != wanted.shows for target in targets)
            if behind and wanted not in self._refused:
                return live.Upload(wanted)
        return None


def wanted_of(job: Job) -> live.Wanted | None:
    """Return what the objects of a job should show, None while there is nothing new."""
    if has_asset(job):
        return live.Wanted(job.id, job.output, f"{job.started} asset")
    if job.preview and job.state.is_active:
        shows = f"{job.started} preview {job.preview_count}"
        return live.Wanted(job.id, job.preview, shows, passing=True)
    return None


def has_asset(job: Job) -> bool:
    """Tell whether a job that is over has written its asset."""
    if job.state is State.DONE:
        return True
    if job.state is not State.STOPPED or not job.started:
        return False
    with suppress(OSError):
        return Path(job.output).stat().st_mtime >= job.started - 1.0
    return False


def redraw() -> None:
    """Draw the sidebars of all 3D views again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type != "VIEW_3D":
                continue
            for region in area.regions:  # the view itself is drawn when its objects change
                if region.type == "UI":
                    region.tag_redraw()


_session: Session | None = None


def current() -> Session:
    """Return this Blender's session, begun when it is first asked for.

    Raises:
        EngineError: there is no place for jobs.
    """
    global _session
    if _session is None:
        _session = Session()
    return _session


def begun() -> Session | None:
    """Return the session if there is one already; cheap, for drawing."""
    return _session


def step() -> float:
    """Do what there is to do; return the seconds until the next time."""
    return QUIET_SECONDS if _session is None else _session.step()


def tick() -> float:
    """Do one step as Blender's timer does it: whatever happens, there is a next one."""
    try:
        if _session is None:
            current()
        return step()
    except DS4DError as error:
        return _put_off(str(error))
    except ReferenceError:
        # Undo or a new file took what was held; everything is looked up again.
        if _session is not None:
            _session.look_again(abandon=True)
        return QUIET_SECONDS
    except Exception as error:  # a timer that raises is never called again
        traceback.print_exc()
        return _put_off(f"The add-on failed ({error}); the system console says more.")


def _put_off(trouble: str) -> float:
    if _session is not None:
        _session.trouble = trouble
        _session.look_again(abandon=True)
    return 2.0


@persistent
def _before_exchange(*_: object) -> None:
    if _session is not None:
        _session.look_again(abandon=True)


@persistent
def _after_exchange(*_: object) -> None:
    if _session is not None:
        _session.look_again()


_BEFORE = ("load_pre", "undo_pre", "redo_pre")
_AFTER = ("load_post", "undo_post", "redo_post")


def register() -> None:
    """Start the timer; survive loading files and undo."""
    for name in _BEFORE:
        getattr(bpy.app.handlers, name).append(_before_exchange)
    for name in _AFTER:
        getattr(bpy.app.handlers, name).append(_after_exchange)
    if not bpy.app.background:
        bpy.app.timers.register(tick, first_interval=1.0, persistent=True)


def unregister() -> None:
    """Stop the timer, let the jobs go, and leave nothing."""
    global _session
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    for names, handler in ((_BEFORE, _before_exchange), (_AFTER, _after_exchange)):
        for name in names:
            handlers = getattr(bpy.app.handlers, name)
            while handler in handlers:
                handlers.remove(handler)
    if _session is not None:
        _session.close()
        _session = None
