# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be looked at while a fit goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .config import FitConfig
from .losses import Losses
from .scene import Scene
from .schedule import Window
from .start import Start


class Moment(NamedTuple):
    """A fit between two steps; whoever looks must leave everything as it is."""

    losses: Losses  # with the scene, the state and the settings
    window: Window  # frames that the fit has reached
    moving: bool  # False while only the canonical frame is fitted
    psnr: float  # dB, of the last steps; NaN before the first
    keep: Callable[[], None]  # writes the checkpoint


class Visitor:
    """Looks at a fit; this one passes by."""

    def begin(self, scene: Scene, start: Start, config: FitConfig) -> None:
        """Look at what the fit starts from; its motion has still to be prepared."""

    def visit(self, moment: Moment) -> float:
        """Look before every step; return the seconds for which the fit was made to wait."""
        return 0.0
