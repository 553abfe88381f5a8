# SPDX-License-Identifier: GPL-3.0-or-later
"""LPIPS: a learned perceptual distance between pictures, as a loss and as a measure.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
CVPR 2018, version 0.1. The weights are the user's (docs/priors.md says how to convert them): the
convolutions of torchvision's vgg16 or alexnet under their own names, `features.N.weight` [O,I,k,k]
and `features.N.bias` [O], and the learned weights of the channels, `lin0.model.1.weight` to
`lin4.model.1.weight` [1,O,1,1]. Other tensors in the files are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..seam.errors import ConfigError

MEAN, DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of pictures in -1..1, as LPIPS scales them."""
SMALLEST_SIDE = 32
"""Below this the deepest layers have no pixel left."""


@dataclass(frozen=True)
class Convolution:
    """One layer of torchvision's `features`, followed by a ReLU."""

    index: int
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Backbone:
    """Convolutions in five stages; the distance compares what each stage puts out."""

    name: str
    pooling: int
    """Side of the maximum's window, moved by 2 pixels."""
    pooled: tuple[int, ...]
    """Stages that start with pooling."""
    stages: tuple[tuple[Convolution, ...], ...]


def _vgg_stage(first: int, inputs: int, outputs: int, count: int) -> tuple[Convolution, ...]:
    return tuple(
        Convolution(first + 2 * place, outputs if place else inputs, outputs)
        for place in range(count)
    )


VGG = Backbone(
    name="vgg16",
    pooling=2,
    pooled=(1, 2, 3, 4),
    stages=(
        _vgg_stage(0, 3, 64, 2),
        _vgg_stage(5, 64, 128, 2),
        _vgg_stage(10, 128, 256, 3),
        _vgg_stage(17, 256, 512, 3),
        _vgg_stage(24, 512, 512, 3),
    ),
)
ALEXNET = Backbone(
    name="alexnet",
    pooling=3,
    pooled=(1, 2),
    stages=(
        (Convolution(0, 3, 64, kernel=11, stride=4, padding=2),),
        (Convolution(3, 64, 192, kernel=5, padding=2),),
        (Convolution(6, 192, 384),),
        (Convolution(8, 384, 256),),
        (Convolution(10, 256, 256),),
    ),
)


class Lpips(nn.Module):
    """Measure how different pictures look, 0 for equal ones; differentiable, nothing trained."""

    def __init__(self, weights: Path) -> None:
        """Read `weights`: a safetensors file, or a folder whose safetensors files hold it all.

        Raises ConfigError when they hold neither a VGG16's nor an AlexNet's LPIPS.
        """
        super().__init__()
        tensors = read_tensors(weights)
        backbone = recognise(tensors, weights)
        self.name = f"lpips-{backbone.name}"
        self.stages = nn.ModuleList(
            _stage(backbone, number, tensors, weights) for number in range(len(backbone.stages))
        )
        for number, stage in enumerate(backbone.stages):
            lin = _tensor(
                tensors, f"lin{number}.model.1.weight", (1, stage[-1].outputs, 1, 1), weights
            )
            self.register_buffer(f"lin{number}", lin.view(1, -1, 1, 1))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor, references: Tensor) -> Tensor:
        """Return the distances [B] of sRGB images [B, 3, H, W] in 0..1; gradients reach both.

        Raises ConfigError for pictures smaller than 32 pixels.
        """
        if min(images.shape[2:]) < SMALLEST_SIDE:
            raise ConfigError(
                f"LPIPS needs pictures of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, not "
                f"{images.shape[3]} x {images.shape[2]}; fit at a larger size or without it."
            )
        distance = images.new_zeros(len(images))
        pairs = zip(self._features(images), self._features(references), strict=True)
        for number, (found, wanted) in enumerate(pairs):
            difference = (_unit(found) - _unit(wanted)).square()
            distance = distance + (difference * self.get_buffer(f"lin{number}")).sum(1).mean((1, 2))
        return distance

    @torch.no_grad()
    def measure(self, image: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
        """Return the distance of two sRGB images [H, W, 3] in 0..1; NaN where one is too small."""
        if min(image.shape[:2]) < SMALLEST_SIDE:
            return float("nan")
        device = self.get_buffer("mean").device

        def batch(pixels: NDArray[np.float32]) -> Tensor:
            tensor = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))
            return tensor.permute(2, 0, 1)[None].to(device)

        return float(self(batch(image), batch(reference)))

    def _features(self, images: Tensor) -> Iterator[Tensor]:
        hidden = (2 * images - 1 - self.get_buffer("mean")) / self.get_buffer("deviation")
        for stage in self.stages:
            hidden = stage(hidden)
            yield hidden


def read_tensors(weights: Path) -> dict[str, Tensor]:
    """Read the named tensors of a safetensors file or of all those in a folder, as float32.

    Raises ConfigError when there are none or a file is damaged. Pickles are never loaded.
    """
    files = sorted(weights.glob("*.safetensors")) if weights.is_dir() else [weights]
    remedy = "convert the published weights as docs/priors.md says"
    if not files:
        raise ConfigError(f"{weights} holds no safetensors file for LPIPS; {remedy}.")
    tensors = {}
    for file in files:
        if file.suffix != ".safetensors":
            raise ConfigError(
                f"{file} is no safetensors file, and nothing else is loaded as LPIPS; {remedy}."
            )
        try:
            with safe_open(file, "pt") as content:
                for name in content.keys():  # noqa: SIM118  (it is no dict)
                    if name.startswith(("features.", "lin")):
                        tensors[name] = content.get_tensor(name).float()
        except FileNotFoundError:
            raise ConfigError(f"There are no LPIPS weights {file}; check the path.") from None
        except (SafetensorError, OSError) as error:
            raise ConfigError(
                f"The LPIPS weights {file} are damaged ({error}); {remedy}."
            ) from None
    return tensors


def recognise(tensors: dict[str, Tensor], weights: Path) -> Backbone:
    """Tell by its first convolution which network `tensors` belong to."""
    first = tensors.get("features.0.weight")
    for backbone in (VGG, ALEXNET):
        if first is not None and tuple(first.shape) == _shape(backbone.stages[0][0]):
            return backbone
    raise ConfigError(
        f"{weights} holds neither a VGG16 nor an AlexNet for LPIPS: the first convolution, "
        "features.0.weight, is missing or has another shape; convert the weights as "
        "docs/priors.md says."
    )


def _stage(
    backbone: Backbone, number: int, tensors: dict[str, Tensor], weights: Path
) -> nn.Sequential:
    layers: list[nn.Module] = []
    if number in backbone.pooled:
        layers.append(nn.MaxPool2d(backbone.pooling, 2))
    for layer in backbone.stages[number]:
        name = f"features.{layer.index}"
        convolution = nn.utils.skip_init(
            nn.Conv2d, layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding
        )
        kernel = _tensor(tensors, f"{name}.weight", _shape(layer), weights)
        bias = _tensor(tensors, f"{name}.bias", (layer.outputs,), weights)
        convolution.load_state_dict({"weight": kernel, "bias": bias})
        layers += [convolution, nn.ReLU()]
    return nn.Sequential(*layers)


def _shape(layer: Convolution) -> tuple[int, ...]:
    return (layer.outputs, layer.inputs, layer.kernel, layer.kernel)


def _tensor(tensors: dict[str, Tensor], name: str, shape: tuple[int, ...], weights: Path) -> Tensor:
    found = tensors.get(name)
    if found is None or tuple(found.shape) != shape:
        state = "lack" if found is None else f"have a {list(found.shape)} tensor in place of"
        raise ConfigError(
            f"The LPIPS weights {weights} {state} {name} {list(shape)}; convert them as "
            "docs/priors.md says."
        )
    return found


def _unit(features: Tensor) -> Tensor:
    # Inside the root, epsilon keeps the gradient finite where all channels are zero.
    return features / (features.square().sum(1, keepdim=True) + 1e-8).sqrt()
