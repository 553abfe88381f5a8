# SPDX-License-Identifier: GPL-3.0-or-later
"""Differentiable Gaussian rasterisers behind one call.

Names are imported when first used: Numba takes half a second to import.
"""

from ds4d_engine.raster.interface import backends, choose_backend, rasterize
from ds4d_engine.raster.scene import Render
from ds4d_engine.raster.threads import set_threads, thread_count

__all__ = ["Render", "backends", "choose_backend", "rasterize", "set_threads", "thread_count"]
