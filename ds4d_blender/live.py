# SPDX-License-Identifier: GPL-3.0-or-later
"""Let objects in the scene follow a job: each preview, and at the end the asset itself.

An object that follows carries its job's number (`ds4d_job`) and what it shows of it
(`ds4d_shows`). What it should show is compared with that again and again, so that undo, reloading
the file and a second scene sort themselves out. Files are read in a thread; the main thread does a
few milliseconds of work at a time. Nothing is selected and no undo step is made.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import bpy

from .importer import read_filled
from .seam import DS4DError
from .splat_layers import Clip, Layer, clip_of, layers
from .splat_objects import (
    Clouds,
    cloud_steps,
    fitting_clouds,
    new_splats,
    padded,
    remove_clouds,
    roomy,
    show_clouds,
    write_into,
)
from .time_knots import DEFAULT_LIMIT_MB, within
from .upgrade import bring_up_to_date

JOB_KEY = "ds4d_job"
SHOWS_KEY = "ds4d_shows"
STEP_SECONDS = 0.006
"""Work for the main thread in one step; a step ends up to one attribute later."""
_WAITING_LAYERS = 12
# Numbers that are written in one step; a preview of the engine has about 3 million.
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Wanted:
    """What the objects of a job should show: a file, and a word that changes with its content."""

    job: str
    path: str
    shows: str
    passing: bool = False
    """Another one follows soon: the object may be left with room for it."""


def add_follower(job: str, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """Add an object that follows a job and shows nothing yet.

    Builds all nodes that it will need, which takes longest: do it where the artist waits anyway.
    """
    target = new_splats(name, collection)
    target[JOB_KEY] = job
    target[SHOWS_KEY] = ""
    return target


def followers() -> dict[str, list[bpy.types.Object]]:
    """Return the objects of this file that follow jobs, by job."""
    found: dict[str, list[bpy.types.Object]] = {}
    for target in bpy.data.objects:
        job = target.get(JOB_KEY)
        if job and target.type == "POINTCLOUD" and target.library is None:
            found.setdefault(job, []).append(target)
    return found


def stop_following(target: bpy.types.Object) -> None:
    """Leave an object as it is from now on."""
    for key in (JOB_KEY, SHOWS_KEY):
        if key in target:
            del target[key]


def remove_empty(targets: list[bpy.types.Object]) -> None:
    """Remove objects that follow a job which gave nothing to show."""
    for target in targets:
        if len(target.data.points) == 0:
            cloud = target.data
            bpy.data.objects.remove(target)
            remove_clouds([cloud])


def is_held(targets: list[bpy.types.Object]) -> bool:
    """Tell whether the scene is not to be touched now: a render or a bake runs, or one is edited.

    Renders read the scene from a thread of their own.
    """
    running = any(bpy.app.is_job_running(kind) for kind in ("RENDER", "OBJECT_BAKE"))
    return running or any(target.mode != "OBJECT" for target in targets)


class Upload:
    """One file on its way into the objects of a job."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.error = ""
        """One sentence, where the file cannot be shown."""
        self.done = False
        self._reading = _Reading(wanted.path)
        self._work = self._steps()

    def step(self, seconds: float = STEP_SECONDS) -> None:
        """Do about so many seconds of work, on the main thread."""
        end = time.perf_counter() + seconds
        try:
            while not self.done and next(self._work) and time.perf_counter() < end:
                pass
        except StopIteration:
            self.done = True
        except DS4DError as error:
            self.error, self.done = str(error), True

    def close(self) -> None:
        """Give it up and leave nothing behind."""
        self._reading.stop()
        with suppress(ReferenceError):  # Blender's data may have been exchanged under it
            self._work.close()
        self.done = True

    def _steps(self) -> Generator[bool, None, None]:
        while self._reading.clip is None:
            self._reading.check()
            yield False
        clip = self._reading.clip
        if self.wanted.passing and clip.floats <= _AT_ONCE:
            yield from self._write_into(clip)
        else:
            clouds = yield from cloud_steps("DS4D Preview", clip, self._reading.layers())
            yield from self._show(clip, clouds)

    def _write_into(self, clip: Clip) -> Generator[bool, None, None]:
        """Write what is small into the clouds that are there, or into new ones with room."""
        ready: list[Layer] = []
        for layer in self._reading.layers():
            if layer is None:
                yield False
            else:
                ready.append(layer)
        targets = yield from self._free_targets()
        clouds = fitting_clouds(targets, clip, ready) if targets else None
        if clouds is not None:
            write_into(targets, clip, clouds, ready)
            self._note(targets)
            return
        room = roomy(clip)
        wider = (padded(layer, room.counts[layer.part]) for layer in ready)
        clouds = yield from cloud_steps("DS4D Preview", room, wider)
        yield from self._show(room, clouds)

    def _show(self, clip: Clip, clouds: Clouds) -> Generator[bool, None, None]:
        yield True  # a step of its own: exchanging the clouds comes on top of nothing else
        try:
            targets = yield from self._free_targets()
        except (GeneratorExit, DS4DError):
            remove_clouds(clouds.values())
            raise
        if not targets:
            remove_clouds(clouds.values())
            return
        show_clouds(targets, clip, clouds)
        self._note(targets)

    def _free_targets(self) -> Generator[bool, None, list[bpy.types.Object]]:
        """Return the objects of the job, once they may be touched."""
        targets = followers().get(self.wanted.job, [])
        while targets and is_held(targets):
            yield False
            targets = followers().get(self.wanted.job, [])
        bring_up_to_date(targets)
        return targets

    def _note(self, targets: list[bpy.types.Object]) -> None:
        for target in targets:
            target["ds4d_source"] = self.wanted.path
            target[SHOWS_KEY] = self.wanted.shows


class _Reading:
    """A thread that reads an asset and makes its layers, a few ahead."""

    def __init__(self, path: str) -> None:
        self.clip: Clip | None = None
        self._path = Path(path)
        self._ready: queue.Queue[Layer | DS4DError | None] = queue.Queue(_WAITING_LAYERS)
        self._stopped = threading.Event()
        self._error: DS4DError | None = None
        threading.Thread(target=self._read, name="ds4d-read", daemon=True).start()

    def check(self) -> None:
        """Raise what went wrong, one sentence, if something did."""
        if self._error is not None:
            raise self._error

    def layers(self) -> Iterator[Layer | None]:
        """Yield the layers; None where the next is not there yet."""
        while True:
            try:
                layer = self._ready.get_nowait()
            except queue.Empty:
                self.check()
                yield None
                continue
            if layer is None:
                return
            yield layer

    def stop(self) -> None:
        self._stopped.set()

    def _read(self) -> None:
        try:
            asset, note = within(read_filled(self._path), DEFAULT_LIMIT_MB, self._path.name)
            self.clip = replace(clip_of(asset), note=note)
            for layer in layers(asset):
                self._put(layer)
                if self._stopped.is_set():
                    return
            self._put(None)
        except DS4DError as error:
            self._error = error
        except (OSError, MemoryError, ValueError) as error:
            self._error = DS4DError(f"{self._path} cannot be shown: {error}.")

    def _put(self, layer: Layer | None) -> None:
        while not self._stopped.is_set():
            try:
                self._ready.put(layer, timeout=0.1)
                return
            except queue.Full:
                continue
