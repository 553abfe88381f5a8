# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of a fit: raw Gaussians, their optimisers, and how they become splats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from ..motion import Motion
from ..motion.knots import KnotAdam
from ..photometric import decode_srgb, encode_srgb
from ..raster import Render, rasterize
from ..spherical_harmonics import SH_C0, sh_colors
from .config import FitConfig
from .scene import View
from .start import Start

COLOR_RANGE = (0.002, 1.0)  # encoded; a decoded 0 has a gradient too small to leave it


class Splats(NamedTuple):
    """Activated Gaussians at one time."""

    means: Tensor  # [N, 3]
    quats: Tensor  # [N, 4] not normalised
    scales: Tensor  # [N, 3]
    opacities: Tensor  # [N]
    sh0: Tensor  # [N, 1, 3]


def create_parameters(start: Start, config: FitConfig, motion: Motion) -> dict[str, Parameter]:
    """Return raw parameters: log scales, opacity logits, SH, and the motion model's own."""
    count, device = len(start.means), start.means.device
    bands = (config.sh_degree + 1) ** 2 - 1
    values = {
        "means": start.means,
        "scales": start.sigmas.log()[:, None].repeat(1, 3),
        "quats": torch.nn.functional.normalize(torch.randn(count, 4), dim=-1),
        "opacities": torch.full((count,), math.log(start.opacity / (1 - start.opacity))),
        "sh0": ((start.colors - 0.5) / SH_C0)[:, None],
        "shN": torch.zeros(count, bands, 3),
    } | motion.per_gaussian(count)
    trained = set(motion.per_gaussian_lr())
    return {
        name: Parameter(
            value.to(device).clone(),
            requires_grad=value.numel() > 0 and (not name.startswith("motion_") or name in trained),
        )
        for name, value in values.items()
    }


def create_optimizers(
    parameters: Mapping[str, Parameter], config: FitConfig, motion: Motion
) -> dict[str, torch.optim.Optimizer]:
    """Return one Adam per trained tensor, as gsplat's strategies want, and one for networks."""
    rates = {
        "means": config.lr_means,
        "scales": config.lr_scales,
        "quats": config.lr_quats,
        "opacities": config.lr_opacities,
        "sh0": config.lr_colors / SH_C0,
        "shN": config.lr_colors / SH_C0 / 20,
    } | motion.per_gaussian_lr()
    return {
        name: KnotAdam([parameters[name]], lr=rate, damping=motion.knot_damping.get(name, 0.0))
        if name in motion.knot_names
        else torch.optim.Adam(
            [parameters[name]], lr=rate, eps=motion.adam_epsilons.get(name, 1e-15), fused=True
        )
        for name, rate in rates.items()
        if parameters[name].numel() > 0
    }


def activate(parameters: Mapping[str, Tensor], motion: Motion | None, time: float) -> Splats:
    """Return the Gaussians at a time; without a motion model, the canonical ones."""
    means, quats, scales = parameters["means"], parameters["quats"], parameters["scales"]
    sh0, opacities = parameters["sh0"], parameters["opacities"]
    if motion is not None:
        deltas = motion(parameters, time)
        means, quats, scales = (
            means + deltas.d_means,
            quats + deltas.d_quats,
            scales + deltas.d_scales,
        )
        sh0 = sh0 if deltas.d_sh0 is None else sh0 + deltas.d_sh0
        if deltas.d_opacities is not None:
            opacities = opacities + deltas.d_opacities
    return Splats(means, quats, scales.exp(), torch.sigmoid(opacities), sh0)


def render_view(
    parameters: Mapping[str, Tensor],
    splats: Splats,
    view: View,
    *,
    blend: str,
    backend: str,
    depth: bool = False,
) -> Render:
    """Render splats of one time from one view in the light of `blend`."""
    colors = sh_colors(splats.sh0, parameters["shN"], splats.means, view.position)
    if colors.requires_grad and (parameters["shN"].shape[1] or splats.sh0 is not parameters["sh0"]):
        colors = colors.clamp_min(0)
    if blend == "linear":
        colors = decode_srgb(colors)
    return rasterize(
        *splats[:4],
        colors,
        view.viewmat,
        view.K,
        view.width,
        view.height,
        backend=backend,
        depth=depth,
    )


def composite(render: Render, background: float, blend: str) -> Tensor:
    """Return a render [H, W, 3] over a grey 0 or 1, encoded, 0..1."""
    image = render.colors + (1 - render.alphas)[..., None] * background
    return (encode_srgb(image) if blend == "linear" else image).clamp(0, 1)


def clamp_colors(parameters: Mapping[str, Tensor]) -> None:
    """Keep degree-0 colours displayable, where decoding has a useful gradient."""
    low, high = ((value - 0.5) / SH_C0 for value in COLOR_RANGE)
    parameters["sh0"].clamp_(low, high)
