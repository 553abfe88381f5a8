# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that an installation waits for, and can give up."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..seam import errors

LOOK_SECONDS = 0.2
LAST_LINES = 400


def no_look(_printed: bytes) -> None:
    """Look at nothing."""


class Cancelled(Exception):
    """The person does not want it any more, or is gone."""


def run(
    command: Sequence[str],
    variables: Mapping[str, str],
    log: Path,
    *,
    cancelled: Callable[[], bool],
    look: Callable[[bytes], None] = no_look,
) -> tuple[int, str]:
    """Run a command to its end; return its exit code and what it printed on standard output.

    ``look`` is given what it printed so far about five times a second. Standard error goes to the
    log. The command stays in this process's group: whatever ends the group ends it too.

    Raises:
        Cancelled: as soon as ``cancelled`` says so; the command has ended by then.
        EngineError: it cannot be started.
    """
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    with open(log, "ab") as stderr:
        stderr.write(f"$ {' '.join(command)}\n".encode())
        stderr.flush()
        try:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(variables),
                creationflags=flags,
            )
        except OSError as error:
            raise errors.EngineError(
                f"{command[0]} cannot be started ({error.strerror}): look at the log."
            ) from error
    printed = bytearray()
    reader = threading.Thread(target=_drain, args=(child, printed), daemon=True)
    reader.start()
    try:
        while not _ended(child):
            if cancelled():
                raise Cancelled
            look(bytes(printed))
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        reader.join(5.0)
    text = printed.decode("utf-8", "replace")
    with open(log, "a", encoding="utf-8") as file:
        file.write("".join(text.splitlines(keepends=True)[-LAST_LINES:]))
    return child.returncode, text


def _ended(child: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        child.wait(LOOK_SECONDS)
    return child.returncode is not None


def _drain(child: subprocess.Popen[bytes], into: bytearray) -> None:
    assert child.stdout is not None
    with child.stdout as stdout, suppress(OSError, ValueError):
        while chunk := stdout.read1(1 << 16):
            into += chunk
