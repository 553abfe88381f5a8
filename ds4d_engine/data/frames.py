# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the pictures of a dataset are kept: in main memory, or in a file beyond a budget."""

from __future__ import annotations

import math
import mmap
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..cache import user_cache
from ..seam.errors import DatasetError
from .dataset import Pixels

SHARE = 0.5
"""Part of the budget that pictures may take; the other half is for what is made of them."""


class FramesInFile(np.ndarray):
    """Pictures uint8 [T,H,W,4] in a file without a name, which goes when nobody uses it any more.

    An array like any other, but whenever it is indexed, what was looked at before leaves main
    memory: one frame, or one slice, is there at a time.
    """

    mapping: mmap.mmap | None = None

    def __new__(cls, shape: tuple[int, int, int, int], folder: Path) -> FramesInFile:
        """Return zeros; what was never written takes no space on most file systems."""
        with tempfile.TemporaryFile(prefix="ds4d-pictures-", dir=folder) as file:
            file.truncate(math.prod(shape))
            mapping = mmap.mmap(file.fileno(), 0)
        frames = np.frombuffer(mapping, np.uint8).reshape(shape).view(cls)
        frames.mapping = mapping
        return frames

    def __array_finalize__(self, source: Any) -> None:
        self.mapping = getattr(source, "mapping", None)

    def __getitem__(self, index: Any) -> Any:
        self._let_go()
        return np.asarray(super().__getitem__(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        self._let_go()

    def _let_go(self) -> None:
        # Windows has no such call, and takes pages back by itself.
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)


def empty_pictures(
    shapes: Sequence[tuple[int, int, int, int]],
    needed: int,
    budget: int | None,
    folder: Path | None = None,
) -> list[Pixels]:
    """Return black, transparent pictures of each shape [T,H,W,4].

    Args:
        needed: bytes that will be written; zeros that nobody touches cost nothing.
        budget: bytes of main memory for pictures and what is made of them; None: no limit.
        folder: where files lie, by default the user's cache, which is on a disk.

    Raises:
        DatasetError: the pictures fit neither into the budget nor on the disk.
    """
    if budget is None or needed <= budget * SHARE:
        return [np.zeros(shape, np.uint8) for shape in shapes]
    folder = user_cache("pictures") if folder is None else folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free >= needed:
            return [FramesInFile(shape, folder) for shape in shapes]
    except OSError as error:
        raise DatasetError(
            f"Pictures of {needed / 1e9:.1f} GB go beyond picture_memory, but {folder} cannot hold "
            f"them ({error.strerror or error}); raise picture_memory."
        ) from error
    raise DatasetError(
        f"Pictures of {needed / 1e9:.1f} GB go beyond picture_memory, but only {free / 1e9:.1f} GB "
        f"are free in {folder}; free some, raise picture_memory, or give max_side or stride."
    )
