# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames of a clip are taken, and which options contradict each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ds4d_engine.clip import ClipOptions
from ds4d_engine.seam import ConfigError, DatasetError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": -1}, "count frames from 0"),
        ({"end": -3}, "count frames from 0"),
        ({"stride": 0}, "at least 1"),
        ({"stride": 2, "fps": 10}, "exclude each other"),
        ({"fps": 0}, "above zero"),
        ({"source_fps": float("nan")}, "above zero"),
        ({"size": 8}, "16 to 2048"),
        ({"crop": "maybe"}, "auto, off"),
        ({"matte": "magic"}, "choose auto"),
        ({"matte": "masks"}, "--masks"),
        ({"matte": "plain", "masks": Path("masks")}, "drop one"),
        ({"matte": "rembg"}, "--rembg-model"),
        ({"matte": "plain", "rembg_model": Path("u2net.onnx")}, "drop one"),
        ({"max_frames": 1}, "at least 2"),
    ],
)
def test_contradicting_options_are_refused_in_one_sentence(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        ClipOptions(**options)
    assert "\n" not in str(caught.value)


def test_range_and_stride_choose_source_frames() -> None:
    options = ClipOptions(start=3, end=12, stride=4)
    assert options.frames(100, 24, "clip") == [3, 7, 11]
    assert options.taken_fps(24) == 6


def test_target_rate_takes_the_nearest_source_frames() -> None:
    options = ClipOptions(fps=10, start=5)
    chosen = options.frames(60, 24, "clip")
    assert chosen[0] == 5
    moments = (np.array(chosen) - 5) / 24
    assert np.abs(moments - np.arange(len(chosen)) / 10).max() <= 0.5 / 24 + 1e-9
    assert (np.diff(chosen) > 0).all() and chosen[-1] < 60
    assert len(chosen) == 23  # 55 frames at 24 per second are 2.3 seconds
    assert options.taken_fps(24) == 10


def test_a_target_rate_above_the_clips_is_refused() -> None:
    with pytest.raises(DatasetError, match="--fps up to 24"):
        ClipOptions(fps=30).frames(60, 24, "clip")


@pytest.mark.parametrize(
    ("options", "count", "words"),
    [
        ({}, 0, "no frames"),
        ({}, 1, "at least 2 frames"),
        ({"end": 11}, 10, "up to 10"),
        ({"start": 10}, 10, "is empty"),
        ({"start": 4, "end": 4}, 10, "is empty"),
        ({"start": 8, "stride": 5}, 10, "at least 2 frames"),
    ],
)
def test_too_few_frames_are_refused(options: dict[str, Any], count: int, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        ClipOptions(**options).frames(count, 24, "clip")


@pytest.mark.parametrize(("fps", "stride"), [(24, 1), (30, 1), (59.94, 2)])
def test_each_remedy_that_a_long_clip_proposes_works(fps: float, stride: int) -> None:
    count = round(600 * fps)
    with pytest.raises(DatasetError) as caught:
        ClipOptions(stride=stride).frames(count, fps, "clip")
    words = str(caught.value).replace(",", " ").rstrip(".").split()
    value = {flag: words[words.index(flag) + 1] for flag in ("--stride", "--fps", "--end")}
    for remedy in (
        ClipOptions(stride=int(value["--stride"])),
        ClipOptions(fps=float(value["--fps"])),
        ClipOptions(end=int(value["--end"]), stride=stride),
    ):
        taken = len(remedy.frames(count, fps, "clip"))
        assert 0.8 * remedy.max_frames <= taken <= remedy.max_frames
