# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a fit has come, and what the next step looks at."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from .config import FitConfig
from .scene import Scene


class Clock:
    """Measures a fit in steps, or in seconds of optimisation where a budget is set."""

    def __init__(self, config: FitConfig, step: int = 0, elapsed: float = 0.0) -> None:
        self.config = config
        self.step = step
        self._before = elapsed
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds of optimisation, earlier runs included."""
        return self._before + time.monotonic() - self._start

    @property
    def part(self) -> float:
        """Part of the fit that has passed, 0..1."""
        if self.config.seconds:
            return min(self.elapsed / self.config.seconds, 1.0)
        return self.step / self.config.iterations

    @property
    def done(self) -> bool:
        """Whether the budget is used up."""
        return self.part >= 1.0


class Draw(NamedTuple):
    """What one step looks at."""

    frame: int
    view: int
    background: float  # grey, 0 or 1
    moving: bool  # False while only the canonical frame is fitted


def draw(rng: np.random.Generator, scene: Scene, config: FitConfig, part: float) -> Draw:
    """Choose a frame in the current time window, one of its views and a background."""
    middle, frames = scene.middle, scene.frame_count
    moving = part >= config.static_part and frames > 1
    reach = 0
    if moving:
        span = max(config.window_part - config.static_part, 1e-9)
        reach = 1 + int((part - config.static_part) / span * (frames / 2 + 1))
    low, high = max(0, middle - reach), min(frames, middle + reach + 1)
    candidates = np.arange(low, high)
    candidates = candidates[scene.present[low:high].any(1)]
    frame = int(rng.choice(candidates)) if len(candidates) else int(rng.choice(_any_frame(scene)))
    view = int(rng.choice(np.flatnonzero(scene.present[frame])))
    background = float(rng.integers(2)) if scene.has_alpha else 0.0
    return Draw(frame, view, background, moving)


def _any_frame(scene: Scene) -> np.ndarray:
    """Frames that have a picture; a clip may lack its middle frame in every training view."""
    found = np.flatnonzero(scene.present.any(1))
    return found[np.abs(found - scene.middle).argsort()[:1]]


def decay_learning_rates(
    optimizers: list, initial: list[list[float]], config: FitConfig, part: float
) -> None:
    """Set every learning rate to its start times lr_final ** part."""
    factor = config.lr_final**part
    for optimizer, rates in zip(optimizers, initial, strict=True):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
