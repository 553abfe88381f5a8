# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie in the folder of a managed engine."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..engine.location import Engine
from ..seam import errors
from .record import NAME

OWNER = "owner.pid"
"""The file in an unfinished environment that says which process makes it."""


@dataclass(frozen=True)
class Places:
    """The folder of a managed engine; everything that belongs to one lies in it."""

    root: Path

    @property
    def engine(self) -> Path:
        """Return the environment in use."""
        return self.root / "engine"

    @property
    def part(self) -> Path:
        """Return the environment that is being made."""
        return self.root / "engine.part"

    @property
    def old(self) -> Path:
        """Return the environment that is being replaced."""
        return self.root / "engine.old"

    @property
    def cache(self) -> Path:
        """Return the folder for what the engine computes once and keeps."""
        return self.root / "engine-cache"

    @property
    def checks(self) -> Path:
        """Return the file of what checks of other engines said."""
        return self.root / "checks.json"

    @property
    def log(self) -> Path:
        """Return the log of the last installation."""
        return self.root / "install.log"

    @property
    def worker_log(self) -> Path:
        """Return the log of the process that installs, should it fail by itself."""
        return self.root / "installer.log"

    def managed(self) -> Engine:
        """Return the managed engine, whether it is there or not."""
        cache = str(self.cache)
        return Engine(
            str(python_of(self.engine)),
            environment={
                # Whatever lies in the folder Blender was started in is not the engine's.
                "PYTHONSAFEPATH": "1",
                "XDG_CACHE_HOME": cache,
                "TORCH_EXTENSIONS_DIR": str(self.cache / "torch_extensions"),
            },
        )


def python_of(environment: Path) -> Path:
    """Return a virtual environment's Python."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def packages_of(environment: Path) -> Path:
    """Return the folder of a virtual environment's packages."""
    if os.name == "nt":
        return environment / "Lib" / "site-packages"
    found = sorted((environment / "lib").glob("python*/site-packages"))
    return found[-1] if found else environment / "lib"


def swap_in(places: Places) -> None:
    """Put the finished environment into the place of the one in use."""
    clear(places.old)
    try:
        if places.engine.exists():
            os.replace(places.engine, places.old)
        os.replace(places.part, places.engine)
    except OSError as error:
        recover(places)
        raise errors.EngineError(
            f"The engine cannot be replaced ({error.strerror}): let its jobs end first, then "
            "install again."
        ) from error
    (places.engine / OWNER).unlink(missing_ok=True)
    clear(places.old)


def recover(places: Places) -> None:
    """Put the old environment back where a replacement was cut between its two steps."""
    if places.old.exists() and not places.engine.exists():
        os.replace(places.old, places.engine)


def remove(places: Places) -> None:
    """Delete everything that belongs to a managed engine; raise EngineError where that fails."""
    # Without its record it counts as damaged, should the rest of this be cut short.
    (places.engine / NAME).unlink(missing_ok=True)
    for folder in (places.part, places.old, places.engine, places.cache):
        clear(folder)
    for file in (places.log, places.worker_log, places.checks):
        file.unlink(missing_ok=True)
    left = [folder.name for folder in (places.part, places.old, places.engine) if folder.exists()]
    if left:
        raise errors.EngineError(
            f"{places.root / left[0]} cannot be deleted: let the engine's jobs end, then try again."
        )


def clear(folder: Path) -> None:
    """Delete a folder as far as that is possible."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        # With this prefix Windows deletes what has a long name, too.
        prefix = "\\\\?\\" if os.name == "nt" else ""
        shutil.rmtree(prefix + os.path.abspath(folder), ignore_errors=True)
