# SPDX-License-Identifier: GPL-3.0-or-later
"""Exchange the engine alone where its packages are the same: at once, and without network."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from ..seam import errors
from .places import Places, python_of
from .record import Record, read_record


def checksum(file: Path) -> str:
    """Return the checksum of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def version_of(wheel: Path) -> str:
    """Return the version that a wheel's name states."""
    return wheel.name.split("-")[1]


def renewable(places: Places, wheel: Path, constraints: Path) -> Record | None:
    """Return the record of an engine that differs from the wheel in nothing but its version.

    None where there is no such engine, or where it may be damaged.
    """
    try:
        record = read_record(places.engine)
        same = record.constraints == checksum(constraints)
        sound = os.path.getsize(record.base) == record.base_bytes
    except (errors.EngineError, OSError):
        return None
    other = record.engine != version_of(wheel)
    return record if same and sound and other and python_of(places.engine).exists() else None


def copy_environment(places: Places) -> None:
    """Fill the new environment with the files of the one in use, without copying any byte.

    Packages are replaced by deleting and writing files, never by writing into them, so that the
    one in use stays as it is.

    Raises:
        OSError: the disk cannot give a file two names.
    """
    shutil.copytree(
        places.engine, places.part, symlinks=True, copy_function=os.link, dirs_exist_ok=True
    )
    # This one is written into.
    (places.part / "engine.json").unlink()
