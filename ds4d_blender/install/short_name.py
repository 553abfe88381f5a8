# SPDX-License-Identifier: GPL-3.0-or-later
"""Another, shorter name for a folder, where a system refuses long ones.

Windows, as it comes, opens no file whose name with all its folders has 260 letters or more. The
user's folder for extensions takes half of that, and torch has files that take more than the rest.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST_NAME = 259 if os.name == "nt" else 1 << 20
LONGEST_INSIDE = 200
"""Letters that a package's file may have below the environment."""


@contextmanager
def short_name(folder: Path) -> Iterator[Path]:
    """Give a folder a second name for a while, if its own would be too long for what goes in.

    Files that cannot be opened under the folder's own name are deleted at the end: they are
    licences and headers, and nobody could ever delete them by that name.
    """
    if len(str(folder)) + LONGEST_INSIDE <= LONGEST_NAME:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="ds4d") as place:
        name = Path(place) / "e"
        _link(folder, name)
        try:
            yield name
        finally:
            _drop_unreachable(name, len(str(folder)) - len(str(name)))
            _unlink(name)


def _link(folder: Path, name: Path) -> None:
    if os.name == "nt":
        import _winapi  # a junction, unlike a link, needs no administrator

        _winapi.CreateJunction(str(folder), str(name))
    else:
        name.symlink_to(folder, target_is_directory=True)


def _unlink(name: Path) -> None:
    with suppress(OSError):
        if os.name == "nt":
            os.rmdir(name)
        else:
            name.unlink()


def _drop_unreachable(name: Path, longer: int) -> None:
    for base, _, files in os.walk(name):
        for file in files:
            path = os.path.join(base, file)
            if len(path) + longer > LONGEST_NAME:
                os.remove(path)
