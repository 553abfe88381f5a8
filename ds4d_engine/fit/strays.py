# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians that drifted away from every surface: specks that other cameras would see."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import Parameter

from ..motion.nodes import NodeMotion
from .scene import Scene
from .splats import activate

FRAMES = 16
"""At most so many frames, spread over the clip, are looked at."""
CLOSE = 3.0
"""Pixels within which a surface has more Gaussians."""
COMPANY = 6
"""So many others, at the least; a surface one pixel dense has about thirty."""
FAINTEST = 0.05
"""Below this opacity a Gaussian is no company, and no speck."""
SHARE = 0.25
"""Of the frames in which a Gaussian shows, it may be alone in no more than this."""


@torch.no_grad()
def without_strays(
    parameters: Mapping[str, Parameter], motion: NodeMotion, scene: Scene
) -> dict[str, Parameter]:
    """Return the parameters without Gaussians that are alone in too many frames, or never shown."""
    count = len(parameters["means"])
    alone, shown = np.zeros(count), np.zeros(count)
    for frame in np.unique(np.linspace(0, scene.frame_count - 1, FRAMES).round().astype(int)):
        splats = activate(parameters, motion, float(scene.times[frame]))
        there = (splats.opacities > FAINTEST).cpu().numpy()
        places = splats.means.cpu().numpy()[there]
        company = cKDTree(places).query_ball_point(places, CLOSE * motion.pixel, return_length=True)
        shown += there
        alone[there] += company - 1 < COMPANY
    kept = torch.from_numpy((shown > 0) & (alone <= SHARE * shown))
    if not kept.any():
        return dict(parameters)
    return {name: _rows(value, kept.to(value.device)) for name, value in parameters.items()}


def _rows(value: Tensor, kept: Tensor) -> Parameter:
    return Parameter(value.detach()[kept], requires_grad=value.requires_grad)
