# SPDX-License-Identifier: GPL-3.0-or-later
"""Every operator: what it says of itself, when it is there, and what it does from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender import live, operators, session
from ds4d_blender.drawing import MODES
from ds4d_blender.file_handler import DS4D_FH_asset
from ds4d_blender.importer import import_asset
from ds4d_blender.install.check import EngineState, Kind
from ds4d_blender.jobs.job import Job, State
from ds4d_blender.nodes import input_value
from ds4d_blender.operators import jobs as job_operators
from ds4d_blender.operators import show, subject
from ds4d_blender.session import Session
from ds4d_blender.splat_objects import static_child
from ds4d_engine.seam import Asset, write_asset
from tests.blender.fake_engines import fake_engine
from tests.blender.observe import played
from tests.blender.old_trees import make_old
from tests.blender.pictures import write_clip
from tests.blender.recording import Recording
from tests.blender.synthetic import asset
from tests.blender.waiting import until

pytestmark = pytest.mark.usefixtures("registered")
NEEDS_JOB = ("pause", "go_on", "cancel", "end_now", "resume", "remove_job", "move_job", "show_log")
NEEDS_SPLATS = (
    *("reimport", "bind_time", "set_drawing", "draw_together"),
    *("setup_render", "setup_passes", "add_proxy", "add_shadow_catcher"),
)
NEEDS_MORE = ("import_result", "select_result", "draw_apart", "upgrade", "restore_render")
UNDOABLE = {
    *("import_asset", "reimport", "fit", "import_result", "select_result", "stop_following"),
    *("bind_time", "set_drawing", "setup_render", "restore_render", "resume"),
    *("draw_together", "draw_apart", "upgrade", "add_proxy", "add_shadow_catcher"),
    "setup_passes",
}


@pytest.fixture
def now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: None) -> Iterator[Session]:
    """A session with an engine that pretends to fit for a minute."""
    ready = EngineState(Kind.READY, "The engine is ready.")
    monkeypatch.setattr(subject, "engine_state", lambda: ready)
    engine = fake_engine("obedient", tmp_path, FAKE_SECONDS="60")
    monkeypatch.setattr(session, "chosen_engine", lambda: engine)
    now = Session(tmp_path / "jobs")
    monkeypatch.setattr(session, "_session", now)
    yield now
    if now.queue.current is not None:
        now.queue.kill(now.queue.current.id)
        wait(now, lambda: now.queue.current is None)
    now.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "ball")


@pytest.fixture
def splats(tmp_path: Path) -> bpy.types.Object:
    """An imported asset, active."""
    return active(tmp_path, asset(10, 14, frames=6, fps=12.0))


def active(folder: Path, content: Asset) -> bpy.types.Object:
    write_asset(folder / "walk.ds4d", content)
    target = import_asset(folder / "walk.ds4d")
    bpy.context.view_layer.objects.active = target
    return target


def wait(now: Session, condition: Callable[[], object]) -> None:
    def look() -> object:
        now.step()
        return condition()

    until(look, 30.0)


def started(now: Session, clip: Path, name: str = "walk", **given: object) -> Job:
    output = str(clip.parent / f"{name}.ds4d")
    assert bpy.ops.ds4d.fit(path=str(clip), output=output, **given) == {"FINISHED"}
    return now.queue.jobs[-1]


def refusal(call: Callable[[], object]) -> str:
    """Return what an operator says instead of working: one line, no traceback."""
    with pytest.raises(RuntimeError) as raised:
        call()
    message = str(raised.value).strip()
    assert "Traceback" not in message and "\n" not in message, message
    return message


def test_every_operator_describes_itself_and_undoes_what_it_should() -> None:
    for cls in operators.CLASSES:
        kind = getattr(bpy.ops.ds4d, cls.bl_idname.partition(".")[2]).get_rna_type()
        assert kind.description and not kind.description.endswith("."), cls
        assert kind.name == cls.bl_label
        name = cls.bl_idname.partition(".")[2]
        assert ("UNDO" in getattr(cls, "bl_options", set())) == (name in UNDOABLE), name
        for prop in kind.properties:
            assert prop.identifier == "rna_type" or prop.name, (cls, prop.identifier)


def test_starting_again_is_no_adjustment_of_the_last_operation() -> None:
    assert "REGISTER" not in operators.fit.DS4D_OT_fit.bl_options


@pytest.mark.parametrize("name", [*NEEDS_JOB, *NEEDS_SPLATS, *NEEDS_MORE])
def test_an_operator_that_lacks_something_says_what(now: Session, name: str) -> None:
    operator = getattr(bpy.ops.ds4d, name)
    assert not operator.poll()
    with pytest.raises(RuntimeError, match=r"poll\(\)"):
        operator()


def test_without_an_engine_nothing_can_be_started(
    now: Session, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = EngineState(Kind.MISSING, "The engine is not installed: press Install.")
    monkeypatch.setattr(subject, "engine_state", lambda: missing)
    for name in ("fit", "estimate", "preview_mask"):
        assert not getattr(bpy.ops.ds4d, name).poll(), name


def test_start_takes_its_arguments_before_the_scenes_settings(now: Session, clip: Path) -> None:
    bpy.context.scene.ds4d.preset = "HIGH"
    bpy.context.scene.ds4d.stride = 2
    job = started(now, clip)
    assert job.words == [str(clip), "--stride", "2", "--preset", "high"]
    assert job.inputs == [str(clip)] and job.name == "walk"
    other = started(now, clip, "other", preset="DRAFT", live=False)
    assert other.words[-1] == "draft"
    assert list(live.followers()) == [job.id]


def test_start_says_what_is_missing(now: Session, clip: Path) -> None:
    assert "Choose a video" in refusal(lambda: bpy.ops.ds4d.fit())
    started(now, clip)
    twice = refusal(lambda: bpy.ops.ds4d.fit(path=str(clip), output=str(clip.parent / "walk.ds4d")))
    assert "already writes" in twice
    assert len(now.queue.jobs) == 1 and len(live.followers()) == 1


def test_start_captures_a_scene_first(now: Session, tmp_path: Path) -> None:
    bpy.ops.mesh.primitive_cube_add()
    output = str(tmp_path / "cube.ds4d")
    assert bpy.ops.ds4d.fit(source="SCENE", output=output) == {"FINISHED"}
    (job,) = now.queue.jobs
    assert job.before[-1] == str(now.queue.folder / job.id)
    assert (now.queue.folder / job.id / "scene.blend").is_file()
    assert job.words[0] == str(tmp_path / "cube.capture") == job.inputs[0]
    bpy.ops.ds4d.cancel()
    bpy.ops.ds4d.remove_job()
    assert not (now.queue.folder / job.id).exists()


def test_jobs_are_steered_from_python(now: Session, clip: Path) -> None:
    first = started(now, clip, "first")
    second, third = started(now, clip, "second"), started(now, clip, "third")
    wait(now, lambda: first.state is State.RUNNING)
    assert bpy.ops.ds4d.pause() == {"FINISHED"}
    wait(now, lambda: first.state is State.PAUSED)
    assert bpy.ops.ds4d.go_on(job=first.id) == {"FINISHED"}
    wait(now, lambda: first.state is State.RUNNING)
    bpy.ops.ds4d.move_job(job=third.id, by=-1)
    assert [job.name for job in now.queue.jobs] == ["first", "third", "second"]
    bpy.ops.ds4d.cancel(job=third.id)
    bpy.ops.ds4d.remove_job(job=third.id)
    assert third not in now.queue.jobs and third.id not in live.followers()
    bpy.ops.ds4d.cancel()
    wait(now, lambda: first.state is State.STOPPED)
    wait(now, lambda: second.state is State.RUNNING)
    bpy.ops.ds4d.end_now()
    wait(now, lambda: second.state.is_over)
    assert bpy.ops.ds4d.resume(job=second.id, afresh=True) == {"FINISHED"}
    wait(now, lambda: second.state is State.RUNNING)


def test_a_job_that_is_tried_again_is_seen_again(now: Session, clip: Path) -> None:
    job = started(now, clip)
    bpy.ops.ds4d.cancel()
    wait(now, lambda: not live.followers())
    bpy.ops.ds4d.resume()
    wait(now, lambda: job.state is State.RUNNING)
    assert list(live.followers()) == [job.id]


def test_an_unknown_job_is_refused(now: Session, clip: Path) -> None:
    started(now, clip)
    assert "No fit is running" in refusal(lambda: bpy.ops.ds4d.cancel(job="unknown"))


def test_the_log_is_shown_to_its_last_lines(now: Session, clip: Path) -> None:
    job = started(now, clip)
    wait(now, lambda: job.state is State.RUNNING)
    Path(job.log).write_bytes(b"".join(b"line %d \xff\n" % number for number in range(5000)))
    lines = job_operators.log_end(job)
    assert len(lines) == job_operators.LOG_LINES and lines[-1].startswith("line 4999")
    assert bpy.ops.ds4d.show_log(job=job.id) == {"FINISHED"}
    operator, layout = job_operators.DS4D_OT_show_log, Recording()
    popup = type("Popup", (), {"layout": layout, "job": job.id, "suits": operator.suits})
    operator.draw(popup(), bpy.context)
    assert layout.lines == [*lines, "<Open the Folder>"]
    Path(job.log).unlink()
    assert job_operators.log_end(job) == []


def test_questions_are_asked_and_given_up(now: Session, clip: Path) -> None:
    bpy.context.scene.ds4d.clip = str(clip)
    assert not bpy.ops.ds4d.cancel_look.poll()
    assert bpy.ops.ds4d.estimate() == {"FINISHED"} == bpy.ops.ds4d.preview_mask()
    assert now.questions.estimate.running and now.questions.mask.running
    assert bpy.ops.ds4d.cancel_look() == {"FINISHED"}
    assert now.questions.estimate is None and now.questions.mask is None
    bpy.context.scene.ds4d.source = "SCENE"
    assert not bpy.ops.ds4d.estimate.poll() and not bpy.ops.ds4d.preview_mask.poll()


def test_a_result_is_imported_and_selected(now: Session, clip: Path) -> None:
    job = started(now, clip)
    wait(now, lambda: job.state is State.RUNNING and job.preview_count)
    bpy.ops.ds4d.cancel()
    wait(now, lambda: job.state.is_over)
    write_asset(job.output, asset(5, 6))
    assert bpy.ops.ds4d.import_result() == {"FINISHED"}
    assert len(bpy.context.object.data.points) == 6
    assert bpy.ops.ds4d.select_result(job=job.id) == {"FINISHED"}
    (target,) = live.followers()[job.id]
    assert bpy.context.selected_objects == [target] and bpy.context.object == target
    assert bpy.ops.ds4d.stop_following() == {"FINISHED"}
    assert not live.followers() and not bpy.ops.ds4d.stop_following.poll()


def test_several_dropped_files_are_imported_together(tmp_path: Path) -> None:
    for name in ("a.ds4d", "b.ds4d"):
        write_asset(tmp_path / name, asset(4, 4))
    files = [{"name": "a.ds4d"}, {"name": "b.ds4d"}]
    assert bpy.ops.ds4d.import_asset(directory=str(tmp_path), files=files) == {"FINISHED"}
    assert [target.name for target in bpy.context.selected_objects] == ["a", "b"]
    handler = DS4D_FH_asset
    assert (handler.bl_import_operator, handler.bl_file_extensions) == (
        "ds4d.import_asset",
        ".ds4d",
    )


def test_an_asset_is_read_again_into_its_object(splats: bpy.types.Object, tmp_path: Path) -> None:
    splats.location.z = 4.0
    clip = asset(3, 9, frames=4)
    write_asset(tmp_path / "walk.ds4d", clip)
    assert bpy.ops.ds4d.reimport() == {"FINISHED"}
    assert splats.location.z == 4.0 and len(splats.data.points) == 9
    assert len(static_child(splats).data.points) == 3
    (tmp_path / "walk.ds4d").unlink()
    assert "walk.ds4d" in refusal(lambda: bpy.ops.ds4d.reimport())
    assert len(splats.data.points) == 9


def test_a_still_clip_becomes_a_moving_one_when_it_is_read_again(tmp_path: Path) -> None:
    target = active(tmp_path, asset(8, 0))
    clip = asset(3, 9, frames=4)
    write_asset(tmp_path / "moving.ds4d", clip)
    bpy.ops.ds4d.reimport(filepath=str(tmp_path / "moving.ds4d"))
    bpy.context.scene.frame_set(clip.frame_start + 2)
    assert np.allclose(played(target)["position"], clip.frame(2).means, atol=1e-6)


def test_keyframes_play_the_clip_as_the_scenes_time_does(
    splats: bpy.types.Object, scene: bpy.types.Scene
) -> None:
    scene.render.fps = 24
    positions = []
    for to in ("SCENE", "KEYFRAMES"):
        assert bpy.ops.ds4d.bind_time(to=to) == {"FINISHED"}
        scene.frame_set(4)
        positions.append(played(splats)["position"].copy())
    assert not input_value(splats.modifiers["DS4D Play"], "Use Scene Time")
    assert np.allclose(*positions, atol=1e-5)
    bpy.ops.ds4d.bind_time(to="SCENE")
    assert input_value(splats.modifiers["DS4D Play"], "Use Scene Time")


def test_drawing_and_rendering_are_set_up(splats: bpy.types.Object, scene: bpy.types.Scene) -> None:
    drawing = splats.modifiers["DS4D Draw"]
    for mode, name in (("POINTS", "Points"), ("SOFT", "Soft Points"), ("SPLATS", "Splats")):
        bpy.ops.ds4d.set_drawing(mode=mode)
        assert input_value(drawing, "Mode") in (name, MODES.index(name))
    bpy.ops.ds4d.setup_render(engine="EEVEE")
    assert scene.render.engine.startswith("BLENDER_EEVEE")
    splats["ds4d_blend"] = "srgb"
    bpy.ops.ds4d.setup_render(engine="CYCLES")
    assert scene.render.engine == "CYCLES" and scene.view_settings.view_transform == "Raw"


def test_assets_are_drawn_together_and_apart(splats: bpy.types.Object, tmp_path: Path) -> None:
    write_asset(tmp_path / "jump.ds4d", asset(4, 4))
    other = import_asset(tmp_path / "jump.ds4d")
    for target in (splats, other):
        target.select_set(True)
    assert bpy.ops.ds4d.draw_together() == {"FINISHED"}
    assert splats.hide_render and other.hide_render
    assert not bpy.ops.ds4d.set_drawing.poll()
    assert bpy.ops.ds4d.draw_apart() == {"FINISHED"}
    assert not splats.hide_render and bpy.ops.ds4d.set_drawing.poll()
    other["ds4d_blend"] = "srgb"
    assert "sRGB" in refusal(lambda: bpy.ops.ds4d.draw_together())


def test_an_object_of_an_earlier_version_is_upgraded(splats: bpy.types.Object) -> None:
    make_old(splats)
    assert not bpy.ops.ds4d.set_drawing.poll()
    assert bpy.ops.ds4d.upgrade() == {"FINISHED"}
    assert bpy.ops.ds4d.set_drawing.poll() and not bpy.ops.ds4d.upgrade.poll()


def test_a_file_is_revealed(
    splats: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(show, "open_folder", opened.append)
    assert bpy.ops.ds4d.reveal_file() == {"FINISHED"}
    assert bpy.ops.ds4d.reveal_file(filepath=str(tmp_path)) == {"FINISHED"}
    assert opened == [tmp_path, tmp_path]
    gone = refusal(lambda: bpy.ops.ds4d.reveal_file(filepath=str(tmp_path / "gone.ds4d")))
    assert "gone.ds4d" in gone


def test_geometry_is_exported_only_where_something_is_selected(tmp_path: Path) -> None:
    assert not bpy.ops.ds4d.export_init.poll()
    bpy.ops.mesh.primitive_cube_add()
    path = tmp_path / "start.ply"
    assert bpy.ops.ds4d.export_init(filepath=str(path)) == {"FINISHED"}
    assert path.is_file()


def test_preferences_need_a_window() -> None:
    assert not bpy.ops.ds4d.open_preferences.poll()


def test_every_operator_is_in_the_search_and_the_import_menu_has_its_entry() -> None:
    for cls in operators.CLASSES:
        assert "INTERNAL" not in getattr(cls, "bl_options", set())
    names = {f.__name__ for f in bpy.types.TOPBAR_MT_file_import._dyn_ui_initialize()}
    assert "_import_menu" in names
