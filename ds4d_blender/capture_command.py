# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture a scene in another Blender, so that this one stays free.

`prepare` saves a copy of the file with what to do beside it, and returns the command. Run as a
script, this file opens the copy and captures it. It speaks the engine's lines on standard output,
and gives up, leaving nothing, when its standard input closes.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import bpy

FILE, ORDER = "scene.blend", "capture.json"
_LEAVE_SECONDS = 10.0


def prepare(settings: Any, folder: Path, out: str) -> list[str]:
    """Save a copy of this file into `folder`; return the command that captures it into `out`.

    Raises ConfigError, one sentence, where the copy cannot be saved.
    """
    from .seam import errors

    try:
        folder.mkdir(parents=True, exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(folder / FILE), copy=True, check_existing=False)
    except (RuntimeError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        reason = str(error).strip().splitlines()[-1]
        raise errors.ConfigError(f"The scene cannot be copied for its capture: {reason}") from None
    order = {
        "out": out,
        "scene": bpy.context.scene.name,
        "subject": settings.subject,
        "object": settings.subject_object.name if settings.subject_object else "",
        "collection": settings.subject_collection.name if settings.subject_collection else "",
        "rig": settings.rig,
        "cameras": settings.cameras,
        "times": settings.times,
        "size": settings.size,
        "samples": settings.samples,
    }
    (folder / ORDER).write_text(json.dumps(order, indent=1), encoding="utf-8")
    return command(folder)


def command(folder: Path) -> list[str]:
    """Return the command line of a Blender that captures the copy in `folder`."""
    script = str(Path(__file__).absolute())
    if not bpy.app.binary_path:  # Blender as a Python module
        return [sys.executable, script, "--", str(folder)]
    scripts = bpy.context.preferences.filepaths.use_scripts_auto_execute
    return [
        *(bpy.app.binary_path, "--background", "--factory-startup"),
        "--enable-autoexec" if scripts else "--disable-autoexec",
        *("--python-exit-code", "1", "--python", script, "--", str(folder)),
    ]


def run(folder: Path) -> int:
    """Capture what `folder` describes; return the exit code."""
    package = _addon()
    errors, events = package.seam.errors, package.seam.events
    given_up = threading.Event()
    threading.Thread(target=_watch_input, args=(given_up,), daemon=True).start()
    try:
        done = _capture(package, folder, given_up)
    except errors.DS4DError as error:
        _say(events.to_json_line(events.Failure(str(error), type(error).__name__)))
        return 2
    if not done:
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _capture(package: ModuleType, folder: Path, given_up: threading.Event) -> bool:
    """Capture; return whether it was not given up."""
    events = package.seam.events
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / FILE), load_ui=False)
    scene = bpy.data.scenes[order["scene"]]
    if bpy.context.window is not None:
        bpy.context.window.scene = scene
    steps = package.capture.capture_steps(
        order["out"],
        subject=_subject(order),
        rig=_rig(package, order),
        frames=order["times"] or None,
        size=order["size"],
        samples=order["samples"],
        overwrite=True,
        listener=lambda event: _say(events.to_json_line(event)),
    )
    for _ in steps:
        if given_up.is_set():
            steps.close()
            return False
    _say(events.to_json_line(events.Result({"dataset": order["out"]})))
    return True


def _subject(order: dict[str, Any]) -> Any:
    if order["subject"] == "OBJECT":
        return [bpy.data.objects[order["object"]]]
    if order["subject"] == "COLLECTION":
        return bpy.data.collections[order["collection"]]
    return None


def _rig(package: ModuleType, order: dict[str, Any]) -> Any:
    if order["rig"] == "SCENE":
        return package.rig.SceneCameras()
    kind = package.rig.Orbit if order["rig"] == "ORBIT" else package.rig.Dome
    return kind(count=order["cameras"])


def _addon() -> ModuleType:
    """Load the add-on's modules from the folder of this file, without enabling the add-on."""
    folder = Path(__file__).resolve().parent
    if (folder / "ds4d_engine").is_dir():
        name = "bl_ext.capture.ds4d_blender"  # an installed extension, with its own seam
    else:
        name = "ds4d_blender"
        sys.path.insert(0, str(folder.parent))
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    for part in ("seam", "rig", "capture"):
        importlib.import_module(f"{name}.{part}")
    return package


def _say(line: str) -> None:
    # Blender prints on the same channel: a line of one's own begins and ends in one write.
    os.write(1, f"\n{line}\n".encode())


def _watch_input(given_up: threading.Event) -> None:
    """Give up when whoever asked is gone or says cancel; at the latest after some seconds."""
    while (said := os.read(0, 4096)) and b'"cancel"' not in said:
        pass
    given_up.set()
    threading.Event().wait(_LEAVE_SECONDS)
    _leave(1)


def _leave(code: int) -> NoReturn:
    """End this process; Blender's own end would wait for the thread that reads standard input."""
    shutil.rmtree(bpy.app.tempdir, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    code = 1
    try:
        code = run(Path(sys.argv[sys.argv.index("--") + 1]))
    except Exception:
        traceback.print_exc()
    finally:
        _leave(code)
