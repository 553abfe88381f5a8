# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be looked at between two steps of a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .losses import Losses
from .schedule import Window


class Moment(NamedTuple):
    """A fit between two steps; whoever looks must leave everything as it is."""

    losses: Losses  # with the scene, the state and the settings
    window: Window  # frames that the fit has reached
    moving: bool  # False while only the canonical frame is fitted
    psnr: float  # dB, of the last steps; NaN before the first
    keep: Callable[[], None]  # writes the checkpoint


Visitor = Callable[[Moment], float]
"""Is called before every step; returns the seconds for which it made the fit wait."""


def hurry_on(moment: Moment) -> float:
    """Look at nothing."""
    return 0.0
