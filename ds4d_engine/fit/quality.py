# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a fit shows its source at the moment, for whoever watches it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..raster import Render
from .readings import Readings
from .splats import composite

EVERY = 5
"""Steps from one comparison to the next: it costs about a fiftieth of a step."""
MEMORY = 40
"""Comparisons that the running mean spans: the last two hundred steps weigh most."""
TOGETHER = 5
"""Comparisons that are fetched together from a device."""


class Quality:
    """The PSNR of the pictures that the last steps looked at.

    Squared errors are averaged, not decibels, as `ds4d evaluate` pools them. The mean is
    exponential, so that it is steady although every step looks at another frame and view; the
    first comparisons count alike, so that it means something from the first step on.
    """

    def __init__(self, blend: str) -> None:
        self.blend = blend
        self.count = 0
        self.mean = math.nan
        self._errors = Readings(self._take, TOGETHER)

    @property
    def psnr(self) -> float:
        """Decibels; NaN before the first comparison."""
        return -10 * math.log10(max(self.mean, 1e-10)) if self.count else math.nan

    @torch.no_grad()
    def note(self, step: int, render: Render, target: Tensor, background: float) -> None:
        """Compare a step's render with its target [H, W, 3], encoded, over the background."""
        if step % EVERY:
            return
        image = composite(render, background, self.blend)
        self._errors.add(step, (image - target).square().mean())

    def _take(self, step: int, error: float) -> None:
        self.count += 1
        weight = 1 / min(self.count, MEMORY)
        self.mean = error if self.count == 1 else self.mean + weight * (error - self.mean)
