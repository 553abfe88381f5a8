# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-view clips: loading, checking, and where they lie in the world."""

from .bounds import scene_bounds
from .dataset import Dataset
from .loading import load_dataset
from .qualisys import convert_qualisys

__all__ = ["Dataset", "convert_qualisys", "load_dataset", "scene_bounds"]
