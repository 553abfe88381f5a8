# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on as Blender sees it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import bpy
import pytest

import ds4d_blender
from ds4d_blender import session
from ds4d_engine.seam import write_asset
from tests.blender.synthetic import asset


def residue() -> set[str]:
    """Return every trace of the add-on in Blender."""
    types = {name for name in dir(bpy.types) if name.startswith("DS4D_")}
    operators = {f"ds4d.{name}" for name in dir(bpy.ops.ds4d)}
    scene = {item.identifier for item in bpy.types.Scene.bl_rna.properties}
    scene = {name for name in scene if "ds4d" in name}
    menus = (bpy.types.TOPBAR_MT_file_import, bpy.types.TOPBAR_MT_file_export)
    drawn = [f for menu in menus for f in menu._dyn_ui_initialize()]
    entries = {f.__name__ for f in drawn if "ds4d" in f.__module__}
    return types | operators | scene | entries | handlers()


def handlers() -> set[str]:
    """Return the add-on's handlers, and its timer."""
    lists = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
    found = {
        name
        for name, functions in lists.items()
        if isinstance(functions, list)
        and any("ds4d" in getattr(function, "__module__", "") for function in functions)
    }
    return found | ({"timer"} if bpy.app.timers.is_registered(session.tick) else set())


def test_registering_twice_leaves_no_residue() -> None:
    assert not residue()
    for _ in range(2):
        ds4d_blender.register()
        assert {"ds4d.import_asset", "ds4d.export_init", "ds4d.fit"} <= residue()
        assert {"_import_menu", "_export_menu", "undo_post", "load_pre"} <= residue()
        assert {"DS4D_PT_source", "DS4D_FH_asset", "ds4d"} <= residue()
        ds4d_blender.unregister()
        assert not residue()


def test_disabling_lets_the_jobs_go_and_leaves_no_files() -> None:
    ds4d_blender.register()
    threads = threading.active_count()
    folder = session.current().queue.folder
    assert folder.is_dir()
    ds4d_blender.unregister()
    assert session.begun() is None and not list(folder.glob("*"))
    assert threading.active_count() <= threads


def test_a_blender_without_windows_begins_no_session_by_itself() -> None:
    ds4d_blender.register()
    assert bpy.app.background and not bpy.app.timers.is_registered(session.tick)
    assert session.step() > 0 and session.begun() is None
    ds4d_blender.unregister()


@pytest.mark.usefixtures("registered")
def test_operator_imports_and_selects_the_asset(tmp_path: Path, scene: bpy.types.Scene) -> None:
    write_asset(tmp_path / "clip.ds4d", asset(4, 4, frames=7, frame_start=2))
    result = bpy.ops.ds4d.import_asset(
        filepath=str(tmp_path / "clip.ds4d"), cameras=True, set_scene_time=True, set_resolution=True
    )
    assert result == {"FINISHED"}
    assert bpy.context.view_layer.objects.active.name == "clip"
    assert [target.name for target in bpy.context.selected_objects] == ["clip"]
    assert (scene.frame_start, scene.frame_end) == (2, 8)
    assert scene.camera.name == "odd"


@pytest.mark.usefixtures("registered")
def test_operator_reports_a_bad_file_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.ds4d"
    path.write_text("nonsense")
    # Blender raises an operator's error report as a RuntimeError in Python.
    with pytest.raises(RuntimeError) as raised:
        bpy.ops.ds4d.import_asset(filepath=str(path))
    message = str(raised.value).strip()
    assert "broken.ds4d" in message
    assert "Traceback" not in message and "\n" not in message


def test_importing_the_package_alone_imports_no_blender() -> None:
    script = "import sys, ds4d_blender; sys.exit('bpy' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True)
