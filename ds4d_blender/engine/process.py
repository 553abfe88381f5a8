# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the engine as a child process; nothing here ever makes the caller wait."""

from __future__ import annotations

import math
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..seam import commands, events
from . import family
from .location import Engine
from .mailbox import Mailbox

LONGEST_LINE = 1 << 20
MOST_LOGGED = 1 << 20  # bytes of what is no event
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Patience:
    """Seconds that each way of stopping is given before the next, harsher one."""

    asked: float = 120.0
    """After CANCEL: the engine writes what there is."""
    closed: float = 12.0
    """After its standard input was closed."""
    terminated: float = 5.0
    """After the request to terminate; then it is killed."""


class EngineProcess:
    """A child process in a group of its own, what it says, and what it is told.

    Threads start it, read it, write to it and see it off; the methods only look and leave word.

    Args:
        engine: which engine, or the words of any other command that speaks the same lines.
        words: the words after `ds4d`, or after the command.
        log: file that gets its standard error and whatever it says that is no event.
        stray: told each line that is no event, on the reading thread.
    """

    def __init__(
        self,
        engine: Engine | Sequence[str],
        words: Sequence[str],
        log: Path,
        *,
        patience: Patience = Patience(),  # frozen
        stray: Callable[[bytes], None] | None = None,
    ) -> None:
        if isinstance(engine, Engine):
            self._command, self._variables = engine.command(*words), engine.variables()
        else:
            self._command = [*engine, *words]
            self._variables = Engine("").variables()
        self.log = Path(log)
        self.patience = patience
        self.exit_code: int | None = None
        """None while it runs; minus the signal's number where a signal ended it."""
        self.pid = 0
        """The process's number, 0 until it has one."""
        self.stray_line = ""
        """The first line that was no event."""
        self.complaint = ""
        """Why that line is none, as a sentence."""
        self._stray = stray
        self._stray_bytes = 0
        self._mail = Mailbox()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._heard = time.monotonic()
        self._stopping = math.inf  # when the present way of stopping began
        self._harshness = 0
        self._awake = threading.Event()
        self._ended = threading.Event()
        threading.Thread(target=self._live, name="ds4d-engine", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Tell whether it runs, or was not read to its end yet."""
        return not self._ended.is_set()

    @property
    def stopping(self) -> bool:
        """Tell whether it was asked to end."""
        return self._harshness > 0

    @property
    def silent_seconds(self) -> float:
        """Return how long no event has come."""
        return time.monotonic() - self._heard

    def poll(self) -> list[events.Event]:
        """Return what it said since the last call; at once."""
        return self._mail.take()

    def say(self, command: commands.Command) -> None:
        """Tell it something; at once, whether it listens or not."""
        self._outbox.put(commands.command_to_json_line(command).encode() + b"\n")

    def stop(self) -> None:
        """Ask it to end soon with what there is; harsher means follow as `patience` says."""
        if self._harshness == 0:
            self.say(commands.Command(commands.Do.CANCEL))
            self._harsher()

    def release(self) -> None:
        """Close its standard input: it ends by itself, as if whoever started it were gone."""
        if self._harshness < 2:
            self._harshness = 1
            self._outbox.put(None)
            self._harsher()

    def kill(self) -> None:
        """End it now, with all that it started."""
        self._harshness = 3
        self._stopping = -math.inf
        self._awake.set()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, at most so long; return whether it has."""
        return self._ended.wait(seconds)

    def _harsher(self) -> None:
        self._harshness += 1
        self._stopping = time.monotonic()
        self._awake.set()

    def _live(self) -> None:
        """Start it, and look after it until it is gone."""
        try:
            with self._open_log() as log:
                child = family.launch(self._command, self._variables, log)
        except (OSError, ValueError) as error:
            self._mail.put(events.Failure(_no_start(self._command[0], error), "EngineMissing"))
            self.exit_code = 127
            self._ended.set()
            return
        self.pid = child.pid
        assert child.stdin is not None and child.stdout is not None
        reader = threading.Thread(target=self._read, args=(child.stdout,), daemon=True)
        writer = threading.Thread(target=self._write, args=(child.stdin,), daemon=True)
        reader.start()
        writer.start()
        while not family.has_ended(child):
            self._press(child)
            self._awake.wait(LOOK_SECONDS)
            self._awake.clear()
        family.end(child, "kill")  # what it left behind
        code = child.wait()
        self._outbox.put(None)
        # Something that left its group may hold the pipe for ever.
        reader.join(1.0)
        self.exit_code = code
        self._ended.set()

    def _open_log(self) -> BinaryIO:
        """Open the log; where none can be written, the run goes on without one."""
        try:
            return open(self.log, "ab")
        except OSError:
            return open(os.devnull, "ab")

    def _press(self, child: subprocess.Popen[bytes]) -> None:
        """Go on to the next way of stopping where the present one had its time."""
        waited = time.monotonic() - self._stopping
        patience = (math.inf, self.patience.asked, self.patience.closed, self.patience.terminated)
        if self._harshness == 0 or waited < patience[min(self._harshness, 3)]:
            return
        if self._harshness == 1:
            self._outbox.put(None)
        else:
            family.end(child, "terminate" if self._harshness == 2 else "kill")
        self._harsher()

    def _read(self, stdout: BinaryIO) -> None:
        with stdout, suppress(OSError, ValueError):
            while line := stdout.readline(LONGEST_LINE):
                complaint = self._mail.put_line(line)
                if complaint is None:
                    self._heard = time.monotonic()
                    continue
                if not self.complaint:
                    self.stray_line = line.decode("utf-8", "replace").strip()[:200]
                    self.complaint = complaint
                self._keep(line)

    def _keep(self, line: bytes) -> None:
        if self._stray is not None:
            self._stray(line)
            return
        self._stray_bytes += len(line)
        if self._stray_bytes <= MOST_LOGGED:
            with suppress(OSError), open(self.log, "ab") as log:
                log.write(line)

    def _write(self, stdin: BinaryIO) -> None:
        with suppress(OSError, ValueError):
            while (line := self._outbox.get()) is not None:
                stdin.write(line)
                stdin.flush()
        with suppress(OSError):
            stdin.close()


def _no_start(program: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        why = f"there is no {program}"
    elif isinstance(error, PermissionError):
        why = f"{program} may not be run"
    else:
        why = f"{program}: {getattr(error, 'strerror', None) or error}"
    return f"The engine cannot be started, {why}; choose or install it in the add-on's preferences."
