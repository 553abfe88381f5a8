# SPDX-License-Identifier: GPL-3.0-or-later
"""A Blender's claim on its jobs, held by the system exactly as long as that Blender lives.

Several Blenders share one folder of jobs. None of them may take the others' running jobs for ones
that were left behind.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


class Seat:
    """A locked file in the folder of jobs; its name marks the jobs of this Blender."""

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex
        self._path = seat_path(folder, self.name)
        self._file: BinaryIO | None = None
        # A folder that cannot be written to or locked leaves the jobs without a claim.
        with suppress(OSError):
            self._file = open(self._path, "wb")  # noqa: SIM115  # open as long as this lives
            _lock(self._file)

    def leave(self) -> None:
        """Give the claim up."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
                self._path.unlink(missing_ok=True)
            self._file = None


def is_taken(folder: Path, name: str) -> bool:
    """Tell whether the Blender of a seat still lives; clear a seat away that nobody holds."""
    path = seat_path(folder, name)
    if not name.isalnum() or not path.exists():
        return False
    try:
        with open(path, "r+b") as file:
            _lock(file)
    except OSError:
        return path.exists()
    with suppress(OSError):
        path.unlink(missing_ok=True)
    return False


def seat_path(folder: Path, name: str) -> Path:
    """Return the file of a seat."""
    return folder / f"{name}.seat"


def _lock(file: BinaryIO) -> None:
    """Lock a file for this process; raise OSError when another has it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
