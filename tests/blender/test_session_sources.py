# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes before a fit, with the real engine: an estimate, masks, and a captured scene."""

from __future__ import annotations

from pathlib import Path

import bpy
import pytest

from ds4d_blender import live, session
from ds4d_blender.install.check import EngineState, Kind
from ds4d_blender.jobs.job import State
from ds4d_blender.operators import subject
from ds4d_blender.session import Session
from ds4d_engine.seam import read_asset
from tests.blender.pictures import write_clip
from tests.blender.test_session import Desk, real_engine

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: None) -> Desk:
    ready = EngineState(Kind.READY, "The engine is ready.")
    monkeypatch.setattr(subject, "engine_state", lambda: ready)
    engine = real_engine()
    monkeypatch.setattr(session, "chosen_engine", lambda: engine)
    monkeypatch.setattr(session, "_session", Session(tmp_path / "jobs"))
    return Desk(tmp_path)


def test_a_real_fit_is_estimated_and_its_masks_are_looked_at(desk: Desk, tmp_path: Path) -> None:
    settings = bpy.context.scene.ds4d
    settings.clip, settings.pixels = str(write_clip(tmp_path / "ball")), 32
    settings.minutes = 0.1
    assert bpy.ops.ds4d.preview_mask() == {"FINISHED"}
    questions = desk.now.questions
    desk.until(lambda: not questions.mask.running)
    assert questions.mask.error == "" and Path(questions.mask.picture).is_file()
    assert bpy.ops.ds4d.estimate() == {"FINISHED"}
    desk.until(lambda: not questions.estimate.running)
    assert questions.estimate.error == ""
    values = questions.estimate.values
    assert {"seconds", "memory_bytes", "asset_bytes", "checkpoint_bytes"} <= values.keys()
    assert values["seconds"] > 6.0
    picture = Path(questions.mask.picture)
    desk.end()
    assert not picture.exists()


def test_a_real_fit_of_this_scene_renders_it_first(desk: Desk, tmp_path: Path) -> None:
    bpy.ops.mesh.primitive_cube_add()
    cube, scene = bpy.context.object, bpy.context.scene
    for frame, x in ((1, 0.0), (5, 0.5)):
        cube.location.x = x
        cube.keyframe_insert("location", frame=frame)
    scene.frame_end = 5
    settings = scene.ds4d
    settings.source, settings.subject, settings.subject_object = "SCENE", "OBJECT", cube
    settings.cameras, settings.times, settings.size, settings.samples = 6, 3, 32, 1
    (tmp_path / "tiny.toml").write_text("iterations = 60\ngaussians = 300\nmax_gaussians = 400\n")
    settings.config, settings.output = str(tmp_path / "tiny.toml"), str(tmp_path / "cube.ds4d")
    assert bpy.ops.ds4d.fit() == {"FINISHED"}
    (job,) = desk.now.queue.jobs
    stages: list[str] = []

    def over() -> bool:
        stages.extend([job.stage] if job.stage not in stages else [])
        return job.state.is_over

    desk.until(over, 180.0)
    assert job.state is State.DONE, job.message
    assert "Rendering the scene" in stages and "Fitting" in stages
    assert read_asset(job.output).frame_count == 3
    desk.until(lambda: desk.follower(job)[live.SHOWS_KEY].endswith("asset"))
    assert not (desk.now.queue.folder / job.id).exists()
    desk.end()
