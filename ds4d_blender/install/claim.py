# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the unfinished environment is: two Blenders must not build in one place."""

from __future__ import annotations

import os
from pathlib import Path

from ..seam import errors
from .places import OWNER, Places, clear, recover


def claim(places: Places) -> None:
    """Make the folder to build in, and say whose it is; clear what a dead process left there.

    Raises:
        EngineError: another Blender is building there.
    """
    if _is_taken(places):
        raise errors.EngineError("Another Blender is installing the engine: wait until it is done.")
    clear(places.part)
    places.part.mkdir()
    _owner(places).write_text(str(os.getpid()), encoding="utf-8")


def clear_up(places: Places) -> None:
    """Put right what an installation left that was killed; leave alone one that goes on."""
    if _is_taken(places):
        return
    recover(places)
    for folder in (places.part, places.old):
        clear(folder)


def _owner(places: Places) -> Path:
    return places.part / OWNER


def _is_taken(places: Places) -> bool:
    try:
        number = int(_owner(places).read_text(encoding="utf-8"))
        if number == os.getpid():
            return False
        if os.name == "nt":  # there, signal 0 would end it
            return _runs_on_windows(number)
        os.kill(number, 0)
    except (OSError, ValueError):
        return False
    return True


def _runs_on_windows(number: int) -> bool:
    import ctypes

    limited_information, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(limited_information, False, number)
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == still_active
