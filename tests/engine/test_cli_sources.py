# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command reads: clips as large as a generator of views wants, scaled down for the fit."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from ds4d_engine.cli.sources import add_source_options, read_source
from ds4d_engine.data import Dataset
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.seam.events import Listener, silent
from ds4d_engine.video import write_png
from ds4d_engine.views.assemble import GeneratedViews, join
from ds4d_engine.views.presets import parse_cameras
from tests.engine.generated_clip import generated_clip


class LargeViews:
    """A generator that wants large pictures and draws what it sees as every view."""

    name = "large"
    least_size = 96

    def __init__(self) -> None:
        self.seen: list[int] = []

    def views(self, clip: Dataset, listener: Listener = silent) -> Dataset:
        self.seen.append(clip.cameras[0].width)
        angles = parse_cameras("40,0;-40,10").angles
        present = np.ones((clip.frame_count, 2), bool)
        return join(clip, GeneratedViews(angles, [clip.images[0]] * 2, present), 1.0, listener)


def clip_folder(folder: Path, size: int = 128) -> Path:
    folder.mkdir()
    for frame, picture in enumerate(generated_clip(frames=2, size=size).images[0]):
        write_png(folder / f"{frame:03d}.png", picture)
    return folder


def read(words: list[str], size: int | None = None) -> Dataset:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    add_source_options(parser)
    return read_source(parser.parse_args(words), silent, size=size)


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> LargeViews:
    made = LargeViews()
    monkeypatch.setattr("ds4d_engine.views.provider.build_provider", lambda options: made)
    return made


@pytest.mark.parametrize(
    ("words", "size", "seen", "fitted"),
    [([], 48, 96, 48), (["--size", "32"], 48, 96, 32), (["--size", "112"], None, 112, 112)],
)
def test_views_are_made_of_large_pictures_and_fitted_at_the_asked_size(
    generator: LargeViews,
    tmp_path: Path,
    words: list[str],
    size: int | None,
    seen: int,
    fitted: int,
) -> None:
    folder = clip_folder(tmp_path / "clip")
    dataset = read([str(folder), "--crop", "off", *words], size)
    assert generator.seen == [seen]
    assert [camera.width for camera in dataset.cameras] == [fitted] * 3
    assert {pictures.shape for pictures in dataset.images} == {(2, fitted, fitted, 4)}
    assert dataset.generated.tolist() == [False, True, True]
    expected = orbit_camera("input", fitted)
    np.testing.assert_allclose(dataset.cameras[0].K, expected.K)
    np.testing.assert_allclose(dataset.cameras[1].viewmat[:3, 3], expected.viewmat[:3, 3])


def test_scaling_down_keeps_coverage_and_where_things_are() -> None:
    clip = generated_clip(frames=2, size=64)
    small = clip.at_most(32)
    for camera, before, after in zip(small.cameras, clip.images, small.images, strict=True):
        assert (camera.width, camera.height) == (32, 32)
        alpha = before[..., 3].reshape(2, 32, 2, 32, 2).mean((2, 4))
        np.testing.assert_allclose(after[..., 3], alpha, atol=1)
    assert clip.at_most(64).images[0].shape == clip.images[0].shape
