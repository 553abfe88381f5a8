# SPDX-License-Identifier: GPL-3.0-or-later
"""DINOv2 patch tokens as features: what an image patch means, not only its colours and edges.

Weights: facebook/dinov2-small, -base or -large in transformers' layout (Apache-2.0), also the
variants with registers. Source: Oquab et al., arXiv 2304.07193; DS4D and TriplaneGaussian use the
base size on 252 x 252 pixels, which gives 18 x 18 tokens.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..seam.errors import ConfigError
from ..weights import Model
from .pretrained import load_pretrained

PATCH = 14
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as trained on
BATCH = 16
"""Images per run of the network, which bounds its memory to some hundred megabytes."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def _published(size: str, megabytes: str) -> Model:
    repo_id = f"facebook/dinov2-{size}"
    return Model(
        name=f"DINOv2 {size}",
        repo_id=repo_id,
        licence="Apache-2.0",
        url=f"https://huggingface.co/{repo_id}",
        size=megabytes,
        files=("config.json", "model.safetensors"),
    )


MODELS = {
    "dinov2-small": _published("small", "88 MB"),
    "dinov2-base": _published("base", "346 MB"),
    "dinov2-large": _published("large", "1.2 GB"),
}
CHANNELS = {"dinov2-small": 384, "dinov2-base": 768, "dinov2-large": 1024}


class Dinov2Extractor:
    """Give the patch tokens of a DINOv2 model in a folder; a `FeatureExtractor`.

    The network is loaded when the first image is to be described, on that image's device and in
    float32 whatever the file's precision. Cached tokens need no network at all.
    """

    def __init__(self, folder: Path, *, tokens: int = 18, background: float = 1.0) -> None:
        """Read what the `folder` holds.

        `tokens` along an image's longer side; the shorter side gets as many as keep its shape.
        `background` is the encoded grey under transparent pixels: white, as the pictures around
        DS4D have it, which keeps tokens comparable with generated views.
        Raises ConfigError when the folder holds no DINOv2 model in safetensors files.
        """
        if tokens < 1:
            raise ValueError(f"tokens must be at least 1, not {tokens}")
        self.folder, self.tokens, self.background = folder, tokens, background
        self.config = read_config(folder)
        self.channels = int(self.config["hidden_size"])
        self.name = f"dinov2-{weights_digest(folder)[:16]}-{tokens}-{background:g}"
        self._network: torch.nn.Module | None = None

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Give the rows and columns of tokens of an image."""
        longer = max(height, width)
        return max(1, round(self.tokens * height / longer)), max(
            1, round(self.tokens * width / longer)
        )

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Map straight-alpha sRGB images [B, H, W, 4] in 0..1 to tokens [B, h, w, C]."""
        if self._network is None:
            self._network = load_network(self.folder, self.config)
        network = self._network.to(images.device)
        rows, columns = self.grid(images.shape[1], images.shape[2])
        first = 1 + int(self.config.get("num_register_tokens", 0))
        found = []
        for batch in images.split(BATCH):
            pixels = self._prepare(batch, rows, columns)
            hidden = network(pixel_values=pixels).last_hidden_state
            found.append(hidden[:, first:].unflatten(1, (rows, columns)))
        return torch.cat(found)

    def _prepare(self, images: Tensor, rows: int, columns: int) -> Tensor:
        """Lay images on the background and scale them -> [B, 3, 14 rows, 14 columns]."""
        alpha = images[..., 3:]
        # Encoded values are blended, as in the pictures the network was trained on.
        laid = (images[..., :3] * alpha + self.background * (1 - alpha)).permute(0, 3, 1, 2)
        size = (rows * PATCH, columns * PATCH)
        scaled = F.interpolate(laid, size, mode="bicubic", antialias=True, align_corners=False)
        mean, deviation = (scaled.new_tensor(of).view(1, 3, 1, 1) for of in (MEAN, DEVIATION))
        return (scaled.clamp(0, 1) - mean) / deviation


def read_config(folder: Path) -> dict[str, Any]:
    """Read a DINOv2 folder's config.json and check that its weights are there.

    Raises ConfigError for another model, a damaged file, or weights that are only a pickle.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind, channels, patch = (
            config.get(key) for key in ("model_type", "hidden_size", "patch_size")
        )
    except FileNotFoundError:
        raise ConfigError(
            f"{folder} has no config.json; give the folder of a DINOv2 model from the hub, such "
            f"as {MODELS['dinov2-base'].url}."
        ) from None
    except (OSError, ValueError, AttributeError):
        raise ConfigError(
            f"{path} cannot be read as a model's settings; download it again."
        ) from None
    if kind not in ("dinov2", "dinov2_with_registers"):
        raise ConfigError(
            f"{folder} holds a model of type {kind!r}, not DINOv2; give the folder of "
            f"{MODELS['dinov2-base'].url} or its other sizes."
        )
    if not isinstance(channels, int) or patch != PATCH:
        raise ConfigError(
            f"{path} describes no DINOv2 with patches of {PATCH} pixels; download the folder again."
        )
    if not any(folder.glob("*.safetensors")):
        pickled = any(any(folder.glob(pattern)) for pattern in PICKLES)
        reason = "its weights only as a pickle, which is never loaded" if pickled else "no weights"
        raise ConfigError(f"{folder} holds {reason}; add model.safetensors from the model's page.")
    settings: dict[str, Any] = config
    return settings


def weights_digest(folder: Path) -> str:
    """Hash a folder's settings and weights: same digest, same tokens, wherever they lie."""
    digest = hashlib.sha256()
    for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        digest.update(path.name.encode())
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ConfigError(f"Cannot read {path}: {error.strerror or error}.") from None
    return digest.hexdigest()


def load_network(folder: Path, config: dict[str, Any]) -> torch.nn.Module:
    """Load the network of a checked folder in float32, ready for inference.

    Raises ConfigError when transformers is missing or the weights do not fit the settings.
    """
    try:
        from transformers import Dinov2Model, Dinov2WithRegistersModel
    except ImportError:
        raise ConfigError(
            "DINOv2 needs the library transformers; run pip install 'ds4d[priors]'."
        ) from None
    registers = config["model_type"] == "dinov2_with_registers"
    kind: Any = Dinov2WithRegistersModel if registers else Dinov2Model
    # Only training uses the mask token.
    return load_pretrained(kind, folder, "DINOv2", unneeded=("mask_token",))
