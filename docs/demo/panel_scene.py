# SPDX-License-Identifier: GPL-3.0-or-later
"""What panel_pictures.py runs inside Blender: the add-on, used as a person uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [sys.argv[sys.argv.index("--") + 1], str(ROOT)]  # the add-on's copy, the seam
sys.path.append("/usr/lib/python3/dist-packages")  # Debian's Blender finds its numpy there
FOLDER, PYTHON = (Path(word) for word in sys.argv[sys.argv.index("--") + 1 :])
STEP_SECONDS = 0.5
PATIENCE_SECONDS = 400.0


def stand_in_for_what_is_missing() -> None:
    """Give a Blender before 4.2 the few names that the add-on's registration needs."""
    if not hasattr(bpy.types, "FileHandler"):
        bpy.types.FileHandler = type("FileHandler", (), {})
        register, unregister = bpy.utils.register_class, bpy.utils.unregister_class
        handler = bpy.types.FileHandler
        bpy.utils.register_class = lambda c: None if issubclass(c, handler) else register(c)
        bpy.utils.unregister_class = lambda c: None if issubclass(c, handler) else unregister(c)
    if not hasattr(bpy.types.UILayout, "progress"):
        bpy.types.UILayout.progress = lambda layout, factor=0.0, text="", **_: layout.label(
            text="|" * round(24 * factor) + "." * round(24 * (1 - factor)) + f" {text}"
        )


def begin() -> None:
    """Register the add-on with the engine of this checkout."""
    stand_in_for_what_is_missing()
    import ds4d_blender
    from ds4d_blender import panels, session
    from ds4d_blender.engine.location import Engine
    from ds4d_blender.install.check import EngineState, Kind
    from ds4d_blender.operators import subject

    ds4d_blender.register()
    engine = Engine(str(PYTHON), environment={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    ready = EngineState(Kind.READY, "The engine is ready.", None)
    for module in (subject, panels.fit, panels.source):
        if hasattr(module, "engine_state"):
            module.engine_state = lambda: ready
    session.chosen_engine = lambda: engine
    session._session = session.Session(FOLDER / "jobs")
    bpy.context.preferences.view.show_splash = False


def sidebar() -> tuple[bpy.types.Window, bpy.types.Region]:
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    area.spaces[0].show_region_ui = True
    return window, next(region for region in area.regions if region.type == "UI")


def click_tab(index: int) -> None:
    """Click on a tab at the sidebar's right border, counted from the top."""
    window, region = sidebar()
    x, y = region.x + region.width - 12, region.y + region.height - 20 - 56 * index
    screen_y = window.height - y
    subprocess.run(["xdotool", "mousemove", str(x), str(screen_y), "click", "1"], check=True)


def shoot(name: str) -> None:
    window, region = sidebar()
    path = FOLDER / f"shot_{name}.png"
    try:
        with bpy.context.temp_override(window=window, screen=window.screen):
            bpy.ops.screen.screenshot(filepath=str(path))
    except TypeError:
        bpy.ops.screen.screenshot({"window": window, "screen": window.screen}, filepath=str(path))
    top = window.height - region.y - region.height
    box = (region.x, top, region.x + region.width, window.height - region.y)
    path.with_suffix(".txt").write_text(" ".join(map(str, box)))


def story() -> Iterator[None]:
    """Do what a person does, one moment after another."""
    from ds4d_blender import session
    from ds4d_blender.jobs.job import State

    settings = bpy.context.scene.ds4d
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    sidebar()
    yield from wait(lambda: False, 2)
    click_tab(2)  # Tool, View, DS4D: without an object there is no Item
    yield from wait(lambda: False, 2)
    shoot("empty")
    settings.clip = str(FOLDER / "pim")
    settings.live = bpy.app.version >= (4, 5)
    settings.config = ""
    bpy.ops.ds4d.estimate()
    yield from wait(lambda: not session.current().questions.is_asking, 60)
    yield from wait(lambda: False, 2)
    shoot("source")
    settings.minutes = 1.0
    bpy.ops.ds4d.fit()
    queue = session.current().queue
    job = queue.jobs[0]
    yield from wait(lambda: job.picture and job.part > 0.5, PATIENCE_SECONDS)
    yield from wait(lambda: False, 2)
    shoot("running")
    yield from wait(lambda: job.state.is_over, PATIENCE_SECONDS)
    if job.state is not State.DONE:
        raise RuntimeError(job.message)
    yield from wait(lambda: False, 2)
    shoot("done")


def wait(until, seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        yield


def run() -> None:
    try:
        begin()
        steps = story()
    except Exception:
        traceback.print_exc()
        os.kill(os.getpid(), signal.SIGTERM)
        return

    def step() -> float | None:
        try:
            next(steps)
        except StopIteration:
            bpy.ops.wm.quit_blender()
            return None
        except Exception:
            traceback.print_exc()
            os.kill(os.getpid(), signal.SIGTERM)
            return None
        return STEP_SECONDS

    bpy.app.timers.register(step, first_interval=2.0)


run()
