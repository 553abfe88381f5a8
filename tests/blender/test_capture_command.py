# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture in a Blender of its own: what it renders, says, and leaves."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

from ds4d_blender.capture_command import prepare
from ds4d_engine.seam import Failure, Progress, Result
from ds4d_engine.seam.events import Event, from_json_line


def settings(**given: object) -> SimpleNamespace:
    defaults: dict[str, object] = {
        "subject": "ALL",
        "subject_object": None,
        "subject_collection": None,
        "rig": "ORBIT",
        "cameras": 2,
        "times": 2,
        "size": 16,
        "samples": 1,
    }
    return SimpleNamespace(**(defaults | given))


@pytest.fixture
def cube(scene: bpy.types.Scene) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    for frame, x in ((1, 0.0), (10, 1.0)):
        cube.location.x = x
        cube.keyframe_insert("location", frame=frame)
    scene.frame_end = 10
    return cube


def said(output: str) -> list[Event]:
    return [from_json_line(line) for line in output.splitlines() if line.startswith('{"ds4d')]


def test_a_scene_that_was_never_saved_is_captured_elsewhere(
    cube: bpy.types.Object, tmp_path: Path
) -> None:
    out, work = tmp_path / "cube.capture", tmp_path / "job"
    chosen = settings(subject="OBJECT", subject_object=cube)
    command = prepare(chosen, work, str(out))
    assert bpy.data.filepath == "" and not out.exists()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()  # standard input stays open meanwhile
        assert process.wait(60) == 0, output
    events = said(output)
    assert {e.stage for e in events if isinstance(e, Progress)} == {"measure motion", "capture"}
    assert events[-1] == Result({"dataset": str(out)})
    frames = json.loads((out / "transforms_train.json").read_text())["frames"]
    assert len(frames) == 4
    assert len(list(out.rglob("*.png"))) == 8  # two cameras are held out
    assert not work.exists(), "the copy of the scene is no longer needed"


def test_a_capture_that_cannot_be_is_one_sentence(scene: bpy.types.Scene, tmp_path: Path) -> None:
    work = tmp_path / "job"
    command = prepare(settings(rig="SCENE"), work, str(tmp_path / "out"))
    done = subprocess.run(
        command, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    (failure,) = said(done.stdout)
    assert isinstance(failure, Failure) and failure.message.endswith(".")
    assert work.is_dir(), "trying again needs the copy"
    assert not list(tmp_path.glob("out*"))


def test_a_capture_whose_blender_is_gone_leaves_nothing(
    cube: bpy.types.Object, tmp_path: Path
) -> None:
    command = prepare(settings(times=200, size=64), tmp_path / "job", str(tmp_path / "out"))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for line in process.stdout:
            if '"capture"' in line:
                break
        process.stdin.close()
        closed = time.monotonic()
        process.stdout.read()
        assert process.wait(30) != 0
        assert time.monotonic() - closed < 15
    assert not list(tmp_path.glob("out*"))
