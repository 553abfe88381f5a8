# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames a fit looks at more often: those that it shows worse than the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RENEWAL = 0.3
"""How much of a frame's running error its newest look makes up."""
LEAST = 1e-9
"""Errors are at least this, so that chances have a sum."""


class Attention:
    """The running errors of a clip's frames.

    The first and last frames have neighbours on one side only and are reached last: looked at as
    often as the others, they stay worst.
    """

    def __init__(self, frames: int) -> None:
        self.errors = np.full(frames, np.nan)

    def note(self, frame: int, error: float) -> None:
        """Take the error of a look at a frame into account."""
        before = self.errors[frame]
        self.errors[frame] = error if np.isnan(before) else before + RENEWAL * (error - before)

    def chances(self, frames: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the chance of each frame; those never looked at count as the worst."""
        unseen = np.isnan(self.errors)
        worst = 1.0 if unseen.all() else self.errors[~unseen].max()
        errors = np.maximum(np.where(unseen, worst, self.errors)[frames], LEAST)
        return errors / errors.sum()
