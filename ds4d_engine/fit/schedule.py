# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a fit has come, and what the next step looks at."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from .attention import Attention
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

    def leave_out(self, seconds: float) -> None:
        """Let time that was not spent on the optimisation not count."""
        self._start += seconds

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


class Window(NamedTuple):
    """The frames that a part of the fit looks at: [low, high)."""

    low: int
    high: int


def time_window(scene: Scene, config: FitConfig, part: float) -> Window:
    """Return the frames around the middle one that the fit has reached."""
    middle, frames = scene.middle, scene.frame_count
    still = part < config.static_part
    if part >= config.window_part or (still and config.static_frames == "all"):
        return Window(0, frames)
    if still or frames == 1:
        return Window(middle, middle + 1)
    span = config.window_part - config.static_part
    farthest = max(middle, frames - middle)
    reach = 1 + int((part - config.static_part) / span * (farthest + 1))
    return Window(max(0, middle - reach), min(frames, middle + reach + 1))


def draw(
    rng: np.random.Generator,
    scene: Scene,
    window: Window,
    moving: bool,
    config: FitConfig,
    attention: Attention | None = None,
) -> Draw:
    """Choose a frame of the window, one of its views and a background.

    While the window grows, its outermost frames are chosen with probability `frontier`: they are
    the ones that the motion has to find. Once it spans the clip, frames are chosen as often as
    `attention` says, or all alike. Beside generated views, the clip itself is chosen with
    probability `input_share`.
    """
    low, high = window
    growing = high - low < scene.frame_count
    if growing and moving and rng.random() < config.frontier:
        candidates = np.unique(np.clip([low, low + 1, high - 2, high - 1], low, high - 1))
    else:
        candidates = np.arange(low, high)
    candidates = candidates[scene.present[candidates].any(1)]
    if not len(candidates):
        candidates = _any_frame(scene)
    chances = None if growing or attention is None else attention.chances(candidates)
    frame = int(rng.choice(candidates, p=chances))
    views = np.flatnonzero(scene.present[frame])
    made = scene.generated[views]
    if config.input_share and made.any() and not made.all():
        views = views[made ^ (rng.random() < config.input_share)]
    background = float(rng.integers(2)) if scene.has_alpha else 0.0
    return Draw(frame, int(rng.choice(views)), background, moving)


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
