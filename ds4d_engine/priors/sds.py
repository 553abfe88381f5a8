# SPDX-License-Identifier: GPL-3.0-or-later
"""Score distillation from Zero123: a gradient that makes renders look like views of a picture.

Zero123 denoises a view of an object, given a picture of it and where the camera moved. A render
from that camera is noised and denoised; the difference between the predicted and the added noise
is the gradient (DreamFusion, arXiv 2209.14988; Zero-1-to-3, arXiv 2303.11328). Schedule and weight
are STAG4D's (arXiv 2403.14939): w = 1 - alpha_bar, guidance 5, 256 pixels, noise levels drawn from
a range that moves from [0.5, 0.95] down to [0.02, 0.5].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.orbit import INPUT_RADIUS
from ..seam.cameras import Camera
from ..seam.errors import ConfigError
from ..weights import Model, resolve_weights
from .diffusers_folder import (
    DiffusersFolder,
    PictureInput,
    device_of,
    quiet_libraries,
    require_libraries,
    weights_variant,
)

ZERO123_XL = Model(
    name="Zero123-XL",
    repo_id="ashawkey/zero123-xl-diffusers",
    licence="MIT",
    url="https://huggingface.co/ashawkey/zero123-xl-diffusers",
    size="about 2.5 GB",
    files=(
        "model_index.json",
        "feature_extractor/preprocessor_config.json",
        "scheduler/scheduler_config.json",
        "clip_camera_projection/config.json",
        "clip_camera_projection/diffusion_pytorch_model.safetensors",
        "image_encoder/config.json",
        "image_encoder/model.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ),
)
COMPONENTS = ("unet", "vae", "image_encoder")
PROJECTIONS = (("clip_camera_projection", "proj"), ("cc_projection", "projection"))
"""Both layouts in use: the component's folder, and its layer's name in the file."""
CAMERA_NUMBERS = 4


@dataclass(frozen=True)
class SdsSettings:
    """How the gradient is taken; ranges are shares of the noise levels, at part 0 and at part 1."""

    guidance: float = 5.0
    size: int = 256
    """Side in pixels to which renders are scaled."""
    lowest: tuple[float, float] = (0.5, 0.02)
    highest: tuple[float, float] = (0.95, 0.5)

    def levels(self, part: float, count: int) -> tuple[int, int]:
        """Return the lowest and highest of `count` noise levels at a part 0..1 of the fit."""
        part = min(max(part, 0.0), 1.0)
        low, high = (begin + (end - begin) * part for begin, end in (self.lowest, self.highest))
        return int(low * count), min(int(high * count), count - 1)


@dataclass(frozen=True, eq=False)
class Reference:
    """What the model knows of R pictures: CLIP embeddings [R,1,C] and latents [R,4,h,w]."""

    embeddings: Tensor
    latents: Tensor

    def pick(self, indices: Sequence[int]) -> Reference:
        """Return some of the pictures, for instance one per render's frame."""
        chosen = torch.as_tensor(indices, device=self.latents.device)
        return Reference(self.embeddings[chosen], self.latents[chosen])


@dataclass(frozen=True, eq=False)
class Zero123Networks:
    """The loaded components, on one device and of one precision."""

    unet: Any
    vae: Any
    image_encoder: Any
    projection: torch.nn.Linear
    alphas: Tensor
    """Cumulative products [1000] of the noise schedule."""
    for_clip: PictureInput


class Zero123Guidance:
    """Pulls renders towards views of reference pictures."""

    def __init__(self, networks: Zero123Networks, settings: SdsSettings | None = None) -> None:
        self.networks = networks
        self.settings = settings or SdsSettings()
        self.device: torch.device = networks.unet.device
        self.dtype: torch.dtype = networks.unet.dtype

    @staticmethod
    def load(
        local: Path | None = None,
        *,
        allow_download: bool = False,
        device: str = "auto",
        settings: SdsSettings | None = None,
    ) -> Zero123Guidance:
        """Load Zero123-XL from a folder, or from the hub with consent.

        Raises:
            ConfigError: no weights, a missing library, or another model's folder.
        """
        require_libraries(ZERO123_XL.name)
        path = resolve_weights(ZERO123_XL, local, allow_download=allow_download)
        folder = DiffusersFolder(path, ZERO123_XL.name, ZERO123_XL.url)
        return Zero123Guidance(load_zero123(folder, device_of(device)), settings)

    @torch.no_grad()
    def reference(self, pictures: Tensor) -> Reference:
        """Encode reference pictures [R,3,H,H], sRGB 0..1 on white."""
        scaled = self._scaled(pictures.to(self.device)).clamp(0, 1)
        pixels = (scaled.permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype(np.uint8)
        clip = torch.cat([self.networks.for_clip(rgb) for rgb in pixels])
        embeddings = self.networks.image_encoder(clip.to(self.device, self.dtype)).image_embeds
        encoded = self.networks.vae.encode((scaled * 2 - 1).to(self.dtype)).latent_dist.mode()
        # The model was trained with the reference's latents unscaled, unlike the view's.
        return Reference(embeddings[:, None], encoded)

    def step(
        self,
        render: Tensor,
        reference: Reference,
        cameras: Tensor,
        part: float,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return a scalar whose gradient by the renders' latents is w (predicted - added noise).

        `render` [B,3,H,H] is sRGB 0..1 on white; `reference` holds one picture, or B; `cameras`
        [B,3] are azimuth and elevation in degrees and the radius, all relative to the reference's
        camera and as `orbit_camera` counts them; `part` 0..1 is how much of the fit is done. The
        value is summed over the batch, and means nothing itself. `generator` is a CPU's.
        """
        latents = self._encode(render, generator)
        count = len(self.networks.alphas)
        low, high = self.settings.levels(part, count)
        levels = torch.randint(low, high + 1, (len(latents),), generator=generator)
        noise = torch.randn(latents.shape, generator=generator).to(self.device)
        alphas = self.networks.alphas[levels].to(self.device).view(-1, 1, 1, 1)
        with torch.no_grad():
            noisy = alphas.sqrt() * latents + (1 - alphas).sqrt() * noise
            predicted = self._predict(noisy, levels.to(self.device), reference, cameras)
            gradient = torch.nan_to_num((1 - alphas) * (predicted - noise))
            target = latents - gradient
        return 0.5 * (latents - target).square().sum()

    def condition(self, reference: Reference, cameras: Tensor) -> Tensor:
        """Return what the network is told of picture and camera [B,1,C]."""
        azimuth, elevation, radius = cameras.to(self.device, torch.float32).T
        # The model counts the polar angle from the top: up is negative.
        turned = torch.stack(
            [
                torch.deg2rad(-elevation),
                torch.deg2rad(azimuth).sin(),
                torch.deg2rad(azimuth).cos(),
                radius,
            ],
            -1,
        )
        embeddings = reference.embeddings.expand(len(cameras), -1, -1)
        joined = torch.cat([embeddings, turned[:, None].to(self.dtype)], -1)
        result: Tensor = self.networks.projection(joined)
        return result

    def _predict(
        self, noisy: Tensor, levels: Tensor, reference: Reference, cameras: Tensor
    ) -> Tensor:
        """Predict the noise with guidance; without means that all conditions are zero."""
        told = self.condition(reference, cameras)
        seen = reference.latents.expand(len(noisy), -1, -1, -1)
        pair = noisy.to(self.dtype)
        inputs = torch.cat(
            [torch.cat([pair, seen], 1), torch.cat([pair, torch.zeros_like(seen)], 1)]
        )
        predicted = self.networks.unet(
            inputs, torch.cat([levels] * 2), torch.cat([told, torch.zeros_like(told)])
        ).sample.float()
        with_picture, without = predicted.chunk(2)
        guided: Tensor = without + self.settings.guidance * (with_picture - without)
        return guided

    def _encode(self, render: Tensor, generator: torch.Generator | None) -> Tensor:
        scaled = self._scaled(render.to(self.device))
        posterior = self.networks.vae.encode((scaled * 2 - 1).to(self.dtype)).latent_dist
        drawn = posterior.sample(generator=generator).float()
        latents: Tensor = drawn * self.networks.vae.config.scaling_factor
        return latents

    def _scaled(self, pictures: Tensor) -> Tensor:
        size = (self.settings.size, self.settings.size)
        return F.interpolate(pictures.float(), size, mode="bilinear", align_corners=False)


def relative_cameras(cameras: Sequence[Camera]) -> Tensor:
    """Return azimuths and elevations in degrees and radii [B,3], relative to the input camera.

    The inverse of `orbit_camera`: the cameras look at the origin, +Z up.
    """
    x, y, z = np.stack([camera.position for camera in cameras]).T
    radius = np.sqrt(x**2 + y**2 + z**2)
    found = [
        np.degrees(np.arctan2(x, -y)),
        np.degrees(np.arcsin(z / radius)),
        radius - INPUT_RADIUS,
    ]
    return torch.tensor(np.stack(found, -1), dtype=torch.float32)


def load_zero123(
    folder: DiffusersFolder, device: torch.device, half: bool | None = None
) -> Zero123Networks:
    """Load a Zero123 folder; None of `half` means 16 bits on a GPU and 32 on a CPU.

    Raises:
        ConfigError: a component is missing, damaged, or of another model.
    """
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPVisionModelWithProjection

    check_zero123(folder)
    half = device.type == "cuda" if half is None else half
    with quiet_libraries():
        scheduler = DDIMScheduler.from_config(folder.settings("scheduler/scheduler_config.json"))
    return Zero123Networks(
        unet=folder.load("unet", UNet2DConditionModel, device, half),
        vae=folder.load("vae", AutoencoderKL, device, half),
        image_encoder=folder.load("image_encoder", CLIPVisionModelWithProjection, device, half),
        projection=_load_projection(folder, device, half),
        alphas=scheduler.alphas_cumprod,
        for_clip=PictureInput.read(folder, "feature_extractor"),
    )


def check_zero123(folder: DiffusersFolder) -> None:
    """Check what a folder says it holds, without loading it."""
    folder.index()
    folder.require(COMPONENTS)
    _projection_of(folder)
    unet = folder.settings("unet/config.json")
    if unet.get("in_channels") != 8:
        raise ConfigError(
            f"The unet in {folder.path} takes {unet.get('in_channels')} channels, but that of "
            f"{folder.model} takes 8 (the view's and the reference's); download {folder.url}."
        )
    predicts = folder.settings("scheduler/scheduler_config.json").get("prediction_type", "epsilon")
    if predicts != "epsilon":
        raise ConfigError(
            f"The model in {folder.path} predicts {predicts!r}, but {folder.model} predicts noise; "
            f"download {folder.url}."
        )


def _projection_of(folder: DiffusersFolder) -> tuple[Path, str]:
    for component, layer in PROJECTIONS:
        if (folder.path / component).is_dir():
            return folder.path / component, layer
    raise ConfigError(
        f"{folder.path} has no {PROJECTIONS[0][0]}, which tells {folder.model} where the camera "
        f"is; download {folder.url}."
    )


def _load_projection(folder: DiffusersFolder, device: torch.device, half: bool) -> torch.nn.Linear:
    from safetensors.torch import load_file

    place, layer = _projection_of(folder)
    variant = weights_variant(place, half)
    name = "diffusion_pytorch_model" + (f".{variant}" if variant else "") + ".safetensors"
    try:
        tensors = load_file(place / name)
        weight, bias = tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]
        outputs, inputs = weight.shape
    # safetensors' error, a missing name or a wrong shape: the same remedy.
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")[:200]
        raise ConfigError(
            f"{place / name} cannot be read as the camera's layer ({reason}); download it again."
        ) from error
    wanted = int(folder.settings("unet/config.json").get("cross_attention_dim") or 0)
    if outputs != wanted or inputs != outputs + CAMERA_NUMBERS:
        raise ConfigError(
            f"The camera's layer in {place} is {outputs} x {inputs}, not {wanted} x "
            f"{wanted + CAMERA_NUMBERS} as the unet needs; download {folder.url} again."
        )
    linear = torch.nn.Linear(inputs, outputs)
    linear.load_state_dict({"weight": weight, "bias": bias})
    return linear.to(device, torch.float16 if half else torch.float32).requires_grad_(False)
