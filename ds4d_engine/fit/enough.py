# SPDX-License-Identifier: GPL-3.0-or-later
"""How many Gaussians the pictures can tell apart: more fit what only the training cameras see.

What needs Gaussians are edges, and those grow with the side of a picture, not with its area.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ..data import Dataset
from .config import FitConfig

LEAST = 1_000
"""Gaussians that every fit may have: motion is searched at several hundred points."""
LOOKED_AT = 8
"""Frames in which pixels are counted."""


def with_enough(config: FitConfig, dataset: Dataset) -> FitConfig:
    """Return settings with no more than `gaussians_per_side` Gaussians a pixel of side.

    Those of the start become fewer in the same proportion. One camera's clip is left as it is, as
    this was measured with several; so are nodes, whose splats are held to about a pixel in size.
    """
    alone = config.motion == "nodes" or len(dataset.train) == 1
    if alone or not config.gaussians_per_side:
        return config
    side = math.sqrt(subject_pixels(dataset))
    told = max(LEAST, round(config.gaussians_per_side * side))
    if told >= config.max_gaussians:
        return config
    first = round(config.gaussians * told / config.max_gaussians)
    return dataclasses.replace(config, gaussians=first, max_gaussians=told)


def subject_pixels(dataset: Dataset) -> float:
    """Return the covered pixels of all training cameras' pictures of one moment, on average."""
    frames = np.linspace(0, dataset.frame_count - 1, min(LOOKED_AT, dataset.frame_count))
    covered = sum(
        float(dataset.images[camera][frame, ..., 3].sum(dtype=np.int64)) / 255
        for frame in frames.round().astype(int)
        for camera in dataset.train
        if dataset.present[frame, camera]
    )
    return covered / len(frames)
