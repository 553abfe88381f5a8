# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluation: an asset against its own renders, and against renders changed in a known way."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ds4d_engine.evaluate import evaluate
from ds4d_engine.metrics import composite_source, psnr_from_mse
from ds4d_engine.render import render_asset
from ds4d_engine.seam import ConfigError, DatasetError, Progress
from tests.engine.tiny_clip import SIZE, tiny_asset, tiny_dataset


@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_an_asset_matches_its_own_renders_up_to_eight_bits(blend: str) -> None:
    asset = tiny_asset(blend=blend)
    summary = evaluate(asset, tiny_dataset(asset)).summary
    # A uniform rounding error of half a code value is 58.9 dB; dark, thin edges in linear light
    # lose a little more.
    assert summary["psnr_white"] > 55
    assert summary["psnr_black"] > 50
    assert summary["ssim_white"] > 0.999


def test_blending_in_the_wrong_light_is_seen() -> None:
    dataset = tiny_dataset(tiny_asset(blend="srgb"))
    right = evaluate(tiny_asset(blend="srgb"), dataset).summary
    wrong = evaluate(tiny_asset(blend="linear"), dataset).summary
    assert wrong["psnr_black"] < right["psnr_black"] - 10


def test_summary_is_the_pooled_error_of_all_pictures_and_channels() -> None:
    asset, other = tiny_asset(), tiny_asset(move=0.4)
    dataset = tiny_dataset(other)
    errors = []
    for frame in range(4):
        source = composite_source(dataset.images[2][frame], 1.0, "linear")
        errors.append(np.mean((render_asset(asset, asset.cameras[2], frame) - source) ** 2))
    summary = evaluate(asset, dataset).summary
    assert summary["images"] == 4
    assert summary["psnr_white"] == pytest.approx(psnr_from_mse(float(np.mean(errors))), abs=1e-3)
    expected = np.mean([psnr_from_mse(float(error)) for error in errors])
    assert summary["psnr_white_mean_of_images"] == pytest.approx(expected, abs=1e-2)


def test_moving_pixels_carry_the_error_of_a_wrong_motion() -> None:
    asset = tiny_asset(move=0.2)
    evaluation = evaluate(asset, tiny_dataset(tiny_asset(move=0.8)))
    summary = evaluation.summary
    assert 0 < summary["moving_fraction"] < 0.5
    assert summary["psnr_moving"] < summary["psnr_white"] - 2


def test_a_clip_that_stands_still_has_no_moving_pixels_and_no_flicker() -> None:
    asset = tiny_asset(move=0.0)
    evaluation = evaluate(asset, tiny_dataset(asset))
    assert math.isnan(evaluation.summary["psnr_moving"])
    assert evaluation.summary["moving_fraction"] == 0
    assert evaluation.flicker.pixels == SIZE * SIZE
    assert 0 < evaluation.flicker.object_pixels < SIZE * SIZE
    assert evaluation.flicker.mean == pytest.approx(0.0, abs=1e-6)


def test_a_splat_that_flickers_where_the_source_is_still_is_measured() -> None:
    asset = tiny_asset(move=0.0)
    dataset = tiny_dataset(asset)
    asset.motion.opacities = np.array([[0.9] * 2, [0.6] * 2, [0.9] * 2, [0.6] * 2], np.float32)
    flicker = evaluate(asset, dataset).flicker
    assert flicker.mean > 0.5
    assert flicker.object_mean > flicker.mean
    assert flicker.p99 > 10 * flicker.mean


def test_opacity_that_swings_evenly_has_the_deviation_of_its_two_values() -> None:
    asset = tiny_asset(move=0.0, blend="srgb")
    dataset = tiny_dataset(asset)
    asset.motion.opacities = np.array([[0.9] * 2, [0.6] * 2, [0.9] * 2, [0.6] * 2], np.float32)
    camera = asset.cameras[2]
    pictures = np.stack([render_asset(asset, camera, frame) for frame in range(4)])
    deviation = pictures.astype(np.float64).std(axis=0).max(axis=-1) * 255
    flicker = evaluate(asset, dataset).flicker
    assert flicker.mean == pytest.approx(deviation.mean(), rel=1e-4)
    assert flicker.p99 == pytest.approx(np.percentile(deviation, 99), rel=1e-4)


def test_test_split_is_the_default_and_train_is_on_request() -> None:
    asset = tiny_asset()
    dataset = tiny_dataset(asset)
    assert evaluate(asset, dataset).cameras == ("top",)
    assert evaluate(asset, dataset, split="train").cameras == ("left", "right", "back")


def test_absent_pictures_are_left_out() -> None:
    asset = tiny_asset()
    dataset = tiny_dataset(asset)
    dataset.present[1, 2] = False
    dataset.images[2][1] = 77
    evaluation = evaluate(asset, dataset)
    assert [score.name for score in evaluation.frames] == ["0", "2", "3"]
    assert evaluation.summary["psnr_white"] > 55


def test_dataset_times_between_the_assets_frames_are_interpolated() -> None:
    coarse = tiny_asset(frame_count=3)
    dataset = tiny_dataset(tiny_asset(frame_count=5))  # the same straight motion, twice as dense
    assert evaluate(coarse, dataset).summary["psnr_white"] > 55


def test_progress_counts_every_picture() -> None:
    asset = tiny_asset()
    events: list[Progress] = []
    evaluate(asset, tiny_dataset(asset), split="train", listener=events.append)
    assert events[-1].done == events[-1].total == 12
    assert {event.stage for event in events} == {"evaluate"}


def test_everything_measured_is_plain_json() -> None:
    asset = tiny_asset(move=0.0)
    document = json.loads(json.dumps(evaluate(asset, tiny_dataset(asset)).to_json()))
    assert document["summary"]["psnr_moving"] is None
    assert document["summary"]["dynamic_gaussians"] == 2
    assert len(document["images"]) == len(document["frames"]) == 4
    assert [camera["name"] for camera in document["cameras"]] == ["top"]


def test_a_split_without_cameras_says_what_to_do() -> None:
    asset = tiny_asset()
    dataset = tiny_dataset(asset)
    dataset.cameras = dataset.cameras[:2]
    with pytest.raises(DatasetError, match="no test cameras; fit with some held out"):
        evaluate(asset, dataset)


def test_a_split_without_pictures_is_refused() -> None:
    asset = tiny_asset()
    dataset = tiny_dataset(asset)
    dataset.present[:, 2] = False
    with pytest.raises(DatasetError, match="no test camera has a picture"):
        evaluate(asset, dataset)


def test_an_unknown_split_is_refused() -> None:
    asset = tiny_asset()
    with pytest.raises(ConfigError, match="train or test"):
        evaluate(asset, tiny_dataset(asset), split="validation")


def test_a_perfect_motion_changes_as_its_source_and_a_still_one_does_not() -> None:
    asset = tiny_asset(move=0.8)
    dataset = tiny_dataset(asset)
    right = evaluate(asset, dataset).summary
    wrong = evaluate(tiny_asset(move=0.0), dataset).summary
    assert right["temporal_error_moving"] < 1 < 10 < wrong["temporal_error_moving"]
    assert right["ssim_moving"] > 0.99 > wrong["ssim_moving"]
    assert wrong["psnr_moving_mean_of_images"] >= wrong["psnr_moving"]


def test_change_is_measured_between_consecutive_frames_only() -> None:
    asset = tiny_asset()
    dataset = tiny_dataset(asset)
    dataset.present[:, 2] = [True, False, True, True]
    errors = [image.change_error for image in evaluate(asset, dataset).images]
    assert [math.isnan(error) for error in errors] == [True, True, False]


def test_looks_that_were_not_asked_for_are_not_numbers() -> None:
    asset = tiny_asset()
    summary = evaluate(asset, tiny_dataset(asset)).summary
    assert all(math.isnan(summary[f"{name}_white"]) for name in ("flip", "lpips", "clip"))
