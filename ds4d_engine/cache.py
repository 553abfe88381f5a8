# SPDX-License-Identifier: GPL-3.0-or-later
"""Where what was computed once is kept for later runs."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(kind: str) -> Path:
    """Return the user's folder for one kind of things, such as "views"; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "ds4d" / kind
