# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sidebar says in each state, as text in snapshots/.

With DS4D_WRITE_SNAPSHOTS=1 the texts are written anew: read the difference before keeping it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import pytest

from ds4d_blender import panels, session
from ds4d_blender.importer import import_asset
from ds4d_blender.install.check import EngineState, Kind
from ds4d_blender.jobs.job import Job, State
from ds4d_blender.jobs.queue import JobQueue
from ds4d_blender.nodes import set_input
from ds4d_blender.operators import subject
from ds4d_blender.panels import fit as fit_panel
from ds4d_blender.panels import pictures
from ds4d_blender.questions import Answer
from ds4d_blender.session import Session
from ds4d_blender.together import draw_together
from ds4d_engine.seam import write_asset
from tests.blender.old_trees import make_old
from tests.blender.recording import Recording, drawn_panel
from tests.blender.synthetic import asset

SNAPSHOTS = Path(__file__).parent / "snapshots"
pytestmark = pytest.mark.usefixtures("registered")
SetState = Callable[[Kind, str], None]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> SetState:
    """Say how the engine is; it is ready at first."""

    def set_state(kind: Kind, sentence: str, part: float | None = None) -> None:
        for module in (fit_panel, subject):
            monkeypatch.setattr(module, "engine_state", lambda: EngineState(kind, sentence, part))

    set_state(Kind.READY, "The engine is ready.")
    return set_state


@pytest.fixture
def now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: None, engine: SetState
) -> Iterator[Session]:
    """A session whose jobs stand still."""
    now = Session(tmp_path / "jobs")
    monkeypatch.setattr(session, "_session", now)
    active = property(lambda self: next((j for j in self.jobs if j.state.is_active), None))
    monkeypatch.setattr(JobQueue, "current", active)
    # Without windows a picture has no icon.
    monkeypatch.setattr(pictures, "_icon", lambda path: int(os.path.isfile(path)))
    yield now
    now.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder of pictures, chosen as the source."""
    folder = tmp_path / "walk"
    folder.mkdir()
    image = bpy.data.images.new("frame", 8, 8)
    image.filepath_raw, image.file_format = str(folder / "0001.png"), "PNG"
    image.save()
    bpy.data.images.remove(image)
    bpy.context.scene.ds4d.clip = str(folder)
    return folder


def add(now: Session, folder: Path, state: State, **fields: object) -> Job:
    """Add a job that looks as if it were in a state."""
    name = str(fields.pop("name", "walk"))
    job = now.queue.add(Job(name, ["walk"], str(folder / f"{name}.ds4d")))
    job.log = str(folder / "log.txt")
    job.state, job.message = state, ""
    for field, value in fields.items():
        setattr(job, field, value)
    return job


def check(name: str, folder: Path) -> None:
    """Compare what all panels draw with the snapshot of that name."""
    lines = [line for panel in panels.CLASSES for line in drawn_panel(panel)]
    text = "\n".join(lines).strip() + "\n"
    text = text.replace(str(folder), "FOLDER")
    # Long paths are cut where the sidebar ends.
    assert not re.search(r"0x|object at|Traceback", text)
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("DS4D_WRITE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"there is no {path.name}: write it with DS4D_WRITE_SNAPSHOTS=1"
    assert text == path.read_text(encoding="utf-8")


def test_idle_without_a_source(now: Session, tmp_path: Path) -> None:
    check("idle", tmp_path)


def test_without_an_engine(engine: SetState, now: Session, tmp_path: Path) -> None:
    engine(Kind.MISSING, "The engine is not installed: press Install.")
    check("no-engine", tmp_path)


def test_while_the_engine_is_installed(engine: SetState, now: Session, tmp_path: Path) -> None:
    engine(Kind.INSTALLING, "Downloading torch (120 of 190 MB).", 0.4)
    check("installing", tmp_path)


def test_with_an_engine_that_nobody_tried(engine: SetState, now: Session, tmp_path: Path) -> None:
    engine(Kind.UNCHECKED, "The engine was not tried yet: press Check.")
    check("unchecked", tmp_path)


def test_a_clip_is_chosen(now: Session, clip: Path, tmp_path: Path) -> None:
    check("clip", tmp_path)


def test_a_clip_was_estimated_and_looked_at(now: Session, clip: Path, tmp_path: Path) -> None:
    values = {
        "seconds": 640.0,
        "memory_bytes": 1.4e9,
        "asset_bytes": 31e6,
        "checkpoint_bytes": 88e6,
    }
    asked = fit_panel.can_start(bpy.context.scene.ds4d)
    now.questions.estimate = Answer((asked.source, *asked.words), running=False, values=values)
    picture = str(clip / "0001.png")
    now.questions.mask = Answer((str(clip),), running=False, picture=picture)
    check("estimated", tmp_path)


def test_too_little_memory_and_disk_are_said(now: Session, clip: Path, tmp_path: Path) -> None:
    values = {
        "seconds": 5000.0,
        "memory_bytes": 8e9,
        "asset_bytes": 31e6,
        "checkpoint_bytes": 88e6,
        "memory_free_bytes": 2.5e9,
        "disk_free_bytes": 50e6,
    }
    asked = fit_panel.can_start(bpy.context.scene.ds4d)
    now.questions.estimate = Answer((asked.source, *asked.words), running=False, values=values)
    check("too-little", tmp_path)


def test_questions_are_asked(now: Session, clip: Path, tmp_path: Path) -> None:
    now.questions.estimate = Answer((str(clip),))
    now.questions.mask = Answer((str(clip),), part=0.3)
    check("asking", tmp_path)


def test_several_cameras_are_chosen(now: Session, clip: Path, tmp_path: Path) -> None:
    settings = bpy.context.scene.ds4d
    settings.source, settings.dataset, settings.preset = "DATASET", str(clip), "HIGH"
    settings.mask, settings.masks = "FOLDER", str(clip)
    check("dataset", tmp_path)


def test_this_scene_is_chosen(now: Session, tmp_path: Path) -> None:
    settings = bpy.context.scene.ds4d
    settings.source, settings.subject = "SCENE", "COLLECTION"
    settings.subject_collection = bpy.data.collections.new("Hero")
    settings.output = str(tmp_path / "hero")
    check("scene", tmp_path)


def test_the_object_to_capture_is_missing(now: Session, tmp_path: Path) -> None:
    settings = bpy.context.scene.ds4d
    settings.source, settings.subject, settings.rig = "SCENE", "OBJECT", "SCENE"
    check("scene-without-object", tmp_path)


def test_queued(now: Session, clip: Path, tmp_path: Path) -> None:
    running = {"stage": "Reading the clip", "part": 0.01}
    add(now, tmp_path, State.RUNNING, **running)
    for name in ("jump", "turn"):
        add(now, tmp_path, State.QUEUED, name=name, message="Waits for its turn.", log="")
    check("queued", tmp_path)


def test_starting(now: Session, clip: Path, tmp_path: Path) -> None:
    add(now, tmp_path, State.STARTING, stage="Starting")
    check("starting", tmp_path)


def test_running(now: Session, clip: Path, tmp_path: Path) -> None:
    values = {"psnr": 27.31, "gaussians": 12_345.0, "loss": 0.02}
    add(
        now,
        tmp_path,
        State.RUNNING,
        stage="Fitting",
        part=0.42,
        eta_seconds=340.0,
        values=values,
        picture=str(clip / "0001.png"),
        preview_count=3,
    )
    check("running", tmp_path)


def test_paused(now: Session, clip: Path, tmp_path: Path) -> None:
    add(now, tmp_path, State.PAUSED, stage="Fitting", part=0.42, values={"psnr": 27.31})
    check("paused", tmp_path)


def test_stopping(now: Session, clip: Path, tmp_path: Path) -> None:
    message = "Stopping, and keeping what there is."
    add(now, tmp_path, State.STOPPING, stage="Fitting", part=0.42, message=message)
    check("stopping", tmp_path)


def test_the_engine_is_silent(now: Session, clip: Path, tmp_path: Path) -> None:
    message = (
        "The engine has not answered for 34 s; wait, or end it and go on from the last checkpoint."
    )
    silent = {"stage": "Fitting", "part": 0.4, "message": message, "error": "EngineSilent"}
    add(now, tmp_path, State.RUNNING, **silent)
    check("silent", tmp_path)


def test_failed(now: Session, clip: Path, tmp_path: Path) -> None:
    message = "The computer ran out of memory; close other programs, or choose a lower quality."
    values = {"psnr": 24.0}
    add(now, tmp_path, State.FAILED, message=message, resumable=True, values=values, seconds=95.0)
    late = "The engine is not installed: press Install."
    add(now, tmp_path, State.FAILED, name="jump", message=late, log="")
    now.trouble = "FOLDER/turn.ds4d is corrupt: array times fails its checksum."
    check("failed", tmp_path)


def test_stopped_early(now: Session, clip: Path, tmp_path: Path) -> None:
    job = add(
        now,
        tmp_path,
        State.STOPPED,
        message="Stopped early; what there was is kept.",
        resumable=True,
        started=1.0,
        seconds=4000.0,
    )
    Path(job.output).write_text("an asset")
    check("stopped", tmp_path)


def test_done_and_selected(now: Session, clip: Path, tmp_path: Path) -> None:
    values = {"psnr": 31.2, "gaussians": 40_000.0}
    job = add(now, tmp_path, State.DONE, message="Done.", part=1.0, values=values, seconds=640.0)
    clip_asset = asset(20, 20)
    clip_asset.static.observed[:] = 0.0
    write_asset(job.output, clip_asset)
    target = import_asset(job.output)
    target["ds4d_job"] = job.id
    now.followed = frozenset({job.id})
    bpy.context.view_layer.objects.active = target
    check("done", tmp_path)


def test_played_by_keyframes_and_drawn_as_points(now: Session, tmp_path: Path) -> None:
    write_asset(tmp_path / "walk.ds4d", asset(20, 20))
    target = import_asset(tmp_path / "walk.ds4d", cameras=True, set_resolution=True)
    bpy.context.view_layer.objects.active = target
    bpy.ops.ds4d.bind_time(to="KEYFRAMES")
    bpy.ops.ds4d.set_drawing(mode="POINTS")
    set_input(target.modifiers["DS4D Draw"], "Lit by Scene", 0.5)
    check("keyframes", tmp_path)


def test_made_by_an_earlier_version(now: Session, tmp_path: Path) -> None:
    write_asset(tmp_path / "walk.ds4d", asset(20, 20))
    target = import_asset(tmp_path / "walk.ds4d")
    make_old(target)
    bpy.context.view_layer.objects.active = target
    check("earlier-version", tmp_path)


def test_drawn_together(now: Session, tmp_path: Path) -> None:
    write_asset(tmp_path / "walk.ds4d", asset(20, 20))
    pair = [import_asset(tmp_path / "walk.ds4d", name=name) for name in ("walk", "jump")]
    joint = draw_together(pair, bpy.context.scene.collection)
    for name, target in (("member", pair[0]), ("together", joint)):
        bpy.context.view_layer.objects.active = target
        check(name, tmp_path)


def test_panels_draw_where_no_session_has_begun(engine: SetState) -> None:
    assert session.begun() is None
    lines = [line for panel in panels.CLASSES for line in drawn_panel(panel)]
    assert "== Source ==" in lines and "== Running ==" not in lines
    assert session.begun() is None


def test_every_panel_says_what_it_is_for() -> None:
    for panel in panels.CLASSES:
        assert panel.__doc__ and panel.bl_category == "DS4D"
        assert panel.bl_idname == panel.__name__


def test_pictures_are_loaded_and_forgotten(clip: Path) -> None:
    pictures.draw_picture(Recording(), str(clip / "0001.png"))
    pictures.draw_picture(Recording(), str(clip / "missing.png"))
    assert pictures.thumbnail_of(str(clip)) == str(clip / "0001.png")
    assert pictures.thumbnail_of(str(clip / "missing")) == ""
    assert len(pictures._shown) == 1
