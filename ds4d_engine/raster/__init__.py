# SPDX-License-Identifier: GPL-3.0-or-later
"""Differentiable Gaussian rasterisers behind one call.

Numba and gsplat are imported when first used.
"""

from ds4d_engine.raster.interface import backends, choose_backend, rasterize
from ds4d_engine.raster.scene import Render
from ds4d_engine.raster.threads import set_threads, thread_count
from ds4d_engine.raster.warmup import warm_up

__all__ = [
    "Render",
    "backends",
    "choose_backend",
    "rasterize",
    "set_threads",
    "thread_count",
    "warm_up",
]
