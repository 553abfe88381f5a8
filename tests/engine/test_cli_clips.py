# SPDX-License-Identifier: GPL-3.0-or-later
"""One clip through the commands: what works, and what a user is told where it cannot."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from safetensors import SafetensorError

from ds4d_engine.cli import COMMANDS, main
from ds4d_engine.seam import Failure, from_json_line, read_asset
from tests.engine.clip_footage import write_mp4, write_pictures
from tests.engine.moving_square import Pixels, square_clip
from tests.engine.tiny_clip import tiny_asset, write_transforms

FRAMES, SIDE = 5, 64
SMALL = ["--size", "32", "--preset", "draft", "--set", "iterations=4", "nodes=12", "threads=1"]
Capture = pytest.CaptureFixture[str]


def on_white(clip: Pixels) -> list[Pixels]:
    alpha = clip[..., 3:] / 255
    return list(np.round(clip[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))


def write_gif(path: Path, frames: list[Pixels]) -> Path:
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=80)
    return path


def clip_of(kind: str, folder: Path) -> Path:
    clip = square_clip(FRAMES, SIDE)
    if kind == "gif":
        return write_gif(folder / "clip.gif", on_white(clip))
    if kind == "mp4":
        return write_mp4(folder / "clip.mp4", on_white(clip))
    return write_pictures(folder / "clip", list(clip))


def error_of(capsys: Capture, *words: str | Path) -> str:
    """Run a command that must fail: exit code 2, one line, no traceback; return the line."""
    assert main([str(word) for word in words]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("ds4d: error: ") and line.endswith((".", "?"))
    assert "Traceback" not in captured.err + captured.out and captured.out == ""
    return line


@pytest.mark.parametrize("kind", ["gif", "mp4", "pictures"])
def test_a_clip_is_fitted_evaluated_and_shown(kind: str, tmp_path: Path, capsys: Capture) -> None:
    clip, output = clip_of(kind, tmp_path), tmp_path / "made" / "clip.ds4d"
    output.parent.mkdir()
    assert main(["fit", str(clip), "-o", str(output), *SMALL, "--progress", "none"]) == 0
    assert f"Wrote {output}" in capsys.readouterr().out
    asset = read_asset(output)
    assert asset.frame_count == FRAMES
    (camera,) = asset.cameras
    assert (camera.width, camera.height, camera.split) == (32, 32, "train")

    words = ["evaluate", str(output), str(clip), "--split", "train", "--progress", "none"]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # the pictures have the size that the fit saw, without being told
    assert f"{FRAMES} pictures of the train cameras" in captured.out
    assert "input" in captured.out

    sheet = tmp_path / "sheet.png"
    words = ["sheet", str(output), "-o", str(sheet), "--source", str(clip), "--times", "2"]
    assert main([*words, "--azimuths", "0", "30", "--cell", "32", "--progress", "none"]) == 0
    assert cv2.imread(str(sheet)).shape[1] == 3 * 32


def test_the_frames_that_a_fit_took_are_those_that_are_evaluated(
    tmp_path: Path, capsys: Capture
) -> None:
    clip, output = clip_of("pictures", tmp_path), tmp_path / "clip.ds4d"
    frames = ["--start", "1", "--end", "4"]
    words = [str(clip), *frames, "--progress", "none"]
    assert main(["fit", *words, "-o", str(output), *SMALL]) == 0
    assert read_asset(output).frame_count == 3
    assert main(["evaluate", str(output), *words, "--split", "train"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "3 pictures" in captured.out
    words = ["evaluate", str(output), str(clip), "--split", "train", "--progress", "none"]
    assert main(words) == 0
    assert "has 3 frames and the dataset 5" in capsys.readouterr().err


def test_a_clip_without_held_out_views_says_how_to_evaluate_it(
    tmp_path: Path, capsys: Capture
) -> None:
    clip, output = clip_of("pictures", tmp_path), tmp_path / "clip.ds4d"
    assert main(["fit", str(clip), "-o", str(output), *SMALL, "--progress", "none"]) == 0
    capsys.readouterr()
    assert "train" in error_of(capsys, "evaluate", output, clip, "--progress", "none")


@pytest.mark.parametrize("command", ["fit", "mask", "cut", "sheet", "evaluate"])
def test_the_commands_for_clips_are_listed_and_explained(command: str, capsys: Capture) -> None:
    assert command in COMMANDS
    assert main(["--help"]) == 0
    assert f"\n  {command} " in capsys.readouterr().out
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    for flag in ("--matte", "--size", "--fps", "--masks"):
        assert flag in shown


@pytest.mark.parametrize(
    "words",
    [
        ["--size", "64"],
        ["--fps", "12"],
        ["--source-fps", "12"],
        ["--matte", "plain"],
        ["--crop", "off"],
        ["--views", "none"],
        ["--views-folder", "made"],
        ["--view-cameras", "sv4d2"],
    ],
)
@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_what_is_for_one_clip_is_refused_for_several_cameras(
    command: str, words: list[str], tmp_path: Path, capsys: Capture
) -> None:
    dataset, asset = write_transforms(tiny_asset(2), tmp_path / "clip"), tmp_path / "a.ds4d"
    if command == "fit":
        given: list[str | Path] = ["fit", dataset, "-o", asset, *words]
    else:
        from ds4d_engine.seam import write_asset

        write_asset(asset, tiny_asset(2))
        given = ["evaluate", asset, dataset, *words]
    message = error_of(capsys, *given, "--progress", "none")
    assert words[0] in message or "add --views" in message
    assert asset.exists() == (command == "evaluate")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--max-side", "64"], "--size"),
        (["--fps", "5", "--stride", "2"], "exclude each other"),
        (["--view-steps", "9"], "add --views"),
        (["--views", "folder"], "--views-folder"),
        (["--holdout", "side"], "no camera 'side'"),
        (["--holdout", "input"], "hold out fewer"),
        (["--start", "4"], "2 frames"),
        (["--end", "99"], f"has {FRAMES} frames"),
        (["--matte", "magic"], "invalid choice"),
        (["--back", "front"], "choose one of"),
        (["--thickness", "-1"], "negative"),
        (["--init", "missing.obj"], "missing.obj"),
    ],
)
def test_options_that_do_not_fit_a_clip_are_one_sentence(
    words: list[str], expected: str, tmp_path: Path, capsys: Capture
) -> None:
    clip = clip_of("pictures", tmp_path)
    output = tmp_path / "out.ds4d"
    message = error_of(capsys, "fit", clip, "-o", output, *SMALL, *words, "--progress", "none")
    assert expected in message
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def broken(kind: str, folder: Path) -> Path:
    """Write what a user may give for a clip, but cannot be fitted."""
    noise = np.random.default_rng(0).integers(0, 255, (48, 48, 3)).astype(np.uint8)
    clear = np.dstack([noise, np.zeros((48, 48), np.uint8)])
    solid = np.dstack([noise, np.full((48, 48), 255, np.uint8)])
    if kind == "text named .mp4":
        (folder / "clip.mp4").write_text("no video at all")
        return folder / "clip.mp4"
    if kind in ("empty.mp4", "empty.gif", "empty.webm"):
        (folder / kind).write_bytes(b"")
        return folder / kind
    if kind == "one frame":
        return write_gif(folder / "clip.gif", [noise])
    if kind == "all white":
        return write_mp4(folder / "clip.mp4", [np.full((48, 48, 3), 255, np.uint8)] * 4)
    if kind == "mixed sizes":
        return write_pictures(folder / "clip", [noise, noise, noise[:30]])
    if kind == "all foreground":
        return write_pictures(folder / "clip", [solid] * 4)
    if kind == "nothing opaque":
        return write_pictures(folder / "clip", [clear] * 4)
    if kind == "empty folder":
        (folder / "clip").mkdir()
        return folder / "clip"
    return folder / "missing.mp4"


@pytest.mark.parametrize("command", ["fit", "mask", "cut"])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text named .mp4", "clip.mp4 is not a video"),
        ("empty.mp4", "empty.mp4 is not a video"),
        ("empty.gif", "empty.gif is not a readable picture"),
        ("empty.webm", "empty.webm is not a video"),
        ("one frame", "at least 2 frames"),
        ("all white", "no object"),
        ("mixed sizes", "one size"),
        ("all foreground", "--masks"),
        ("nothing opaque", "transparent everywhere"),
        ("empty folder", "clip"),
        ("missing", "missing.mp4"),
    ],
)
def test_footage_that_cannot_be_used_is_one_sentence_and_leaves_nothing(
    command: str, kind: str, expected: str, tmp_path: Path, capsys: Capture
) -> None:
    clip = broken(kind, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    output = tmp_path / ("out.ds4d" if command == "fit" else "out")
    message = error_of(capsys, command, clip, "-o", output, "--progress", "none")
    assert expected in message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_listening_program_gets_the_sentence_as_an_event(tmp_path: Path, capsys: Capture) -> None:
    clip = broken("all white", tmp_path)
    words = ["fit", str(clip), "-o", str(tmp_path / "a.ds4d"), "--progress", "json"]
    assert main(words) == 2
    event = from_json_line(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(event, Failure) and event.error == "DatasetError"
    assert "no object" in event.message


def test_a_disk_that_is_full_when_the_asset_is_written_keeps_the_checkpoint(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, output = clip_of("pictures", tmp_path), tmp_path / "clip.ds4d"
    words = ["fit", clip, "-o", output, *SMALL, "--progress", "none"]

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        message = error_of(capsys, *words)
    assert f"{output}: No space left on device" in message
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"clip", "clip.ds4d.checkpoint"}
    assert main([str(word) for word in [*words, "--resume"]]) == 0  # once there is room
    assert read_asset(output).provenance["steps"] == 4


def test_an_asset_that_is_there_survives_a_full_disk(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, output = clip_of("pictures", tmp_path), tmp_path / "clip.ds4d"
    words = ["fit", clip, "-o", output, *SMALL, "--progress", "none"]
    assert main([str(word) for word in words]) == 0
    capsys.readouterr()
    before = output.read_bytes()

    def full(source: object, target: object) -> None:
        if Path(str(target)).suffix == ".ds4d":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(str(source), str(target))

    replace = os.replace
    monkeypatch.setattr(os, "replace", full)
    assert "No space left" in error_of(capsys, *words)
    assert output.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if "part" in path.name]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("missing/clip.ds4d", "missing does not exist"),
        ("clip.txt/clip.ds4d", "clip.txt does not exist"),
        ("folder.ds4d", "is a folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    output: str, expected: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "clip.txt").write_text("a file")
    (tmp_path / "folder.ds4d").mkdir()
    before = sorted(tmp_path.rglob("*"))
    message = error_of(capsys, "fit", tmp_path / "missing.mp4", "-o", tmp_path / output)
    assert expected in message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_permission_is_named(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    message = error_of(capsys, "fit", tmp_path / "missing.mp4", "-o", tmp_path / "a.ds4d")
    assert f"{tmp_path} cannot be written to" in message


def test_a_disk_that_is_full_when_the_checkpoint_is_written_is_one_sentence(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, output = clip_of("pictures", tmp_path), tmp_path / "clip.ds4d"

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"a part of it")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("ds4d_engine.fit.checkpoint.save_file", full)
    message = error_of(capsys, "fit", clip, "-o", output, *SMALL, "--progress", "none")
    assert f"{output}.checkpoint" in message and "No space left" in message
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
