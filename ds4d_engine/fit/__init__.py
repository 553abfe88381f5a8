# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit a 4D asset to a dataset: `fit(dataset, config, output)`."""

from .config import PRESETS, FitConfig
from .trainer import FitResult, fit

__all__ = ["PRESETS", "FitConfig", "FitResult", "fit"]
