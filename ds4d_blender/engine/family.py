# SPDX-License-Identifier: GPL-3.0-or-later
"""A process and all that it starts: begun as one group, ended as one group."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO

NICENESS = 5  # Blender's window comes first


def launch(
    command: Sequence[str], variables: Mapping[str, str], log: BinaryIO
) -> subprocess.Popen[bytes]:
    """Start a command in a group of its own, with pipes to its input and output.

    Its standard error goes to the open file, so that it can still say there what happened when
    this process is gone. Raises OSError when it cannot be started.
    """
    windows = os.name == "nt"
    flags = 0
    if windows:
        flags = (
            subprocess.CREATE_NEW_PROCESS_GROUP
            | subprocess.CREATE_NO_WINDOW
            | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        )
    child = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=dict(variables),
        creationflags=flags,
        start_new_session=not windows,
    )
    if not windows:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)
    return child


def has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Tell whether the process has ended.

    Where the system can, it is not yet reaped then: its number still names its group, so that
    `end` cannot hit a stranger.
    """
    if not hasattr(os, "waitid"):
        return child.poll() is not None
    try:
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def end(child: subprocess.Popen[bytes], how: str) -> None:
    """End the process and everything in its group; `how` is "terminate" or "kill"."""
    if os.name == "nt":
        if child.poll() is None:
            command = ["taskkill", "/T", "/F", "/PID", str(child.pid)]
            with suppress(OSError):
                subprocess.run(command, capture_output=True, check=False)
        return
    number = signal.SIGTERM if how == "terminate" else signal.SIGKILL
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
