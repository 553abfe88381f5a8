# SPDX-License-Identifier: GPL-3.0-or-later
"""DINOv2 tokens, from a tiny random model saved as a user's folder would be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from ds4d_engine.dsfd import decouple
from ds4d_engine.features import DescriptorExtractor, extract_tokens
from ds4d_engine.priors import dinov2
from ds4d_engine.priors.dinov2 import Dinov2Extractor
from ds4d_engine.priors.extractors import EXTRACTORS, build_extractor
from ds4d_engine.seam.errors import ConfigError

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "mlp_ratio": 2,
    "image_size": 70,
    "patch_size": 14,
}


def save_tiny(folder: Path, *, half: bool = False, seed: int = 0, **settings: int) -> Path:
    torch.manual_seed(seed)
    model = Dinov2Model(Dinov2Config(**{**TINY, **settings}))
    (model.half() if half else model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny")


def clip(frames: int = 3, height: int = 48, width: int = 48) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 4), np.uint8)


def test_tokens_are_the_networks_own_patch_tokens(folder: Path) -> None:
    torch.manual_seed(1)
    image = torch.cat([torch.rand(1, 252, 252, 3), torch.ones(1, 252, 252, 1)], -1)
    network = Dinov2Model.from_pretrained(folder).eval()
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((image[..., :3] - mean) / deviation).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network(pixels).last_hidden_state[:, 1:].reshape(1, 18, 18, 32)
    found = Dinov2Extractor(folder)(image)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "grid"), [(128, 128, (18, 18)), (90, 160, (10, 18)), (300, 20, (18, 1))]
)
def test_the_longer_side_has_eighteen_tokens(
    folder: Path, height: int, width: int, grid: tuple[int, int]
) -> None:
    tokens = Dinov2Extractor(folder)(torch.rand(2, height, width, 4))
    assert tokens.shape == (2, *grid, 32) and tokens.dtype == torch.float32


def test_more_images_than_fit_one_run_give_the_same_tokens(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(2)
    images, extractor = torch.rand(5, 56, 56, 4), Dinov2Extractor(folder, tokens=4)
    whole = extractor(images)
    monkeypatch.setattr(dinov2, "BATCH", 2)
    torch.testing.assert_close(extractor(images), whole, atol=1e-5, rtol=1e-4)


def test_half_precision_weights_give_nearly_the_same_float_tokens(tmp_path: Path) -> None:
    torch.manual_seed(3)
    images = torch.rand(1, 64, 64, 4)
    full = Dinov2Extractor(save_tiny(tmp_path / "full"))(images)
    half = Dinov2Extractor(save_tiny(tmp_path / "half", half=True))(images)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.02, rtol=0.02)


def test_register_tokens_are_dropped(tmp_path: Path) -> None:
    torch.manual_seed(4)
    config = Dinov2WithRegistersConfig(**TINY, num_register_tokens=3)
    network = Dinov2WithRegistersModel(config).eval()
    network.save_pretrained(tmp_path)
    image = torch.full((1, 252, 252, 4), 1.0)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((1 - mean) / deviation).view(1, 3, 1, 1).expand(1, 3, 252, 252)
    with torch.no_grad():
        expected = network(pixels).last_hidden_state[:, 4:].reshape(1, 18, 18, 32)
    torch.testing.assert_close(Dinov2Extractor(tmp_path)(image), expected, atol=1e-4, rtol=1e-4)


def test_colours_under_alpha_zero_do_not_leak(folder: Path) -> None:
    images = torch.from_numpy(clip()).float() / 255
    images[:, :, 20:, 3] = 0
    repainted = images.clone()
    repainted[:, :, 20:, :3] = 0.7
    extractor = Dinov2Extractor(folder)
    assert torch.equal(extractor(images), extractor(repainted))


def test_a_moving_square_scores_higher_where_it_moves(folder: Path) -> None:
    images = np.full((6, 72, 72, 4), 255, np.uint8)
    images[..., :3] = 90
    images[:, 8:24, 8:24, :3] = (30, 200, 60)  # stays
    for frame in range(6):
        left = 4 + 10 * frame
        images[frame, 44:60, left : left + 12, :3] = (220, 40, 30)
    tokens, grids = extract_tokens([images], Dinov2Extractor(folder))
    scores = decouple(tokens, 3).scores.mean(0).reshape(grids.heights[0], grids.widths[0])
    moving = scores[11:15, 2:16].mean()
    assert moving > 1.5 * scores[:9].mean()


def test_cached_tokens_come_back_without_loading_the_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = extract_tokens([clip()], Dinov2Extractor(folder), cache=tmp_path)
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)

    def refuse(*_: object) -> None:
        raise AssertionError("the network was loaded")

    monkeypatch.setattr(dinov2, "load_network", refuse)
    again, _ = extract_tokens([clip()], Dinov2Extractor(moved), cache=tmp_path)
    assert torch.equal(first, again)
    with pytest.raises(AssertionError, match="was loaded"):
        extract_tokens([clip()], Dinov2Extractor(moved, background=0.5), cache=tmp_path)


def test_other_weights_have_another_name(folder: Path, tmp_path: Path) -> None:
    other = Dinov2Extractor(save_tiny(tmp_path / "other", seed=9))
    names = {Dinov2Extractor(folder).name, Dinov2Extractor(folder, tokens=20).name, other.name}
    assert len(names) == 3


def test_a_clip_model_is_refused_by_its_type(tmp_path: Path) -> None:
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    CLIPVisionModel(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="'clip_vision_model', not DINOv2"):
        Dinov2Extractor(tmp_path)


def test_a_pickle_is_never_loaded(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(ConfigError, match="no weights"):
        Dinov2Extractor(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigError, match=r"pickle, which is never loaded.*model\.safetensors"):
        Dinov2Extractor(tmp_path)


def test_a_folder_of_something_else_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        Dinov2Extractor(tmp_path)
    for content in ("{not json", "[]", "\x00"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ConfigError, match="cannot be read"):
            Dinov2Extractor(tmp_path)


def test_damaged_weights_are_refused_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    content = (folder / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError, match="cannot be loaded"):
        Dinov2Extractor(damaged)(torch.rand(1, 28, 28, 4))


def test_weights_that_lack_layers_are_refused(folder: Path, tmp_path: Path) -> None:
    lacking = shutil.copytree(folder, tmp_path / "lacking")
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 3
    (lacking / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"lack \d+ tensors"):
        Dinov2Extractor(lacking)(torch.rand(1, 28, 28, 4))


def test_extractors_are_built_by_name(folder: Path) -> None:
    assert isinstance(build_extractor("builtin", None, False), DescriptorExtractor)
    built = build_extractor("dinov2-base", folder, False)
    assert isinstance(built, Dinov2Extractor) and built.channels == 32
    assert EXTRACTORS == ("builtin", "dinov2-small", "dinov2-base", "dinov2-large")


def test_contradicting_names_and_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no features 'dino'"):
        build_extractor("dino", None, False)
    with pytest.raises(ConfigError, match="use no weights"):
        build_extractor("builtin", folder, False)
    small = save_tiny(tmp_path / "small", hidden_size=384, num_hidden_layers=1)
    with pytest.raises(ConfigError, match="holds dinov2-small, not dinov2-base"):
        build_extractor("dinov2-base", small, False)
