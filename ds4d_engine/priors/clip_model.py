# SPDX-License-Identifier: GPL-3.0-or-later
"""CLIP's image embeddings: whether two pictures show the same thing, whatever their pixels.

Weights: any CLIP in transformers' layout, such as openai/clip-vit-base-patch32 (MIT). Source:
Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..seam.errors import ConfigError
from .pretrained import load_pretrained

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that the published models were trained on."""
PAGE = "https://huggingface.co/openai/clip-vit-base-patch32"


class ClipImages:
    """Embed pictures with the CLIP model in a folder: config.json and safetensors weights."""

    def __init__(self, folder: Path) -> None:
        """Load the network; raise ConfigError when the folder holds no CLIP."""
        _check_kind(folder)
        try:
            from transformers import CLIPModel
        except ImportError:
            raise ConfigError(
                "CLIP needs the library transformers; run pip install 'ds4d[priors]'."
            ) from None
        network: Any = load_pretrained(CLIPModel, folder, "CLIP")
        self.network: Any = network
        self.side = int(network.config.vision_config.image_size)

    def similarity(self, image: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
        """Return the cosine of the embeddings of two sRGB pictures [H,W,3] in 0..1."""
        first, second = (self.embed(pixels) for pixels in (image, reference))
        return float(F.cosine_similarity(first, second, dim=0))

    @torch.no_grad()
    def embed(self, image: NDArray[np.float32]) -> Tensor:
        """Return the embedding [D] of a picture, as CLIP prepares it.

        The shorter side is scaled to the network's (bicubic), the middle square is taken.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None]
        height, width = pixels.shape[2:]
        scale = self.side / min(height, width)
        size = (max(self.side, round(height * scale)), max(self.side, round(width * scale)))
        scaled = F.interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False)
        top, left = (size[0] - self.side) // 2, (size[1] - self.side) // 2
        square = scaled[..., top : top + self.side, left : left + self.side].clamp(0, 1)
        mean, deviation = (torch.tensor(of).view(1, 3, 1, 1) for of in (MEAN, DEVIATION))
        hidden = self.network.vision_model(pixel_values=(square - mean) / deviation)
        embedding: Tensor = self.network.visual_projection(hidden.pooler_output)[0]
        return embedding


def _check_kind(folder: Path) -> None:
    path = folder / "config.json"
    try:
        kind = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except FileNotFoundError:
        raise ConfigError(
            f"{folder} has no config.json; give the folder of a CLIP model, such as {PAGE}."
        ) from None
    except (OSError, ValueError, AttributeError):
        raise ConfigError(
            f"{path} cannot be read as a model's settings; download it again."
        ) from None
    if kind != "clip":
        raise ConfigError(
            f"{folder} holds a model of type {kind!r}, not CLIP; give the folder of {PAGE} or "
            "another size of it."
        )
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"{folder} holds no safetensors weights, and pickles are never loaded; add "
            "model.safetensors from the model's page."
        )
