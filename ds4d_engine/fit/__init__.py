# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit a 4D asset to a dataset: `fit(dataset, config, output)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import PRESETS, FitConfig

if TYPE_CHECKING:
    from .trainer import FitResult, fit

__all__ = ["PRESETS", "FitConfig", "FitResult", "fit"]


def __getattr__(name: str) -> Any:
    """Load torch only when the fit itself is asked for, not for its settings alone."""
    if name in ("FitResult", "fit"):
        from . import trainer

        return getattr(trainer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
