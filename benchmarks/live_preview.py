# SPDX-License-Identifier: GPL-3.0-or-later
"""Time how long the add-on holds Blender while a large fit is shown. Run it with Blender's Python:

PYTHONPATH=. .nox/blender-4.5/bin/python benchmarks/live_preview.py --engine .nox/engine/bin/python

A real fit of a clip of 16 pictures with about 50,000 Gaussians runs in the engine's process; this
one does what Blender's timer does. The median and the longest steps are printed, the longest with
their processor time: the rest was spent waiting for a core.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import bpy

from ds4d_blender import addon, live, session
from ds4d_blender.engine.location import Engine
from ds4d_blender.install.check import EngineState, Kind
from ds4d_blender.operators import subject
from ds4d_blender.session import Session
from tests.blender.pictures import write_clip

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = """
gaussians = 50000
max_gaussians = 50000
iterations = 100000
seconds = {seconds}

[options]
size = {size}
preview_seconds = 3
"""


def steps(now: Session, job, seconds: float) -> tuple[list[tuple[float, float]], float]:
    """Step until the object is final: (wall, processor) seconds of each, and when it was seen."""
    taken, began, seen = [], time.monotonic(), 0.0
    (target,) = live.followers()[job.id]
    while not (job.state.is_over and target[live.SHOWS_KEY].endswith("asset")):
        if time.monotonic() - began > seconds:
            raise SystemExit(f"Not done after {seconds:.0f} s: {job.message}")
        wall, own = time.perf_counter(), time.thread_time()
        wait = now.step()
        taken.append((time.perf_counter() - wall, time.thread_time() - own))
        (target,) = live.followers()[job.id]
        if not seen and target[live.SHOWS_KEY]:
            seen = time.monotonic() - began
        time.sleep(min(wait, 0.02))
    return taken, seen


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", required=True, help="a Python that has the engine")
    parser.add_argument("--seconds", type=float, default=40.0, help="of the fit")
    parser.add_argument("--size", type=int, default=288, help="of the pictures, in pixels")
    options = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon.register()
    subject.engine_state = lambda: EngineState(Kind.READY, "The engine is ready.")
    engine = Engine(options.engine, environment={"PYTHONPATH": str(ROOT)})
    session.chosen_engine = lambda: engine
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        session._session = now = Session(folder / "jobs")
        config = folder / "settings.toml"
        config.write_text(SETTINGS.format(seconds=options.seconds, size=options.size))
        clip = write_clip(folder / "ball", frames=16, size=options.size)
        bpy.ops.ds4d.fit(
            source="CLIP",
            path=str(clip),
            output=str(folder / "ball.ds4d"),
            config=str(config),
            preset="DRAFT",
        )
        job = now.queue.jobs[-1]
        taken, seen = steps(now, job, options.seconds + 300)
        longest = sorted(taken)[-3:][::-1]
        print(f"Blender {bpy.app.version_string}, {job.values.get('gaussians', 0):.0f} Gaussians")
        print(f"{len(taken)} steps, median {statistics.median(t for t, _ in taken) * 1e3:.2f} ms")
        print("longest " + ", ".join(f"{t * 1e3:.1f} ms ({c * 1e3:.1f})" for t, c in longest))
        print(f"largest processor time {max(c for _, c in taken) * 1e3:.1f} ms")
        print(f"first seen after {seen:.1f} s; {job.preview_count} previews; {job.message}")
        now.close()
    addon.unregister()


if __name__ == "__main__":
    main()
