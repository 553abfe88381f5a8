# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews show the fit as it is, cost little, and change nothing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from ds4d_engine.data import Dataset
from ds4d_engine.evaluate import evaluate
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.fit import preview as preview_module
from ds4d_engine.fit import previewer as previewer_module
from ds4d_engine.fit.moment import Moment, Visitor
from ds4d_engine.fit.preview import preview_asset, preview_picture, start_asset, start_picture
from ds4d_engine.fit.previewer import Previewer
from ds4d_engine.fit.quality import Quality
from ds4d_engine.fit.scene import Scene
from ds4d_engine.fit.start import Start
from ds4d_engine.raster import Render
from ds4d_engine.seam import Asset, Motion, Preview, read_asset
from tests.engine.moving_blob import moving_blob
from tests.engine.moving_square import as_dataset, square_clip

TINY = FitConfig(
    iterations=120,
    gaussians=250,
    max_gaussians=320,
    densify_times=4,
    checkpoint_seconds=0,
    threads=1,
    backend="cpu",
)
CLIP = FitConfig.preset_named("draft", "clip").replace(
    iterations=40, gaussians=300, max_gaussians=500, nodes=40, checkpoint_seconds=0, threads=1
)


class Watching(Visitor):
    """Calls a function before every step, and keeps what the fit began with."""

    def __init__(self, visit: Callable[[Moment], float]) -> None:
        self._visit = visit
        self.begun: list[tuple[Scene, Start, FitConfig]] = []

    def begin(self, *seen: Any) -> None:
        self.begun.append(seen)  # type: ignore[arg-type]

    def visit(self, moment: Moment) -> float:
        return self._visit(moment)


def same_arrays(first: Asset, second: Asset) -> bool:
    """Tell whether two assets are equal to the bit in all that they show."""
    pairs = [(first.static, second.static), (first.dynamic, second.dynamic)]
    named = [(a, b, field.name) for a, b in pairs for field in dataclasses.fields(a)]
    named += [(first.motion, second.motion, field.name) for field in dataclasses.fields(Motion)]
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for a, b, name in named)


@pytest.fixture(scope="module")
def blob() -> Dataset:
    return moving_blob(frames=5)


@pytest.fixture(scope="module")
def square() -> Dataset:
    return as_dataset(square_clip())


@pytest.fixture(scope="module")
def last(blob: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Moment]]:
    """The last moment of a fit of the blob, in a list that keeps all of them."""
    moments: list[Moment] = []

    def visit(moment: Moment) -> float:
        moments.append(moment)
        return 0.0

    config = TINY.replace(iterations=500)
    fit(blob, config, tmp_path_factory.mktemp("fit") / "a.ds4d", visitor=Watching(visit))
    yield moments


@pytest.mark.parametrize("kind", ["dataset", "clip"])
def test_a_watched_fit_ends_with_the_same_bits(
    kind: str, blob: Dataset, square: Dataset, tmp_path: Path
) -> None:
    dataset, config = (blob, TINY) if kind == "dataset" else (square, CLIP)
    fit(dataset, config, tmp_path / "a.ds4d")

    def visit(moment: Moment) -> float:
        preview_asset(dataset, moment)
        preview_picture(moment)
        moment.keep()
        return 0.0

    fit(dataset, config, tmp_path / "b.ds4d", visitor=Watching(visit))
    assert same_arrays(read_asset(tmp_path / "a.ds4d"), read_asset(tmp_path / "b.ds4d"))


def test_a_preview_shows_what_the_fit_has_reached(blob: Dataset, last: list[Moment]) -> None:
    asset = preview_asset(blob, last[-1])
    assert evaluate(asset, blob).summary["psnr_white"] > 24
    assert asset.frame_count == blob.frame_count
    assert (asset.fps, asset.frame_start) == (blob.fps, blob.frame_start)
    assert len(asset.static) == 0


def test_few_frames_play_in_the_clips_time(blob: Dataset, last: list[Moment]) -> None:
    asset = preview_asset(blob, last[-1], frames=3)
    assert asset.frame_count == 3
    seconds = (blob.frame_count - 1) / blob.fps
    assert (asset.frame_count - 1) / asset.fps == pytest.approx(seconds)
    whole = preview_asset(blob, last[-1])
    assert np.array_equal(asset.motion.means, whole.motion.means[[0, 2, 4]])


def test_few_gaussians_are_the_ones_that_cover_most_and_cover_for_the_rest(
    blob: Dataset, last: list[Moment]
) -> None:
    whole = preview_asset(blob, last[-1]).dynamic
    few = preview_asset(blob, last[-1], most=100).dynamic
    assert len(few) == 100 < len(whole)
    assert np.array_equal(few.means, whole.means[:100]), "the most important come first"
    growth = few.scales / whole.scales[:100]
    assert np.allclose(growth, growth[0, 0]) and 1 < growth[0, 0] <= 2

    def covered(gaussians):  # type: ignore[no-untyped-def]
        return (gaussians.opacities * np.sort(gaussians.scales, 1)[:, 1:].prod(1)).sum()

    assert covered(few) == pytest.approx(covered(whole), rel=0.01)


def test_frames_that_the_fit_has_not_reached_show_the_nearest_that_it_has(
    blob: Dataset, last: list[Moment]
) -> None:
    early = next(
        moment for moment in last if moment.moving and moment.window[1] - moment.window[0] < 5
    )
    means = preview_asset(blob, early).motion.means
    low, high = early.window
    assert np.array_equal(means[0], means[low]) and np.array_equal(means[-1], means[high - 1])


def test_before_anything_moves_all_frames_are_the_canonical_one(
    blob: Dataset, last: list[Moment]
) -> None:
    assert not last[0].moving
    means = preview_asset(blob, last[0]).motion.means
    assert np.array_equal(means, np.repeat(means[:1], 5, 0))


def test_a_single_views_colours_and_opacities_change_in_its_previews(
    square: Dataset, tmp_path: Path
) -> None:
    seen: list[Asset] = []

    def visit(moment: Moment) -> float:
        if moment.losses.state.step == 39:
            seen.append(preview_asset(square, moment))
        return 0.0

    watching = Watching(visit)
    fit(square, CLIP, tmp_path / "a.ds4d", visitor=watching)
    assert seen[0].motion.sh0 is not None and seen[0].motion.opacities is not None
    first = start_asset(square, *watching.begun[0])
    assert first.motion.sh0 is not None, "the first one is built like the others"
    assert np.ptp(first.motion.means, 0).max() == 0, "nothing moves yet"
    assert len(first.dynamic) > 200
    picture = start_picture(*watching.begun[0]).astype(float)
    size = square.cameras[0].width
    source, begun = picture[:, :size], picture[:, size:]
    assert np.abs(source - begun).mean() < 0.7 * np.abs(source - 255).mean(), "it is in it"


def test_the_picture_shows_source_and_fit_side_by_side(blob: Dataset, last: list[Moment]) -> None:
    picture = preview_picture(last[-1])
    size = blob.cameras[0].width
    assert picture.shape == (size, 2 * size, 3)
    source, fitted = picture[:, :size].astype(float), picture[:, size:].astype(float)
    assert source.std() > 10, "the source is in it"
    assert np.abs(source - fitted).mean() < 4


def test_a_wide_picture_is_made_smaller(
    blob: Dataset, last: list[Moment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_module, "WIDTH", 20)
    picture = preview_picture(last[-1])
    assert picture.shape == (10, 20, 3)
    assert np.abs(picture[:, :10].astype(float) - picture[:, 10:]).mean() < 4


def test_previews_are_files_that_are_told_and_removed(
    blob: Dataset, last: list[Moment], tmp_path: Path
) -> None:
    told: list[Preview] = []
    previewer = Previewer(blob, tmp_path / "clip.ds4d", 0.0, told.append)
    previewer.visit(last[0]._replace(psnr=float("nan")))
    previewer.due = 0
    previewer.visit(last[-1])
    files = told[-1].files
    assert len(told) == 2 and read_asset(files["asset"]).provenance["preview"]
    assert iio.imread(files["picture"]).shape[2] == 3
    assert all(np.isfinite(preview.values["psnr"]) for preview in told), "the first one too"
    assert told[-1].values["step"] == last[-1].losses.state.step
    previewer.remove()
    assert not list(tmp_path.iterdir())


def test_previews_take_a_twentieth_of_the_time_however_dear_they_are(
    blob: Dataset, last: list[Moment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(moment: Moment) -> np.ndarray:
        time.sleep(0.05)
        return preview_picture(moment)

    monkeypatch.setattr(previewer_module, "preview_picture", slow)
    previewer = Previewer(blob, tmp_path / "clip.ds4d", 0.0, lambda event: None)
    started = time.monotonic()
    previewer.visit(last[-1])
    took = time.monotonic() - started
    assert previewer.due - time.monotonic() == pytest.approx(19 * took, rel=0.1)
    assert Previewer(blob, tmp_path / "b.ds4d", 5.0, lambda event: None).seconds == 5


def test_a_preview_that_cannot_be_written_ends_no_fit(
    blob: Dataset, last: list[Moment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Preview] = []
    Previewer(blob, tmp_path / "none" / "clip.ds4d", 5.0, told.append).visit(last[-1])
    assert not told and "no preview" in capsys.readouterr().err


def test_time_that_a_visitor_takes_away_is_not_optimisation(blob: Dataset, tmp_path: Path) -> None:
    def visit(moment: Moment) -> float:
        if moment.losses.state.step != 1:
            return 0.0
        time.sleep(0.5)
        return 0.5

    config = TINY.replace(seconds=0.6)
    started = time.monotonic()
    result = fit(blob, config, tmp_path / "a.ds4d", visitor=Watching(visit))
    assert time.monotonic() - started > 1.1 and result.summary["seconds"] < 1.0
    assert result.summary["steps"] > 10


def test_quality_is_the_psnr_of_the_mean_error() -> None:
    quality = Quality("srgb")
    assert np.isnan(quality.psnr)
    nothing = torch.zeros(0, 2)
    for step, error in ((0, 0.1), (1, 9.0), (5, 0.3)):
        render = Render(torch.full((4, 4, 3), 0.5), torch.ones(4, 4), None, nothing, nothing)
        quality.note(step, render, torch.full((4, 4, 3), 0.5 + error), 0.0)
    assert quality.psnr == pytest.approx(-10 * np.log10((0.1**2 + 0.3**2) / 2), abs=1e-3)
