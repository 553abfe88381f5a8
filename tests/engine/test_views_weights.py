# SPDX-License-Identifier: GPL-3.0-or-later
"""Which folders Zero123++ is loaded from, and what is said of those it is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ds4d_engine.priors.diffusers_folder import PictureInput, weights_variant
from ds4d_engine.seam.errors import ConfigError
from ds4d_engine.views import ViewOptions, build_provider
from ds4d_engine.views.zero123plus_model import Sampling, check_zero123plus, load_zero123plus

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
from tests.engine.tiny_diffusers import (
    folder_at,
    save_unet,
    save_vae,
    write_json,
    write_zero123plus,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zero123plus(tmp_path_factory.mktemp("zero123plus"))


@pytest.fixture
def own(weights: Path, tmp_path: Path) -> Path:
    """A copy of the weights that a test may damage."""
    return Path(shutil.copytree(weights, tmp_path / "own"))


def test_half_precision_files_are_taken_where_they_are_all_there_is(own: Path) -> None:
    path = own / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(
        {name: value.half() for name, value in load_file(path).items()},
        path.with_name("diffusion_pytorch_model.fp16.safetensors"),
        {"format": "pt"},
    )
    assert weights_variant(own / "unet", half=True) == "fp16"
    assert weights_variant(own / "unet", half=False) is None
    path.unlink()
    loaded = load_zero123plus(folder_at(own), CPU)
    assert loaded.networks.unet.dtype == torch.float32
    picture = np.full((24, 24, 4), 255, np.uint8)
    assert loaded.generate(picture, Sampling(steps=2, cell=16)).std() > 5


def test_a_pickle_is_refused_with_a_conversion_that_works(own: Path) -> None:
    path = own / "vae" / "diffusion_pytorch_model.safetensors"
    before = load_file(path)
    torch.save(before, path.with_suffix(".bin"))
    path.unlink()
    with pytest.raises(ConfigError, match=r"only as a pickle, which is never loaded") as refused:
        check_zero123plus(folder_at(own))
    code = str(refused.value).split('python -c "')[1].rstrip('"')
    subprocess.run([sys.executable, "-c", code], check=True)
    check_zero123plus(folder_at(own))
    after = load_file(path)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_published_names_of_text_tensors_are_read(weights: Path) -> None:
    model = load_zero123plus(folder_at(weights), CPU)
    stored = load_file(weights / "text_encoder" / "model.safetensors")
    name = "text_model.embeddings.token_embedding.weight"
    loaded = model.networks.text_encoder.get_input_embeddings().weight
    assert torch.equal(loaded, stored[name])


def test_pictures_are_normalised_as_the_folder_says(weights: Path) -> None:
    prepare = PictureInput.read(folder_at(weights), "feature_extractor_vae")
    white = prepare(np.full((8, 8, 3), 255, np.uint8))
    assert white.shape == (1, 3, 32, 32)
    assert torch.allclose(white, torch.tensor(0.5 / 0.8))


def test_an_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model_index.json.*https://example"):
        check_zero123plus(folder_at(tmp_path))


def test_another_models_folder_is_one_sentence(own: Path) -> None:
    write_json(own / "model_index.json", {"_class_name": "StableDiffusionPipeline"})
    with pytest.raises(ConfigError, match=r"another model.*ramping_coefficients"):
        check_zero123plus(folder_at(own))


def test_a_missing_component_is_named(own: Path) -> None:
    shutil.rmtree(own / "vision_encoder")
    with pytest.raises(ConfigError, match=r"has no vision_encoder/config.json"):
        check_zero123plus(folder_at(own))


def test_missing_weights_are_named(own: Path) -> None:
    (own / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"unet holds no weights \(\*.safetensors\)"):
        check_zero123plus(folder_at(own))


def test_a_unet_of_another_model_is_one_sentence(own: Path) -> None:
    shutil.rmtree(own / "unet")
    save_unet(own / "unet", 8, True)
    with pytest.raises(ConfigError, match=r"takes 8 channels, but that of .* takes 4"):
        check_zero123plus(folder_at(own))


def test_components_of_different_widths_are_one_sentence(own: Path) -> None:
    settings = folder_at(own).settings("vision_encoder/config.json")
    write_json(own / "vision_encoder" / "config.json", {**settings, "projection_dim": 48})
    with pytest.raises(ConfigError, match=r"do not belong together.*vision_encoder 48"):
        check_zero123plus(folder_at(own))


def test_a_truncated_file_is_one_sentence(own: Path) -> None:
    path = own / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r"The vae in .* cannot be loaded"):
        load_zero123plus(folder_at(own), CPU)


def test_missing_tensors_are_one_sentence(own: Path) -> None:
    path = own / "text_encoder" / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("text_model.final_layer_norm.weight")
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ConfigError, match=r"text_encoder in .* lacks 1 tensors"):
        load_zero123plus(folder_at(own), CPU)


def test_a_vae_under_the_unets_name_is_one_sentence(own: Path) -> None:
    settings = folder_at(own).settings("unet/config.json")
    shutil.rmtree(own / "unet")
    save_vae(own / "unet")
    write_json(own / "unet" / "config.json", settings)
    with pytest.raises(ConfigError, match=r"The unet in "):
        load_zero123plus(folder_at(own), CPU)


def test_a_damaged_tokenizer_is_one_sentence(own: Path) -> None:
    (own / "tokenizer" / "vocab.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tokenizer in .* cannot be loaded"):
        load_zero123plus(folder_at(own), CPU)


def test_a_ramp_of_another_length_is_one_sentence(own: Path) -> None:
    index = folder_at(own).index()
    write_json(own / "model_index.json", {**index, "ramping_coefficients": [0.1] * 5})
    with pytest.raises(ConfigError, match=r"gives 77 tokens, but .* weighs 5"):
        load_zero123plus(folder_at(own), CPU)


def test_without_weights_and_consent_licence_and_remedy_are_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"Zero123\+\+ v1.2 .*CC-BY-NC 4.0.*allow the download"):
        build_provider(ViewOptions(provider="zero123plus", cameras="zero123plus-1.2"))


def test_the_provider_checks_the_weights_before_any_work(own: Path) -> None:
    made = build_provider(ViewOptions(provider="zero123plus", weights=own))
    assert made.name == "zero123plus"
    shutil.rmtree(own / "text_encoder")
    with pytest.raises(ConfigError, match=r"text_encoder/config.json"):
        build_provider(ViewOptions(provider="zero123plus", weights=own))


def test_a_device_that_is_not_there_is_one_sentence(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"'abacus' cannot be used"):
        build_provider(ViewOptions(provider="zero123plus", weights=weights, device="abacus"))
