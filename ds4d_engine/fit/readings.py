# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of a fit's steps, fetched from their device without making it wait."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


class Readings:
    """Pass on scalars: from main memory at once, from another device many together.

    Reading one number makes the host wait until the device has done all that was asked of it, and
    the device then waits for the host: with one a step, both would stand still half of the time.
    """

    def __init__(self, receive: Callable[[int, float], None], together: int) -> None:
        """Call `receive(label, value)` for every scalar, in order, up to `together` late."""
        self.receive, self.together = receive, together
        self.last = math.nan
        self._waiting: list[tuple[int, Tensor]] = []

    def add(self, label: int, value: Tensor) -> None:
        """Take a scalar, which needs no gradient."""
        self._waiting.append((label, value))
        if value.device.type == "cpu" or len(self._waiting) >= self.together:
            self.fetch()

    def fetch(self) -> None:
        """Pass on what has not arrived yet."""
        waiting, self._waiting = self._waiting, []
        values = torch.stack([value for _, value in waiting]).tolist() if waiting else []
        for (label, _), value in zip(waiting, values, strict=True):
            self.last = value
            self.receive(label, value)
