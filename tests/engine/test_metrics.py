# SPDX-License-Identifier: GPL-3.0-or-later
"""Image measures: known values, invariants, and numpy as the oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ds4d_engine.metrics import (
    TemporalDeviation,
    TemporalSpan,
    composite_source,
    flip,
    mask_iou,
    psnr_from_mse,
    psnr_mean_of_images,
    psnr_pooled,
    squared_error,
    ssim,
    temporal_error,
)


def _image(seed: int, size: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size, 3), dtype=np.float32)


def _rgba(color: tuple[int, int, int, int]) -> np.ndarray:
    return np.full((2, 2, 4), color, np.uint8)


def test_a_mean_squared_error_of_a_hundredth_is_twenty_decibels() -> None:
    assert psnr_from_mse(0.01) == pytest.approx(20.0)
    assert psnr_from_mse(0.0) == math.inf


def test_pooled_psnr_is_that_of_all_values_together() -> None:
    images = [_image(seed, 16) for seed in range(3)]
    references = [_image(seed + 10, 16) for seed in range(3)]
    sums = [squared_error(a, b) for a, b in zip(images, references, strict=True)]
    together = np.mean((np.stack(images) - np.stack(references)).astype(np.float64) ** 2)
    assert psnr_pooled(sums, [16 * 16 * 3] * 3) == pytest.approx(psnr_from_mse(together))


def test_pooled_psnr_is_below_the_mean_of_images_unless_all_are_alike() -> None:
    assert psnr_pooled([1.0, 100.0], [1000, 1000]) < psnr_mean_of_images([0.001, 0.1])
    assert psnr_pooled([5.0, 5.0], [1000, 1000]) == pytest.approx(
        psnr_mean_of_images([0.005, 0.005])
    )


def test_psnr_of_nothing_is_not_a_number() -> None:
    assert math.isnan(psnr_pooled([], []))
    assert math.isnan(psnr_mean_of_images([]))


def test_masked_error_counts_only_the_mask() -> None:
    image, reference = np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 3), np.float32)
    image[0, 0] = 0.5
    image[1, 1] = 0.25
    mask = np.zeros((4, 4), bool)
    mask[1, 1] = True
    assert squared_error(image, reference, mask) == pytest.approx(3 * 0.25**2)


def test_ssim_of_an_image_with_itself_is_one_and_with_noise_is_less() -> None:
    image = _image(0)
    assert ssim(image, image) == pytest.approx(1.0)
    assert ssim(image, _image(1)) < 0.3


def test_ssim_of_an_image_smaller_than_its_window_is_not_a_number() -> None:
    assert math.isnan(ssim(_image(0, 8), _image(0, 8)))


def test_flip_grows_from_none_for_equal_pictures_to_nearly_one_for_black_on_white() -> None:
    pytest.importorskip("flip_evaluator", reason="needs the package flip-evaluator")
    image = _image(0)
    slight = flip(np.clip(image + 0.02, 0, 1), image)
    assert flip(image, image) == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < slight < flip(_image(1), image)
    assert flip(np.zeros_like(image), np.ones_like(image)) > 0.9


def test_flip_without_its_package_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert math.isnan(flip(_image(0), _image(0)))


def test_overlap_of_masks_is_intersection_over_union_above_one_half() -> None:
    alphas, reference = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
    alphas[0, :3] = (1.0, 0.51, 0.5)  # one half is not covered
    reference[0, 1:4] = 1.0
    assert mask_iou(alphas, reference) == pytest.approx(1 / 4)
    assert mask_iou(alphas, alphas) == 1.0
    assert mask_iou(np.zeros_like(alphas), np.zeros_like(alphas)) == 1.0


def test_change_over_time_forgives_a_steady_error_and_punishes_a_picture_held_still() -> None:
    before, after = _image(0), _image(1)
    steady = (before + np.float32(0.3), after + np.float32(0.3))
    assert temporal_error(steady, (before, after)) == pytest.approx(0.0, abs=1e-6)
    held = temporal_error((before, before), (before, after))
    assert held == pytest.approx(np.abs(after.astype(np.float64) - before).mean())


@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_opaque_pixels_keep_their_colour_over_any_background(blend: str) -> None:
    composed = composite_source(_rgba((10, 100, 250, 255)), 1.0, blend)
    np.testing.assert_allclose(composed[0, 0] * 255, (10, 100, 250), atol=1e-2)


@pytest.mark.parametrize("blend", ["linear", "srgb"])
@pytest.mark.parametrize("background", [0.0, 0.5, 1.0])
def test_transparent_pixels_show_the_background(blend: str, background: float) -> None:
    composed = composite_source(_rgba((10, 100, 250, 0)), background, blend)
    np.testing.assert_allclose(composed, background, atol=1e-4)


def test_half_covered_white_on_black_is_brighter_in_linear_light() -> None:
    half = _rgba((255, 255, 255, 128))
    alpha = 128 / 255
    encoded = 1.055 * alpha ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(composite_source(half, 0.0, "srgb"), alpha, atol=1e-6)
    np.testing.assert_allclose(composite_source(half, 0.0, "linear"), encoded, atol=1e-4)


def test_span_is_maximum_minus_minimum_of_the_widest_channel() -> None:
    frames = np.stack([_image(seed) for seed in range(5)])
    span = TemporalSpan()
    for frame in frames:
        span.add(frame)
    np.testing.assert_array_equal(span.span, (frames.max(0) - frames.min(0)).max(-1))


def test_one_code_value_of_change_is_still_and_two_are_not() -> None:
    span = TemporalSpan()
    for values in ((100, 100, 100), (100, 101, 102)):
        rgba = np.full((1, 3, 4), 255, np.uint8)
        rgba[0, :, 0] = values
        span.add(composite_source(rgba, 1.0, "linear"))
    np.testing.assert_array_equal(span.still, [[True, True, False]])
    assert not span.moving.any()


def test_a_change_above_a_twentieth_in_one_channel_moves() -> None:
    span = TemporalSpan()
    span.add(np.zeros((1, 2, 3), np.float32))
    changed = np.zeros((1, 2, 3), np.float32)
    changed[0, 0, 1], changed[0, 1, 1] = 0.051, 0.049
    span.add(changed)
    np.testing.assert_array_equal(span.moving, [[True, False]])


def test_deviation_over_time_is_numpys_even_for_tiny_changes_on_bright_pixels() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-4, (9, 6, 5, 3))
    frames = (0.9 + noise).astype(np.float32)
    deviation = TemporalDeviation()
    for frame in frames:
        deviation.add(frame)
    expected = frames.astype(np.float64).std(axis=0).max(axis=-1)
    np.testing.assert_allclose(deviation.deviation, expected, rtol=1e-5)


def test_measures_over_time_need_an_image() -> None:
    with pytest.raises(ValueError, match="no image"):
        _ = TemporalSpan().span
    with pytest.raises(ValueError, match="no image"):
        _ = TemporalDeviation().deviation
