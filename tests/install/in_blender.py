# SPDX-License-Identifier: GPL-3.0-or-later
"""What `test_managed_install` has a Blender do: `in_blender.py ZIP REPORT WORD [ARGUMENT]`."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy

# Without the checkout in the path, which has the packages that must come from the extension.
sys.path.append(str(Path(__file__).parents[1] / "blender"))
from tiny_film import write_film

MODULE = "bl_ext.user_default.ds4d_blender"


def main() -> None:
    archive, report, word, *rest = sys.argv[1:]
    if MODULE not in bpy.context.preferences.addons:
        bpy.ops.extensions.package_install_files(
            filepath=archive, repo="user_default", enable_on_install=True
        )
    bpy.context.preferences.system.use_online_access = True
    did = {
        "measure": measure,
        "cancel": cancel,
        "install": install,
        "check": check,
        "fit": fit,
        "remove": remove,
    }[word](*rest)
    if word not in ("measure", "fit"):
        state = part_of("preferences").engine_state()
        did |= {"state": state.kind, "sentence": state.sentence}
    bpy.ops.preferences.addon_disable(module=MODULE)
    Path(report).write_text(json.dumps(did))


def part_of(name: str) -> Any:
    """Return a module of the installed extension."""
    return importlib.import_module(f"{MODULE}.{name}")


def measure() -> dict[str, Any]:
    """Begin an installation, and give it up as soon as it knows what it would download."""
    desk = part_of("install.desk")
    bpy.ops.ds4d.install_engine(build="PROCESSOR")
    while desk.installing() and not desk._desk.measured:
        desk.step()
        time.sleep(0.05)
    bpy.ops.ds4d.cancel_install()
    follow()
    return {"bytes": desk.download_bytes("PROCESSOR")}


def cancel(until: str) -> dict[str, Any]:
    """Begin an installation, and give it up where it is half-way through a stage."""
    desk = part_of("install.desk")
    bpy.ops.ds4d.install_engine(build="PROCESSOR")
    reached: dict[str, Any] = {}
    entered = 0.0
    while desk.installing():
        desk.step()
        state = part_of("preferences").engine_state()
        if state.sentence.startswith(until):
            entered = entered or time.monotonic()
            if time.monotonic() - entered > 5.0 and not reached:
                reached = {"part": state.part, "message": state.sentence}
                bpy.ops.ds4d.cancel_install()
        time.sleep(0.02)
    return reached


def install() -> dict[str, Any]:
    """Install, from nothing or over what is there."""
    bpy.ops.ds4d.install_engine(build="PROCESSOR")
    started = time.monotonic()
    longest = follow()
    return {"seconds": round(time.monotonic() - started, 1), "longest_step_ms": longest}


def check() -> dict[str, Any]:
    """Have the engine try itself."""
    bpy.ops.ds4d.check_engine()
    return {"longest_step_ms": follow()}


def remove() -> dict[str, Any]:
    """Delete the engine."""
    bpy.ops.ds4d.remove_engine()
    return {}


def fit(folder: str) -> dict[str, Any]:
    """Fit a clip of a drifting disc with the installed engine, as a job, and import it."""
    job_module, queue_module = part_of("jobs.job"), part_of("jobs.queue")
    clip = write_film(Path(folder) / "clip", 6, 48)
    asset = Path(folder) / "clip.ds4d"
    words = [str(clip), "--preset", "draft", "--size", "48", "--set", "iterations=60"]
    queue = queue_module.JobQueue(Path(folder) / "jobs", part_of("preferences").chosen_engine)
    job = queue.add(job_module.Job("square", words, str(asset)))
    started = time.monotonic()
    while not job.state.is_over and time.monotonic() - started < 600:
        queue.step()
        time.sleep(0.05)
    queue.shutdown()
    if job.state != job_module.State.DONE:
        log = Path(job.log)
        tail = log.read_text()[-2000:] if log.is_file() else ""
        return {"state": job.state, "message": f"{job.message}\n{tail}", "points": 0}
    part_of("importer").import_asset(str(asset))
    clouds = [o for o in bpy.context.scene.objects if o.type == "POINTCLOUD"]
    return {
        "state": job.state,
        "seconds": round(time.monotonic() - started, 1),
        "points": sum(len(cloud.data.points) for cloud in clouds),
        "message": job.message,
    }


def follow() -> float:
    """Follow what goes on to its end; return the longest step in milliseconds."""
    desk, preferences = part_of("install.desk"), part_of("preferences")
    longest = 0.0
    while True:
        started = time.perf_counter()
        desk.step()
        state = preferences.engine_state()
        longest = max(longest, time.perf_counter() - started)
        if state.kind not in ("INSTALLING", "CHECKING"):
            return round(longest * 1000, 1)
        time.sleep(0.02)


if __name__ == "__main__":
    main()
