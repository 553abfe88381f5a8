# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged views are the same each time, wrong by what is said, and leave front and truth alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ds4d_engine.video import write_png

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SIDE = 64


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script, with a cache of its own that holds one clip of two cameras."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = __import__("damage_views")
    monkeypatch.setattr(module, "CACHE", tmp_path)
    clip = tmp_path / "paper" / "disc"
    (clip / "train").mkdir(parents=True)
    shots = [
        {"file_path": f"./train/{camera}_{time}", "camera": camera}
        for camera in ("front", "side")
        for time in (0, 1)
    ]
    for shot in shots:
        write_png(clip / f"{shot['file_path']}.png", disc())
    (clip / "transforms_train.json").write_text(json.dumps({"frames": shots}))
    (clip / "tracks.npz").write_bytes(b"as it was")
    yield module
    sys.modules.pop("damage_views", None)


def disc() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    pixels = np.full((SIDE, SIDE, 4), (200, 100, 50, 255), np.uint8)
    pixels[..., 3] = 255 * (np.hypot(x, y) < SIDE / 4)
    return pixels


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_only_side_views_change_and_each_in_its_own_way(script) -> None:
    out = script.damage("disc")
    source = script.CACHE / "paper" / "disc"
    for time in (0, 1):
        name = f"train/front_{time}.png"
        assert (out / name).read_bytes() == (source / name).read_bytes()
    assert (out / "tracks.npz").read_bytes() == b"as it was"
    first, second = (read(out / f"train/side_{time}.png") for time in (0, 1))
    whole = read(source / "train/side_0.png")
    assert not np.array_equal(first, whole) and not np.array_equal(first, second)
    # A bend of a pixel of 64 moves the outline, not the disc.
    assert abs(first[..., 3].mean() / whole[..., 3].mean() - 1) < 0.2
    inside = first[28:36, 28:36].reshape(-1, 4).astype(float)
    assert (inside[:, 3] == 255).all()
    shine = inside[:, :3].mean(0) / whole[32, 32, :3]
    assert shine == pytest.approx(shine[0], rel=0.02) and shine[0] != 1.0
    assert script.damage("disc") == out  # kept


def test_a_bend_is_as_large_as_it_says_and_always_the_same(script) -> None:
    bend = script.field("side", 128)
    assert np.sqrt(np.square(bend).sum(0).mean()) == pytest.approx(script.BENT, rel=1e-4)
    assert np.array_equal(bend, script.field("side", 128))
    assert not np.array_equal(bend, script.field("other", 128))
