# SPDX-License-Identifier: GPL-3.0-or-later
"""`ds4d mask` writes masks that `--masks` takes back, or nothing at all."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from ds4d_engine import video
from ds4d_engine.cli import clip_arguments, main
from ds4d_engine.clip import ClipOptions, read_clip
from ds4d_engine.clip.options import Crop, Matte
from ds4d_engine.seam import from_json_line
from tests.engine.clip_footage import (
    HEIGHT,
    RED,
    WIDTH,
    moving_alphas,
    over,
    overlap,
    write_mp4,
)

COUNT = 30


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    alphas = moving_alphas(count=COUNT, step=1.5)
    return write_mp4(tmp_path / "clip.mp4", [over(a, RED, (250, 250, 250)) for a in alphas])


def error_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["mask", *words, "--progress", "none"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("ds4d: error: ")
    return lines[0]


def test_masks_are_named_by_source_frame_and_have_its_size(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out" / "masks"
    words = [str(clip), "-o", str(output), "--start", "3", "--stride", "4"]
    assert main(["mask", *words, "--progress", "none"]) == 0
    assert "Wrote 7 masks (plain)" in capsys.readouterr().out
    names = sorted(path.name for path in output.iterdir())
    indices = range(3, COUNT, 4)
    assert names == [*(f"{index:04d}.png" for index in indices), "contact-sheet.png"]
    truth = moving_alphas(count=COUNT, step=1.5)
    for index in indices:
        mask = cv2.imread(str(output / f"{index:04d}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (HEIGHT, WIDTH) and overlap(mask, truth[index]) > 0.95
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_masks_give_the_same_clip_as_finding_them(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "masks"
    assert main(["mask", str(clip), "-o", str(output), "--fps", "5", "--progress", "none"]) == 0
    found = read_clip(clip, ClipOptions(fps=5))
    given = read_clip(clip, ClipOptions(fps=5, masks=output))
    assert given.matte == "masks" and given.indices == found.indices
    a, b = found.dataset.images[0], given.dataset.images[0]
    assert np.abs(a[..., 3].astype(int) - b[..., 3]).max() <= 2


def test_the_contact_sheet_shows_frames_with_the_background_veiled(
    clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / "masks"
    assert main(["mask", str(clip), "-o", str(output), "--progress", "none"]) == 0
    sheet = cv2.cvtColor(cv2.imread(str(output / "contact-sheet.png")), cv2.COLOR_BGR2RGB)
    # 24 of 30 frames, six in a row, 240 pixels long.
    assert sheet.shape == (4 * (180 + 4), 6 * (240 + 4), 3)
    first = sheet[:180, :240].astype(int)
    assert np.abs(first[90, 82] - RED).max() < 12
    assert first[90, 220][1] < 120  # white, veiled


def test_progress_as_json_is_all_that_is_printed(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "masks"
    assert main(["mask", str(clip), "-o", str(output), "--progress", "json"]) == 0
    events = [from_json_line(line) for line in capsys.readouterr().out.splitlines()]
    assert {getattr(event, "stage", None) for event in events} == {
        "read clip",
        "find object",
        "write masks",
    }


def test_nothing_is_written_over(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "masks"
    output.mkdir()
    (output / "mine.txt").write_text("keep")
    assert "not empty; name a new one" in error_of(capsys, str(clip), "-o", str(output))
    assert (output / "mine.txt").read_text() == "keep"
    (output / "mine.txt").unlink()
    assert main(["mask", str(clip), "-o", str(output), "--progress", "none"]) == 0
    capsys.readouterr()
    assert "delete the masks in it first" in error_of(capsys, str(clip), "-o", str(output))
    assert "name a folder" in error_of(capsys, str(clip), "-o", str(clip))


def test_a_full_disk_leaves_nothing_behind(
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[Path] = []
    write = video.iio.imwrite

    def write_some(path: Path, image: np.ndarray, **options: str) -> None:
        if len(written) == 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, image, **options)
        written.append(path)

    monkeypatch.setattr(video.iio, "imwrite", write_some)
    folder = tmp_path / "out"
    message = error_of(capsys, str(clip), "-o", str(folder / "masks"))
    assert f"{folder / 'masks' / '0009.png'}: No space left on device" in message
    assert len(written) == 9
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--end", "99"], "has 30 frames"),
        (["--fps", "60"], "--fps up to 25"),
        (["--fps", "5", "--stride", "2"], "exclude each other"),
        (["--matte", "rembg"], "--rembg-model"),
        (["--matte", "alpha"], "opaque everywhere"),
        (["--max-side", "64"], "--size"),
        (["--crop", "none"], "choose from"),
        (["--sise", "64"], "did you mean --size"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str],
    expected: str,
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert expected in error_of(capsys, str(clip), "-o", str(tmp_path / "masks"), *words)
    assert not (tmp_path / "masks").exists()


def test_a_broken_video_is_one_line_even_of_the_decoders(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video at all")
    words = ["mask", str(path), "-o", str(tmp_path / "masks"), "--progress", "none"]
    assert main(words) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "is not a video that can be decoded here; convert it" in line


def test_the_options_name_what_the_clip_knows() -> None:
    assert get_args(Matte) == clip_arguments.MATTES
    assert get_args(Crop) == clip_arguments.CROPS


def test_a_dataset_or_a_missing_file_is_no_clip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "masks")
    assert "There is no clip" in error_of(capsys, str(tmp_path / "a.mp4"), "-o", output)
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in error_of(capsys, str(tmp_path / "empty"), "-o", output)
