# SPDX-License-Identifier: GPL-3.0-or-later
"""Published models in miniature: random weights in the true folder layouts and file formats."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ds4d_engine.priors.diffusers_folder import DiffusersFolder

WIDTH = 32
TOKENS = 77


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def folder_at(path: Path) -> DiffusersFolder:
    """The folder as the engine sees it, of a model named for messages."""
    return DiffusersFolder(path, "Zero123++ v1.1", "https://example.org/zero123plus")


def save_unet(folder: Path, in_channels: int, linear: bool, **options: Any) -> None:
    from diffusers import UNet2DConditionModel

    UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(WIDTH, 2 * WIDTH),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=(2, 4),
        cross_attention_dim=WIDTH,
        use_linear_projection=linear,
        norm_num_groups=8,
    ).save_pretrained(folder, **options)


def save_vae(folder: Path, **options: Any) -> None:
    from diffusers import AutoencoderKL

    AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
    ).save_pretrained(folder, **options)


def save_vision(folder: Path, **options: Any) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
            projection_dim=WIDTH,
        )
    ).save_pretrained(folder, **options)


def save_text(folder: Path, words: int) -> None:
    """Save a text model whose tensors have the names that published files have."""
    from transformers import CLIPTextConfig, CLIPTextModel

    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=WIDTH,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            bos_token_id=words - 2,
            eos_token_id=words - 1,
        )
    ).save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors = {
        f"text_model.{name.removeprefix('text_model.')}": value
        for name, value in load_file(path).items()
    }
    save_file(tensors, path, {"format": "pt"})


def save_tokenizer(folder: Path) -> int:
    """Write CLIP's vocab.json, merges.txt and settings, for letters only; return the word count."""
    words = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase)]
    words += ["ab</w>", "!", "<|startoftext|>", "<|endoftext|>"]
    write_json(folder / "vocab.json", {word: number for number, word in enumerate(words)})
    (folder / "merges.txt").write_text("#version: 0.2\na b</w>\n", encoding="utf-8")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "!",
    }
    write_json(folder / "special_tokens_map.json", special)
    write_json(
        folder / "tokenizer_config.json",
        {**special, "model_max_length": TOKENS, "tokenizer_class": "CLIPTokenizer"},
    )
    return len(words)


def preprocessor(size: int, mean: Any, deviation: Any, resample: int) -> dict[str, Any]:
    return {
        "crop_size": {"height": size, "width": size},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": mean,
        "image_processor_type": "CLIPImageProcessor",
        "image_std": deviation,
        "resample": resample,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": size},
    }


CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_DEVIATION = [0.26862954, 0.26130258, 0.27577711]


def write_zero123plus(folder: Path, seed: int = 0) -> Path:
    """Write a tiny Zero123++; settings as those of sudo-ai/zero123plus-v1.2, sizes aside."""
    torch.manual_seed(seed)
    words = save_tokenizer(folder / "tokenizer")
    save_text(folder / "text_encoder", words)
    save_vision(folder / "vision_encoder")
    save_unet(folder / "unet", 4, True)
    save_vae(folder / "vae")
    write_json(
        folder / "feature_extractor_clip" / "preprocessor_config.json",
        preprocessor(32, CLIP_MEAN, CLIP_DEVIATION, 3),
    )
    write_json(
        folder / "feature_extractor_vae" / "preprocessor_config.json", preprocessor(32, 0.5, 0.8, 2)
    )
    write_json(
        folder / "scheduler" / "scheduler_config.json",
        {
            "_class_name": "EulerAncestralDiscreteScheduler",
            "_diffusers_version": "0.24.0",
            "beta_end": 0.012,
            "beta_schedule": "linear",
            "beta_start": 0.00085,
            "clip_sample": False,
            "num_train_timesteps": 1000,
            "prediction_type": "v_prediction",
            "set_alpha_to_one": False,
            "skip_prk_steps": True,
            "steps_offset": 1,
            "timestep_spacing": "linspace",
            "trained_betas": None,
        },
    )
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "Zero123PlusPipeline",
            "_diffusers_version": "0.24.0",
            "feature_extractor_clip": ["transformers", "CLIPImageProcessor"],
            "feature_extractor_vae": ["transformers", "CLIPImageProcessor"],
            "ramping_coefficients": [0.01 * i for i in range(TOKENS)],
            "scheduler": ["diffusers", "EulerAncestralDiscreteScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            "vision_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        },
    )
    return folder


def write_zero123(folder: Path, projection: str = "clip_camera_projection") -> Path:
    """Write a tiny Zero123; settings as those of ashawkey/zero123-xl-diffusers, sizes aside.

    With `projection` "cc_projection" it is as kxic/zero123-xl has it.
    """
    torch.manual_seed(1)
    save_vision(folder / "image_encoder")
    save_unet(folder / "unet", 8, False)
    save_vae(folder / "vae")
    layer = torch.nn.Linear(WIDTH + 4, WIDTH)
    name = "proj" if projection == "clip_camera_projection" else "projection"
    (folder / projection).mkdir()
    save_file(
        {f"{name}.weight": layer.weight.data, f"{name}.bias": layer.bias.data},
        folder / projection / "diffusion_pytorch_model.safetensors",
    )
    write_json(
        folder / projection / "config.json",
        {"_class_name": "CLIPCameraProjection", "additional_embeddings": 4, "embedding_dim": WIDTH},
    )
    write_json(
        folder / "feature_extractor" / "preprocessor_config.json",
        preprocessor(32, CLIP_MEAN, CLIP_DEVIATION, 3),
    )
    write_json(
        folder / "scheduler" / "scheduler_config.json",
        {
            "_class_name": "DDIMScheduler",
            "_diffusers_version": "0.18.2",
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "clip_sample": False,
            "num_train_timesteps": 1000,
            "prediction_type": "epsilon",
            "set_alpha_to_one": False,
            "steps_offset": 1,
        },
    )
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "Zero123Pipeline",
            projection: ["zero123", "CLIPCameraProjection"],
            "feature_extractor": ["transformers", "CLIPImageProcessor"],
            "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
            "scheduler": ["diffusers", "DDIMScheduler"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    return folder
