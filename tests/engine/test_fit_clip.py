# SPDX-License-Identifier: GPL-3.0-or-later
"""One clip becomes an asset that moves as it does, repeats itself, stops early and resumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ds4d_engine.data import Dataset
from ds4d_engine.evaluate import evaluate
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.metrics import composite_source
from ds4d_engine.seam.asset import Asset, read_asset
from ds4d_engine.single.guess import REACH
from tests.engine.moving_square import as_dataset, square_clip

FRAMES, SIZE = 7, 40
TINY = FitConfig.preset_named("draft", "clip").replace(
    iterations=200,
    gaussians=1_000,
    max_gaussians=3_000,
    nodes=30,
    reveal_times=0,
    checkpoint_seconds=0,
    threads=1,
    backend="cpu",
)


@pytest.fixture(scope="module")
def square() -> Dataset:
    return as_dataset(square_clip(FRAMES, SIZE))


@pytest.fixture(scope="module")
def fitted(square: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Asset:
    path = tmp_path_factory.mktemp("fit") / "square.ds4d"
    fit(square, TINY, path)
    return read_asset(path)


def as_train(asset: Asset, dataset: Dataset) -> float:
    return evaluate(asset, dataset, split="train", backend="cpu").summary["psnr_white"]


def psnr_of_a_card(dataset: Dataset) -> float:
    """Return the PSNR on white, over the clip, of its middle frame shown all the time."""
    pictures = composite_source(dataset.images[0], 1.0, "linear")
    return float(-10 * np.log10(np.square(pictures - pictures[FRAMES // 2]).mean()))


def test_the_input_view_is_far_better_than_a_card(square: Dataset, fitted: Asset) -> None:
    assert as_train(fitted, square) > psnr_of_a_card(square) + 6


def test_the_asset_has_a_back_as_deep_as_its_front(fitted: Asset) -> None:
    depths = np.concatenate([fitted.static.means, fitted.dynamic.means])[:, 1]
    assert depths.min() < -0.05 and depths.max() > 0.05
    assert abs((depths < 0).mean() - 0.5) < 0.15


def test_moving_gaussians_travel_and_turn_as_the_square_does(fitted: Asset) -> None:
    """The square goes 1.5 pixels right and 0.5 up a frame."""
    paths = fitted.motion.means
    assert paths is not None
    pixel = 2.0 / fitted.cameras[0].K[0, 0]
    weights = fitted.dynamic.opacities * (fitted.dynamic.means[:, 2] > 0)
    middle = np.stack([np.average(frame, axis=0, weights=weights) for frame in paths])
    travel = (middle[-1] - middle[0]) / pixel
    assert travel[0] == pytest.approx(9, abs=1.5)
    assert travel[2] == pytest.approx(3, abs=1.2)
    assert abs(travel[1]) < 2


def test_in_one_frame_everything_is_where_it_is_canonically(fitted: Asset) -> None:
    assert fitted.motion.means is not None
    off = np.abs(fitted.motion.means - fitted.dynamic.means).max((1, 2))
    assert off.min() < 1e-5 and off.max() > 0.1


def test_what_rests_is_static_and_what_moves_is_not(fitted: Asset) -> None:
    # world +Z is up: the resting square lies below
    still, moving = fitted.static.means[:, 2], fitted.dynamic.means[:, 2]
    assert (still < 0).sum() > 0.25 * ((still < 0).sum() + (moving < 0).sum())
    assert (still > 0).sum() < 0.05 * ((still > 0).sum() + (moving > 0).sum())


def test_dynamic_scores_tell_what_moves(fitted: Asset) -> None:
    scores = np.concatenate([fitted.static.dynamic_scores, fitted.dynamic.dynamic_scores])
    assert np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1
    assert fitted.dynamic.dynamic_scores.mean() > 1.5 * fitted.static.dynamic_scores.mean()


def test_the_asset_tells_how_it_was_made(fitted: Asset) -> None:
    assert fitted.blend == "linear" and fitted.fps == 12.0 and fitted.frame_count == FRAMES
    assert fitted.provenance["config"]["motion"] == "nodes"
    assert [camera.name for camera in fitted.cameras] == ["input"]


def test_no_gaussian_is_far_from_the_subject(fitted: Asset) -> None:
    assert fitted.motion.means is not None
    assert np.abs(fitted.motion.means).max() < 1.2
    assert np.abs(fitted.static.means).max() < 1.2


def same_asset(first: Path, second: Path) -> bool:
    """Tell whether two assets hold the same bytes, however long they took."""
    a, b = read_asset(first), read_asset(second)
    names = ("means", "quats", "scales", "opacities", "sh0", "shN", "dynamic_scores")
    pairs = [(a.static, b.static), (a.dynamic, b.dynamic), (a.motion, b.motion)]
    return all(
        np.array_equal(getattr(x, name), getattr(y, name))
        for x, y in pairs
        for name in names
        if getattr(x, name, None) is not None
    )


RICH = TINY.replace(iterations=40, color_knots=5, reveal_times=2)
"""Everything that has state of its own."""


@pytest.fixture(scope="module")
def whole(square: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "square.ds4d"
    fit(square, RICH, path)
    return path


def test_the_same_seed_gives_the_same_asset_with_any_number_of_threads(
    square: Dataset, whole: Path, tmp_path: Path
) -> None:
    fit(square, RICH.replace(threads=2), tmp_path / "again.ds4d")
    assert same_asset(whole, tmp_path / "again.ds4d")


def stop_after(count: int) -> Iterator[bool]:
    yield from (step == count for step in range(1, 1_000))


@pytest.mark.parametrize("steps", [1, 27])
def test_resuming_equals_an_uninterrupted_fit(
    square: Dataset, whole: Path, tmp_path: Path, steps: int
) -> None:
    output = tmp_path / "halves.ds4d"
    answers = stop_after(steps)
    first = fit(square, RICH, output, should_stop=lambda: next(answers))
    assert first.stopped and first.summary["steps"] == steps
    at_rest = as_dataset(square.images[0][[FRAMES // 2] * FRAMES])
    assert as_train(read_asset(output), at_rest) > 12  # what is left shows the subject
    second = fit(square, RICH, output, resume=True)
    assert not second.stopped and second.summary["steps"] == RICH.iterations
    assert same_asset(whole, output)


def test_colours_and_opacities_over_time_reach_the_asset(whole: Path) -> None:
    asset = read_asset(whole)
    count = len(asset.dynamic)
    assert asset.motion.sh0 is not None and asset.motion.sh0.shape == (FRAMES, count, 1, 3)
    assert asset.motion.opacities is not None and asset.motion.opacities.shape == (FRAMES, count)
    assert asset.motion.opacities.min() >= 0 and asset.motion.opacities.max() <= 1


def test_two_frames_are_enough(tmp_path: Path) -> None:
    clip = as_dataset(square_clip(2, SIZE))
    fit(clip, TINY.replace(iterations=20), tmp_path / "a.ds4d")
    assert read_asset(tmp_path / "a.ds4d").frame_count == 2


def test_thickness_is_the_artists(square: Dataset, tmp_path: Path) -> None:
    camera, depths = square.cameras[0], []
    beyond = 2 * REACH * np.linalg.norm(camera.position) / camera.K[0, 0]
    for thickness in (0.5, 1.0):
        fit(square, TINY.replace(iterations=1, thickness=thickness), tmp_path / "a.ds4d")
        asset = read_asset(tmp_path / "a.ds4d")
        means = np.concatenate([asset.static.means, asset.dynamic.means])
        depths.append(np.ptp(means[:, 1]) + beyond)  # as deep as it is drawn
    assert depths[1] == pytest.approx(2 * depths[0], rel=0.2)


@pytest.mark.parametrize("motion", ["spline", "ds4d"])
def test_a_clip_may_move_by_another_model_than_its_preset(
    motion: str, square: Dataset, tmp_path: Path
) -> None:
    preset = FitConfig.preset_named("draft", "clip")
    tiny = {"iterations": 60, "gaussians": 400, "max_gaussians": 800, "threads": 1}
    result = fit(square, preset.replace(motion=motion, **tiny), tmp_path / "square.ds4d")
    assert read_asset(result.asset_path).frame_count == FRAMES
