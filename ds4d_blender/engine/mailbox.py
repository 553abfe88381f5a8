# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine said and nobody has looked at yet."""

from __future__ import annotations

import re
import threading
from collections import deque
from contextlib import suppress

from ..seam import errors, events

MOST_KEPT = 1000
# Of these only the newest counts. They are told apart without decoding, so that a flood of them
# costs next to nothing.
_NEWEST = re.compile(
    rb'\{"ds4d_event": %d, "kind": "(progress|heartbeat|preview)", .*\}\s*' % events.EVENT_VERSION
)


class Mailbox:
    """Hold events between the thread that reads them and the one that looks.

    Never blocks for long and never grows without bound: of progress, heartbeats and previews the
    newest is kept, of other events the last thousand.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[bytes, bytes] = {}
        self._others: deque[events.Event] = deque(maxlen=MOST_KEPT)

    def put(self, event: events.Event) -> None:
        """Leave an event."""
        with self._lock:
            self._others.append(event)

    def put_line(self, line: bytes) -> str | None:
        """Leave a line that an engine said; return why it is no event, None when it is one."""
        found = _NEWEST.fullmatch(line)
        if found is not None:
            with self._lock:
                self._newest.pop(found[1], None)
                self._newest[found[1]] = line
            return None
        try:
            event = events.from_json_line(line.decode("utf-8", "replace"))
        except errors.EngineError as error:
            return str(error)
        self.put(event)
        return None

    def take(self) -> list[events.Event]:
        """Return what was left since the last call: greetings, the newest states, then the rest."""
        with self._lock:
            lines = list(self._newest.values())
            others = list(self._others)
            self._newest.clear()
            self._others.clear()
        taken: list[events.Event] = []
        for line in lines:
            with suppress(errors.EngineError):
                taken.append(events.from_json_line(line.decode("utf-8", "replace")))
        # A greeting comes before everything, a result or an error after everything.
        greetings = [event for event in others if isinstance(event, events.Hello)]
        rest = [event for event in others if not isinstance(event, events.Hello)]
        return [*greetings, *taken, *rest]
