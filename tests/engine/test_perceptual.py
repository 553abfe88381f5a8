# SPDX-License-Identifier: GPL-3.0-or-later
"""Likeness of pictures: CLIP on random weights of the published layout, and what is left out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ds4d_engine.perceptual import Perceptual
from ds4d_engine.seam import ConfigError


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((40, 48, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP, text part included, as transformers saves it."""
    transformers = pytest.importorskip("transformers", reason="needs the library transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    sizes |= {"num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config=sizes | {"vocab_size": 64, "max_position_embeddings": 8},
        vision_config=sizes | {"image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    folder = tmp_path_factory.mktemp("clip")
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


def test_nothing_is_measured_that_was_not_asked_for() -> None:
    likeness = Perceptual().measure(picture(0), picture(1))
    assert all(math.isnan(value) for value in (likeness.flip, likeness.lpips, likeness.clip))


def test_flip_is_measured_on_request() -> None:
    pytest.importorskip("flip_evaluator", reason="needs the package flip-evaluator")
    assert Perceptual(flip=True).measure(picture(0), picture(1)).flip > 0.1


def test_clip_similarity_is_one_for_equal_pictures_and_less_for_others(clip_folder: Path) -> None:
    perceptual = Perceptual(clip=clip_folder)
    assert perceptual.measure(picture(0), picture(0)).clip == pytest.approx(1.0, abs=1e-5)
    assert perceptual.measure(picture(0), np.zeros((40, 48, 3), np.float32)).clip < 0.999


def test_clip_embeds_as_transformers_does(clip_folder: Path) -> None:
    from transformers import CLIPImageProcessor, CLIPModel

    from ds4d_engine.priors.clip_model import ClipImages

    rounded = np.round(picture(0) * 255).astype(np.uint8)
    side = {"height": 32, "width": 32}
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=side)
    pixels = processor(rounded, return_tensors="pt")["pixel_values"]
    model = CLIPModel.from_pretrained(clip_folder, use_safetensors=True).eval()
    with torch.no_grad():
        expected = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)[0]
    found = ClipImages(clip_folder).embed(rounded.astype(np.float32) / 255)
    assert float(torch.cosine_similarity(found, expected, dim=0)) > 0.999


def test_a_folder_of_another_model_or_of_pickles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        Perceptual(clip=tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    with pytest.raises(ConfigError, match="'dinov2', not CLIP"):
        Perceptual(clip=tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"code")
    with pytest.raises(ConfigError, match="pickles are never loaded"):
        Perceptual(clip=tmp_path)
