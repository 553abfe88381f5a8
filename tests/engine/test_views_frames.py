# SPDX-License-Identifier: GPL-3.0-or-later
"""Handing a clip's frames to a generator, and fitting what comes back."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from ds4d_engine.cli import cut
from ds4d_engine.cli.arguments import Parser
from ds4d_engine.clip import ClipOptions, load_clip
from ds4d_engine.seam.errors import EngineError
from ds4d_engine.views.frames import write_frames
from tests.engine.view_scenes import disc, single_clip


def footage(folder: Path) -> Path:
    """Three pictures 90 x 60: a blue ellipse on white that moves to the right."""
    folder.mkdir()
    y, x = np.mgrid[:60, :90]
    for t in range(3):
        rgb = np.full((60, 90, 3), 255, np.uint8)
        rgb[((x - 40 - 4 * t) / 20) ** 2 + ((y - 30) / 14) ** 2 < 1] = (20, 90, 160)
        iio.imwrite(folder / f"{t}.png", rgb)
    return folder


def test_frames_are_written_whole_and_read_back_the_same(tmp_path: Path) -> None:
    clip = single_clip([disc(32, 0.3 + 0.1 * t, 0.5, 0.2) for t in range(11)])
    assert write_frames(clip, tmp_path / "deep" / "frames") == 11
    paths = sorted((tmp_path / "deep" / "frames").iterdir())
    assert [path.name for path in paths] == [f"{t:04d}.png" for t in range(11)]
    assert all(
        np.array_equal(iio.imread(path), frame)
        for path, frame in zip(paths, clip.images[0], strict=True)
    )


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(EngineError, match=r"exists already"):
        write_frames(single_clip([disc(16, 0.5, 0.5, 0.3)]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_the_command_writes_the_very_frames_that_a_fit_sees(tmp_path: Path) -> None:
    source = footage(tmp_path / "clip")
    parser = Parser(prog="ds4d cut")
    cut.add_arguments(parser)
    words = [str(source), "-o", str(tmp_path / "frames"), "--size", "48", "--progress", "none"]
    assert cut.run(parser.parse(words)) == 0
    seen = load_clip(source, ClipOptions(size=48)).images[0]
    written = [iio.imread(path) for path in sorted((tmp_path / "frames").iterdir())]
    assert np.array_equal(written, seen)


def test_frames_that_were_written_are_a_clip_themselves(tmp_path: Path) -> None:
    seen = load_clip(footage(tmp_path / "clip"), ClipOptions(size=48))
    write_frames(seen, tmp_path / "frames")
    again = load_clip(tmp_path / "frames", ClipOptions(size=48, crop="off"))
    assert np.array_equal(again.images[0], seen.images[0])
