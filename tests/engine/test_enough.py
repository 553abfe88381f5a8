# SPDX-License-Identifier: GPL-3.0-or-later
"""As many Gaussians as covered pixels tell apart, unless somebody says how many."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ds4d_engine.data import Dataset
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.estimate import Outlook, estimate
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.fit.enough import LEAST, subject_pixels, with_enough
from tests.engine.moving_blob import moving_blob

DRAFT = FitConfig.preset_named("draft")


def covered(pixels: int, cameras: int = 3, frames: int = 20, size: int = 100) -> Dataset:
    """A dataset whose pictures each have so many opaque pixels; the last camera is held out."""
    picture = np.zeros((size * size, 4), np.uint8)
    picture[:pixels, 3] = 255
    clip = np.broadcast_to(picture.reshape(size, size, 4), (frames, size, size, 4))
    views = [orbit_camera(f"{index}", size) for index in range(cameras)]
    views[-1] = dataclasses.replace(views[-1], split="test")
    return Dataset(
        name="covered",
        cameras=tuple(views),
        images=[clip] * cameras,
        present=np.ones((frames, cameras), bool),
        times=np.linspace(0, 1, frames),
        fps=24.0,
        frame_start=1,
        has_alpha=True,
        source="transforms",
    )


def test_the_pixels_of_all_training_cameras_count() -> None:
    assert subject_pixels(covered(6_000)) == 12_000
    assert subject_pixels(covered(6_000, cameras=5)) == 24_000


def test_pictures_that_are_missing_show_nothing() -> None:
    dataset = covered(6_000)
    dataset.present[:, 0] = False
    assert subject_pixels(dataset) == 6_000


def test_a_translucent_pixel_counts_as_much_as_it_covers() -> None:
    dataset = covered(5_000)
    faint = np.where(dataset.images[0] == 255, 51, 0).astype(np.uint8)
    assert subject_pixels(dataclasses.replace(dataset, images=[faint] * 3)) == 2_000


def test_twice_the_side_may_have_twice_the_gaussians() -> None:
    few, many = (with_enough(DRAFT, covered(pixels)).max_gaussians for pixels in (2_500, 10_000))
    assert many == pytest.approx(2 * few, abs=1)


def test_few_pixels_get_few_gaussians_in_the_presets_proportion() -> None:
    config = with_enough(DRAFT, covered(5_000))
    assert (config.gaussians, config.max_gaussians) == (1_600, 2_400)
    unlike = {"gaussians", "max_gaussians"}
    kept = dataclasses.asdict(config).items() - dataclasses.asdict(DRAFT).items()
    assert {name for name, _ in kept} == unlike
    assert with_enough(config, covered(5_000)) == config


def test_many_pixels_get_no_more_than_the_preset() -> None:
    assert with_enough(DRAFT, covered(10_000, cameras=9)) == DRAFT


def test_a_speck_gets_what_its_motion_needs() -> None:
    assert with_enough(DRAFT, covered(10)).max_gaussians == LEAST


@pytest.mark.parametrize("given", [{"gaussians": 4_000}, {"max_gaussians": 5_000}])
def test_numbers_that_somebody_gives_are_meant(given: dict[str, int]) -> None:
    config = DRAFT.replace(**given)
    assert with_enough(config, covered(10)) == config


def test_numbers_and_pixels_may_be_given_together() -> None:
    config = DRAFT.replace(max_gaussians=5_000, gaussians_per_side=20)
    assert with_enough(config, covered(5_000)).max_gaussians == 2_000


def test_one_clip_and_the_peer_as_published_have_numbers_of_their_own() -> None:
    for config in (FitConfig.preset_named("draft", "clip"), FitConfig.preset_named("4dgs")):
        assert with_enough(config, covered(10)) == config


def test_what_one_camera_sees_keeps_the_presets_numbers() -> None:
    splines = DRAFT.replace(motion="spline")
    assert with_enough(splines, covered(10, cameras=2)) == splines
    assert with_enough(splines, covered(10, cameras=3)).max_gaussians == LEAST


def test_a_fit_grows_to_what_its_pictures_tell_and_is_estimated_so(tmp_path: Path) -> None:
    blob = moving_blob()
    config = FitConfig(
        iterations=40,
        gaussians_per_side=1_200 / subject_pixels(blob) ** 0.5,
        threads=1,
        backend="cpu",
        checkpoint_seconds=0,
    )
    result = fit(blob, config, tmp_path / "a.ds4d")
    assert 1_000 < result.summary["gaussians"] <= 1_200
    outlook = Outlook(blob, blob.frame_count, read_seconds=0.0, read_bytes=0)
    assert estimate(outlook, config).gaussians == 1_200
