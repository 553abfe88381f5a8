# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiler options and float32 constants of the Numba kernels.

Kernels count in `np.uint64` and calculate in `np.float32` throughout: a signed index or a
Python float would widen the arithmetic and keep the loops from being vectorised.

Compiled kernels are kept on disk, in the folder that `NUMBA_CACHE_DIR` names or beside the
sources. Numba renews them when the file of a kernel changes, not when a constant that it
takes from another file does: delete them after such an edit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

F32 = np.float32
U64 = np.uint64
ZERO = F32(0.0)
HALF = F32(0.5)
ONE = F32(1.0)
TWO = F32(2.0)

# NaN and infinity keep their meaning: a diverging fit must be seen, not optimised away.
_FASTMATH = {"contract", "reassoc", "nsz", "arcp", "afn"}
_OPTIONS: dict[str, Any] = {"fastmath": _FASTMATH, "error_model": "numpy", "boundscheck": False}

kernel = njit(nogil=True, cache=True, **_OPTIONS)
"""Decorator of a kernel called from Python: releases the GIL, cached on disk."""

inlined = njit(inline="always", **_OPTIONS)
"""Decorator of a function used inside a kernel's innermost loop."""
