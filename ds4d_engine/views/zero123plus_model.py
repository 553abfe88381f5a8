# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero123++: one picture in, a grid of six views out.

The mathematics follow the published pipeline (SUDO-AI-3D/zero123plus, Apache-2.0; Shi et al.,
arXiv 2310.15110), written anew on diffusers' standard networks: reference attention, the input's
CLIP embedding added to the empty prompt's tokens by a published ramp, and latents and pictures
scaled as the model was trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..priors.diffusers_folder import (
    DiffusersFolder,
    PictureInput,
    quiet_libraries,
    require_libraries,
)
from ..seam.errors import ConfigError
from .layouts import GRID_COLUMNS, GRID_ROWS
from .reference_attention import Anchor, install

Pixels = NDArray[np.uint8]
GREY = 127
"""Under transparent pixels of the input, as the model was trained; its views have it too."""
LATENT_SCALE, LATENT_SHIFT = 0.75, 0.22
PICTURE_SCALE = 0.5 / 0.8
COMPONENTS = ("unet", "vae", "text_encoder", "vision_encoder")


@dataclass(frozen=True)
class Sampling:
    """How views are sampled; `cell` is the side of one view in pixels."""

    steps: int = 75
    guidance: float = 4.0
    seed: int = 0
    cell: int = 320


@dataclass(frozen=True)
class Networks:
    """The loaded components, on one device and of one precision."""

    unet: Any
    vae: Any
    text_encoder: Any
    vision_encoder: Any
    tokenizer: Any
    scheduler: dict[str, Any]
    ramp: Tensor
    for_vae: PictureInput
    for_clip: PictureInput


class Zero123Plus:
    """Generates the six views of a picture; the same seed gives the same views."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self.device: torch.device = networks.unet.device
        self.dtype: torch.dtype = networks.unet.dtype
        self.attention = install(networks.unet)
        self.stride = 2 ** (len(networks.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def generate(
        self,
        picture: Pixels,
        sampling: Sampling,
        anchor: Anchor | None = None,
        on_step: Callable[[int], None] = lambda step: None,
    ) -> Pixels:
        """Return the grid uint8 [3 cell, 2 cell, 3] for a picture [S,S,4], straight alpha.

        An `anchor` that is recording is filled; a filled one is attended to. `on_step` is called
        with the number of steps done.
        """
        # All noise comes from the CPU, so that a seed means the same on every device.
        noise = torch.Generator("cpu").manual_seed(sampling.seed)
        rgb = on_grey(picture)
        condition = self._condition(rgb, noise)
        embeddings = self._embeddings(rgb)
        scheduler = self._scheduler(sampling.steps)
        height, width = (n * sampling.cell // self.stride for n in (GRID_ROWS, GRID_COLUMNS))
        latents = self._noise((1, condition.shape[1], height, width), noise)
        latents = latents * scheduler.init_noise_sigma
        self.attention.anchor = anchor
        for step, time in enumerate(scheduler.timesteps):
            self.attention.step = step
            sigma = float(scheduler.sigmas[step])
            noisy = condition + sigma * self._noise(tuple(condition.shape), noise)
            self._attend_to(noisy / (sigma**2 + 1) ** 0.5, time, embeddings)
            scaled = scheduler.scale_model_input(latents, time)
            predicted = self.networks.unet(torch.cat([scaled] * 2), time, embeddings).sample
            without, with_input = predicted.chunk(2)
            guided = without + sampling.guidance * (with_input - without)
            latents = scheduler.step(guided, time, latents, generator=noise).prev_sample
            on_step(step + 1)
        if anchor is not None:
            anchor.recording = False
        return self._decode(latents)

    def _scheduler(self, steps: int) -> Any:
        """Return the model's noise schedule, sampled as its authors advise."""
        from diffusers import EulerAncestralDiscreteScheduler

        with quiet_libraries():
            scheduler = EulerAncestralDiscreteScheduler.from_config(
                self.networks.scheduler, timestep_spacing="trailing"
            )
            scheduler.set_timesteps(steps, device=self.device)
        return scheduler

    def _attend_to(self, noisy_condition: Tensor, time: Tensor, embeddings: Tensor) -> None:
        """Run the network on the input, so that its layers keep what the views then read."""
        self.attention.reference.clear()
        self.attention.writing = True
        try:
            self.networks.unet(noisy_condition, time, embeddings)
        finally:
            self.attention.writing = False

    def _condition(self, rgb: Pixels, noise: torch.Generator) -> Tensor:
        """Encode the input, after nothing, for guidance: latents [2,4,h,w]."""
        picture = self.networks.for_vae(rgb).to(self.device, self.dtype)
        encoded = [
            self.networks.vae.encode(image).latent_dist.sample(generator=noise)
            for image in (picture, torch.zeros_like(picture))
        ]
        return torch.cat([encoded[1], encoded[0]])

    def _embeddings(self, rgb: Pixels) -> Tensor:
        """Return the empty prompt's tokens, without and with the input's meaning: [2,L,C]."""
        picture = self.networks.for_clip(rgb).to(self.device, self.dtype)
        meaning = self.networks.vision_encoder(picture).image_embeds[:, None]
        empty = self.networks.text_encoder(empty_prompt(self.networks.tokenizer).to(self.device))[0]
        ramp = self.networks.ramp.to(self.device, self.dtype)[:, None]
        return torch.cat([empty, empty + meaning * ramp])

    def _decode(self, latents: Tensor) -> Pixels:
        unscaled = latents / LATENT_SCALE + LATENT_SHIFT
        decoded = self.networks.vae.decode(unscaled / self.networks.vae.config.scaling_factor)
        picture = (decoded.sample / PICTURE_SCALE / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0)
        pixels: Pixels = (picture.float().cpu().numpy() * 255).round().astype(np.uint8)
        return pixels

    def _noise(self, shape: tuple[int, ...], noise: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=noise).to(self.device, self.dtype)


def on_grey(picture: Pixels) -> Pixels:
    """Lay a picture [S,S,4] over the grey that the model knows; encoded values are blended."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    laid = picture[..., :3] * alpha + GREY * (1 - alpha)
    return np.round(laid).astype(np.uint8)


def empty_prompt(tokenizer: Any) -> Tensor:
    """Return the tokens [1,L] of the prompt that says nothing."""
    tokens: Tensor = tokenizer(
        "",
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return tokens


def load_zero123plus(
    folder: DiffusersFolder, device: torch.device, half: bool | None = None
) -> Zero123Plus:
    """Load the model from a folder; None of `half` means 16 bits on a GPU and 32 on a CPU.

    Raises:
        ConfigError: a library or a component is missing, or the folder holds another model.
    """
    require_libraries(folder.model)
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPVisionModelWithProjection

    ramp = check_zero123plus(folder)
    half = device.type == "cuda" if half is None else half
    tokenizer = _load_tokenizer(folder, len(ramp))
    return Zero123Plus(
        Networks(
            unet=folder.load("unet", UNet2DConditionModel, device, half),
            vae=folder.load("vae", AutoencoderKL, device, half),
            text_encoder=folder.load("text_encoder", CLIPTextModel, device, half),
            vision_encoder=folder.load(
                "vision_encoder", CLIPVisionModelWithProjection, device, half
            ),
            tokenizer=tokenizer,
            scheduler=folder.settings("scheduler/scheduler_config.json"),
            ramp=torch.tensor(ramp),
            for_vae=PictureInput.read(folder, "feature_extractor_vae"),
            for_clip=PictureInput.read(folder, "feature_extractor_clip"),
        )
    )


def check_zero123plus(folder: DiffusersFolder) -> list[float]:
    """Check what a folder says it holds, without loading it; return the ramp of the embedding."""
    ramp = folder.index().get("ramping_coefficients")
    if not isinstance(ramp, list) or not ramp:
        raise ConfigError(
            f"{folder.path} holds another model: its model_index.json has no "
            f"ramping_coefficients, which {folder.model} needs; download {folder.url}."
        )
    folder.require(COMPONENTS)
    unet = folder.settings("unet/config.json")
    widths = {
        "unet": unet.get("cross_attention_dim"),
        "text_encoder": folder.settings("text_encoder/config.json").get("hidden_size"),
        "vision_encoder": folder.settings("vision_encoder/config.json").get("projection_dim"),
    }
    if unet.get("in_channels") != 4:
        raise ConfigError(
            f"The unet in {folder.path} takes {unet.get('in_channels')} channels, but that of "
            f"{folder.model} takes 4; download {folder.url}."
        )
    if len(set(widths.values())) > 1:
        said = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise ConfigError(
            f"The components in {folder.path} do not belong together (embeddings of {said}); "
            f"download {folder.url} again."
        )
    return [float(value) for value in ramp]


def _load_tokenizer(folder: DiffusersFolder, tokens: int) -> Any:
    from transformers import CLIPTokenizer

    place = folder.path / "tokenizer"
    try:
        with quiet_libraries():
            tokenizer = CLIPTokenizer.from_pretrained(place, local_files_only=True)
            found = empty_prompt(tokenizer).shape[1]
    # Depending on its version the library fails with errors of several kinds.
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")[:200]
        raise ConfigError(
            f"The tokenizer in {place} cannot be loaded ({reason}); download it again."
        ) from error
    if found != tokens:
        raise ConfigError(
            f"The tokenizer in {place} gives {found} tokens, but {folder.path} weighs {tokens}; "
            "download it again."
        )
    return tokenizer
