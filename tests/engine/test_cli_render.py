# SPDX-License-Identifier: GPL-3.0-or-later
"""`ds4d render` and `ds4d evaluate` on a tiny clip, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
import pytest

from ds4d_engine.cli import main
from ds4d_engine.render import render_asset, to_uint8
from ds4d_engine.seam import from_json_line, write_asset
from tests.engine.tiny_clip import tiny_asset, write_transforms


@pytest.fixture
def asset_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.ds4d"
    write_asset(path, tiny_asset())
    return path


@pytest.fixture
def dataset_path(tmp_path: Path) -> Path:
    return write_transforms(tiny_asset(), tmp_path / "clip")


def _render(asset: Path, output: Path, *words: str) -> Path:
    arguments = ["render", str(asset), "-o", str(output), "--progress", "none", *words]
    assert main(arguments) == 0
    return output


def _frame_count(video: Path) -> tuple[int, float, tuple[int, int]]:
    capture = cv2.VideoCapture(str(video))
    count = 0
    size = (0, 0)
    while True:
        more, frame = capture.read()
        if not more:
            return count, capture.get(cv2.CAP_PROP_FPS), size
        count, size = count + 1, (frame.shape[1], frame.shape[0])


def test_picture_of_a_camera_is_the_engines_render(asset_path: Path, tmp_path: Path) -> None:
    output = _render(asset_path, tmp_path / "a.png", "--camera", "top", "--frame", "2")
    asset = tiny_asset()
    expected = to_uint8(render_asset(asset, asset.cameras[2], 2.0))
    difference = iio.imread(output).astype(int) - expected.astype(int)
    assert np.abs(difference).max() <= 1


def test_time_and_frame_name_the_same_moment(asset_path: Path, tmp_path: Path) -> None:
    by_time = _render(asset_path, tmp_path / "t.png", "--time", "0.5")
    by_frame = _render(asset_path, tmp_path / "f.png", "--frame", "1.5")
    np.testing.assert_array_equal(iio.imread(by_time), iio.imread(by_frame))


@pytest.mark.parametrize(
    ("background", "corner"),
    [("white", [255] * 3), ("black", [0] * 3), ("#204060", [32, 64, 96]), ("transparent", [0] * 4)],
)
def test_background_fills_what_the_asset_leaves(
    background: str, corner: list[int], asset_path: Path, tmp_path: Path
) -> None:
    output = _render(asset_path, tmp_path / "a.png", "--background", background)
    assert iio.imread(output)[0, 0].tolist() == corner


def test_size_is_the_pictures_size(asset_path: Path, tmp_path: Path) -> None:
    output = _render(asset_path, tmp_path / "a.png", "--camera", "left", "--size", "40x20")
    assert iio.imread(output).shape == (20, 40, 3)
    output = _render(asset_path, tmp_path / "b.png", "--turntable", "--size", "24")
    assert iio.imread(output).shape == (24, 24, 3)


def test_folder_gets_one_picture_per_frame(asset_path: Path, tmp_path: Path) -> None:
    folder = _render(asset_path, tmp_path / "frames", "--camera", "left")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["0000.png", "0001.png", "0002.png", "0003.png"]
    first, last = (iio.imread(folder / name).astype(int) for name in (names[0], names[-1]))
    assert np.abs(first - last).max() > 50


def test_video_has_the_clips_frames_and_rate(asset_path: Path, tmp_path: Path) -> None:
    video = _render(asset_path, tmp_path / "a.mp4", "--size", "33x25")
    assert _frame_count(video) == (4, 12.0, (34, 26))


def test_turntable_lasts_one_turn_and_loops_the_clip(asset_path: Path, tmp_path: Path) -> None:
    words = ("--turntable", "--turn-seconds", "2", "--fps", "5", "--size", "24")
    video = _render(asset_path, tmp_path / "a.mp4", *words)
    assert _frame_count(video) == (10, 5.0, (24, 24))


def test_turntable_of_one_frame_holds_time_still(asset_path: Path, tmp_path: Path) -> None:
    words = ("--turntable", "--turn-seconds", "1", "--fps", "2", "--frame", "3", "--size", "24")
    folder = _render(asset_path, tmp_path / "turn", *words)
    behind = _render(asset_path, tmp_path / "b.png", "--turntable", "--azimuth", "180", *words[5:])
    np.testing.assert_array_equal(iio.imread(folder / "0001.png"), iio.imread(behind))


def test_render_reports_progress_as_json_lines(
    asset_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["render", str(asset_path), "-o", str(tmp_path / "f"), "--progress", "json"]
    assert main(words) == 0
    events = [from_json_line(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1].done == events[-1].total == 4  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-o", "a.gif"], "name a .png, an .mp4 or a folder"),
        (["-o", "a.png", "--camera", "tpo"], "did you mean top?"),
        (["-o", "a.png", "--frame", "4"], "choose 0 to 3"),
        (["-o", "a.png", "--frame", "-1"], "choose 0 to 3"),
        (["-o", "a.png", "--time", "1.5"], "between 0 and 1"),
        (["-o", "a.png", "--background", "mauve"], "#rrggbb"),
        (["-o", "a.png", "--size", "0"], "640x360"),
        (["-o", "a.mp4", "--background", "transparent"], "no transparency"),
        (["-o", "a.mp4", "--camera", "top", "--frame", "1"], "stands still"),
        (["-o", "a.mp4", "--fps", "0"], "above zero"),
        (["-o", "a.png", "--camera", "top", "--turntable"], "not allowed with"),
        (["-o", "a.png", "--azimuth", "30"], "belongs to --turntable"),
        (["-o", "a.png", "--turntable", "--azimuth", "nan"], "not finite"),
        (["-o", "a.png", "--threads", "1000"], "1 to 64"),
    ],
)
def test_render_refuses_in_one_sentence(
    words: list[str],
    sentence: str,
    asset_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["render", str(asset_path), *words]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.ds4d"]


def test_evaluate_prints_a_table(
    asset_path: Path, dataset_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(asset_path), str(dataset_path), "--progress", "none"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for label in ("frame 0", "frame 3", "all ", "mean of PSNRs", "Flicker", "3 static, 2 dynamic"):
        assert label in shown


def test_evaluate_as_json_is_all_there_is_on_stdout(
    asset_path: Path, dataset_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(asset_path), str(dataset_path), "--json", "-", "--progress", "none"]
    assert main(words) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert summary["psnr_white"] > 50
    assert summary["images"] == 4


def test_evaluate_writes_json_to_a_file_beside_the_table(
    asset_path: Path, dataset_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "scores.json"
    words = ["evaluate", str(asset_path), str(dataset_path), "--json", str(target)]
    assert main([*words, "--split", "train", "--progress", "none"]) == 0
    assert json.loads(target.read_text())["summary"]["images"] == 12
    assert "train" in capsys.readouterr().out


def test_evaluate_notes_a_dataset_read_otherwise_than_for_the_fit(
    asset_path: Path, dataset_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(asset_path), str(dataset_path), "--max-side", "16"]
    assert main([*words, "--progress", "none"]) == 0
    assert "--max-side" in capsys.readouterr().err


def test_evaluate_refuses_to_write_into_a_missing_folder(
    asset_path: Path, dataset_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "none" / "scores.json")
    words = ["evaluate", str(asset_path), str(dataset_path), "--json", target]
    assert main([*words, "--progress", "none"]) == 2
    assert "Cannot write" in capsys.readouterr().err
