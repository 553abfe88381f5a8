# SPDX-License-Identifier: GPL-3.0-or-later
"""Token extraction, layout and cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ds4d_engine.features import DescriptorExtractor, TokenGrids, extract_tokens
from ds4d_engine.seam.errors import DatasetError


def clip(frames: int = 3, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 4), np.uint8)


def test_colours_under_alpha_zero_do_not_leak() -> None:
    images = clip()
    images[:, :, 30:, 3] = 0
    repainted = images.copy()
    repainted[:, :, 30:, :3] = 255
    extractor = DescriptorExtractor()
    tokens, _ = extract_tokens([images], extractor)
    other, _ = extract_tokens([repainted], extractor)
    assert torch.equal(tokens, other)


def test_empty_images_give_zero_tokens() -> None:
    tokens = DescriptorExtractor()(torch.tensor([0.3, 0.9, 0.1, 0.0]).expand(1, 40, 40, 4))
    assert tokens.shape[-1] == DescriptorExtractor().channels == 40
    assert tokens.abs().max() < 1e-6


@pytest.mark.parametrize("side", [96, 128, 200, 256, 512, 1080])
def test_grids_have_about_thirty_six_tokens_on_the_longer_side(side: int) -> None:
    tokens = DescriptorExtractor()(torch.zeros(1, side // 2, side, 4))
    assert 30 <= tokens.shape[2] <= 48
    assert abs(tokens.shape[2] - 2 * tokens.shape[1]) <= 1


def test_the_stride_is_four_at_128_pixels() -> None:
    assert DescriptorExtractor()(torch.zeros(1, 128, 128, 4)).shape[1:3] == (32, 32)


def test_descriptors_follow_a_shift_by_whole_tokens() -> None:
    torch.manual_seed(0)
    image = torch.zeros(1, 128, 128, 4)
    image[:, 40:80, 40:80] = torch.rand(1, 40, 40, 4)
    extractor = DescriptorExtractor()
    shifted = extractor(image.roll((8, 4), (1, 2)))
    expected = extractor(image).roll((2, 1), (1, 2))
    torch.testing.assert_close(shifted, expected, atol=1e-6, rtol=1e-5)


def test_windows_average_exactly_the_pixels_around_a_token() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 128, 128, 4)
    token = DescriptorExtractor()(image)[0, 10, 7]
    # Token (10, 7) covers pixels 40..44 x 28..32; its windows are 8 and 16 pixels wide.
    alpha = image[0, ..., 3]
    assert token[3] == pytest.approx(float(alpha[38:46, 26:34].mean()), abs=1e-6)
    assert token[23] == pytest.approx(float(alpha[34:50, 22:38].mean()), abs=1e-6)


def test_views_of_different_sizes_share_one_flat_axis() -> None:
    images = [clip(height=48, width=64), clip(height=64, width=40, seed=1)]
    extractor = DescriptorExtractor()
    tokens, grids = extract_tokens(images, extractor)
    assert tokens.shape == (3, grids.count, 40)
    assert grids.offsets == (0, grids.heights[0] * grids.widths[0])
    for view, (stride_x, stride_y) in enumerate(grids.strides):
        assert stride_x * grids.widths[view] == images[view].shape[2]
        assert stride_y * grids.heights[view] == images[view].shape[1]


def test_channels_have_a_common_deviation_over_the_clip() -> None:
    tokens, _ = extract_tokens([clip()], DescriptorExtractor())
    deviation = tokens.flatten(0, 1).std(0, correction=0)
    # Constant channels would stay constant; noise has none.
    torch.testing.assert_close(deviation, torch.full_like(deviation, 40**-0.5), rtol=0.01, atol=0)


def test_missing_images_take_the_tokens_of_the_nearest_frame() -> None:
    images = clip(frames=4)
    images[1] = 0
    present = np.array([[True], [False], [True], [True]])
    tokens, _ = extract_tokens([images], DescriptorExtractor(), present=present)
    assert torch.equal(tokens[1], tokens[0])
    assert not torch.equal(tokens[2], tokens[0])
    with pytest.raises(DatasetError, match="View 0 has no image"):
        extract_tokens([images], DescriptorExtractor(), present=np.zeros((4, 1), bool))


class CountingExtractor:
    """The built-in extractor, counting its calls."""

    name = "counting"
    channels = 40

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return DescriptorExtractor()(images)


def test_the_cache_returns_the_same_tokens_without_extracting_again(tmp_path: Path) -> None:
    extractor = CountingExtractor()
    tokens, grids = extract_tokens([clip()], extractor, cache=tmp_path)
    again, grids_again = extract_tokens([clip()], extractor, cache=tmp_path)
    assert extractor.calls == 1
    assert torch.equal(tokens, again)
    assert grids == grids_again
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_the_cache_misses_when_a_pixel_or_a_missing_frame_changes(tmp_path: Path) -> None:
    extractor = CountingExtractor()
    extract_tokens([clip()], extractor, cache=tmp_path)
    changed = clip()
    changed[2, 5, 6, 1] ^= 1
    extract_tokens([changed], extractor, cache=tmp_path)
    present = np.array([[True], [False], [True]])
    extract_tokens([clip()], extractor, present=present, cache=tmp_path)
    assert extractor.calls == 3


def test_a_damaged_cache_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    extract_tokens([clip()], DescriptorExtractor(), cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match="damaged; delete it"):
        extract_tokens([clip()], DescriptorExtractor(), cache=tmp_path)


def test_no_views_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least one view"):
        extract_tokens([], DescriptorExtractor())


def test_tiles_count_every_token_once() -> None:
    grids = TokenGrids.tile([(2, 3), (4, 5)], [(8, 12), (16, 20)])
    assert (grids.count, grids.views, grids.offsets) == (26, 2, (0, 6))
    assert grids.strides == ((4.0, 4.0), (4.0, 4.0))
