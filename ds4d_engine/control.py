# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's side of a controlled run: a program started it, listens to it and may stop it.

The conversation is in `seam.events` and `seam.commands`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from . import __version__
from .seam.commands import CONVERSATION_VERSIONS, Command, Do, command_from_json_line
from .seam.errors import EngineError
from .seam.events import Event, Heartbeat, Hello, Progress, to_json_line

HEARTBEAT_SECONDS = 2.0
START_SECONDS = 60.0
LAST_SECONDS = 8.0
"""From the end of standard input to the end of the process, whatever it is busy with."""
FAREWELL_SECONDS = 0.5
"""From the end of an abandoned run to the end of its process: its last event is said meanwhile."""
EXIT_ABANDONED = 130
_LONGEST_LINE = 1 << 16


class Cancelled(BaseException):
    """Ends a run that has nothing to keep yet; no handler of errors should take it for one."""


class Speaker:
    """Writes events to a stream, whole lines from any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def say(self, event: Event) -> None:
        """Write an event; once nobody listens any more, nothing happens."""
        line = to_json_line(event) + "\n"
        # Whoever stops listening closes our standard input too, and that ends the run.
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line)
            self._stream.flush()


class Control:
    """Hears commands and says events, with heartbeats from a thread.

    `begun` says that there is something worth keeping: from then on a cancelled run is asked by
    `should_stop`, before it ends at the next event. `leftovers` are files to remove when the
    process must end at once.
    """

    def __init__(
        self,
        incoming: int,
        outgoing: TextIO,
        *,
        last_seconds: float = LAST_SECONDS,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        """Read commands from the file descriptor `incoming`; `leave` ends the process."""
        self._incoming, self._speaker = incoming, Speaker(outgoing)
        self._last_seconds, self._leave = last_seconds, leave
        self._version: int | None = None
        self._answered, self._going = threading.Event(), threading.Event()
        self._going.set()
        self._closed, self._cancelled = threading.Event(), threading.Event()
        self._idle = False
        self._exit_code = 0
        self.begun = False
        self.leftovers: list[Path] = []

    @classmethod
    def over_standard_streams(cls) -> Control:
        """Take standard input and output for the conversation alone.

        What anything else prints goes to standard error, and programs that are started read from
        nothing.
        """
        sys.stdout.flush()
        incoming = os.dup(0)
        outgoing = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(incoming, outgoing)

    def open(self) -> None:
        """Say hello, begin to listen and to beat."""
        self.say(Hello(CONVERSATION_VERSIONS, __version__))
        for work in (self._listen, self._beat):
            threading.Thread(target=work, name=f"ds4d{work.__name__}", daemon=True).start()

    def close(self, exit_code: int = 0) -> None:
        """Stop beating; the last event can be said, and the process ends with this code."""
        self._exit_code = exit_code
        self._closed.set()

    def say(self, event: Event) -> None:
        """Say an event."""
        self._speaker.say(event)

    def wait_for_start(self, seconds: float = START_SECONDS) -> None:
        """Wait until the run may start.

        Raises:
            Cancelled: it shall not.
            EngineError: nobody says so, or asks for a version that this engine does not speak.
        """
        self._answered.wait(seconds)
        if self._cancelled.is_set():
            raise Cancelled
        if self._version is None:
            raise EngineError(
                f"Nothing told the engine to start within {seconds:g} seconds; start it again."
            )
        if self._version not in CONVERSATION_VERSIONS:
            spoken = ", ".join(map(str, CONVERSATION_VERSIONS))
            raise EngineError(
                f"The engine {__version__} speaks version {spoken} of its conversation, not "
                f"{self._version}; update the older of the two."
            )

    def listen(self, event: Progress) -> None:
        """Pass progress on; before the run has begun, also wait or end here if told to."""
        self.say(event)
        if not self.begun:
            self.wait_while_paused()
            if self._cancelled.is_set():
                raise Cancelled

    def cancel(self) -> None:
        """Stop the run soon, also if it is paused or has not started."""
        self._cancelled.set()
        self._answered.set()
        self._going.set()

    def should_stop(self) -> bool:
        """Tell whether the run was cancelled, or whoever started it is gone."""
        return self._cancelled.is_set()

    def wait_while_paused(self, keep: Callable[[], None] = lambda: None) -> float:
        """Wait as long as the run is paused, after calling `keep`; return the seconds waited."""
        if self._going.is_set():
            return 0.0
        started = time.monotonic()
        keep()
        self._idle = True
        self.say(Heartbeat(paused=True))
        self._going.wait()
        self._idle = False
        self.say(Heartbeat())
        return time.monotonic() - started

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            self.say(Heartbeat(self._idle))

    def _listen(self) -> None:
        # Not through a Python stream: a thread that waits inside one blocks the interpreter's end.
        rest = b""
        while heard := self._read():
            *lines, rest = (rest + heard).split(b"\n")
            rest = rest[:_LONGEST_LINE]
            for line in filter(bytes.strip, lines):
                self._hear(line.decode(errors="replace"))
        self._abandoned()

    def _read(self) -> bytes:
        try:
            return os.read(self._incoming, 1 << 16)
        except OSError:
            return b""

    def _hear(self, line: str) -> None:
        try:
            self._obey(command_from_json_line(line))
        except EngineError as error:
            # A log that is gone is no reason to stop listening.
            with suppress(OSError, ValueError):
                print(f"ds4d: {error}", file=sys.stderr, flush=True)

    def _obey(self, command: Command) -> None:
        if command.do is Do.START:
            self._version = command.version
            self._answered.set()
        elif command.do is Do.PAUSE:
            if not self._cancelled.is_set():
                self._going.clear()
        elif command.do is Do.CONTINUE:
            self._going.set()
        else:
            self.cancel()

    def _abandoned(self) -> None:
        """End what nobody waits for, by force if it takes too long."""
        self.cancel()
        if self._closed.wait(self._last_seconds):
            # All is written: taking the libraries down would only take time.
            time.sleep(FAREWELL_SECONDS)
            self._leave(self._exit_code)
            return
        for path in self.leftovers:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        self._leave(EXIT_ABANDONED)
