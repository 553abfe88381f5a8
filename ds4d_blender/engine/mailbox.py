# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine said and nobody has looked at yet."""

from __future__ import annotations

import threading
from collections import deque

from ..seam import errors, events

MOST_KEPT = 1000
_NEWEST = (events.Progress, events.Heartbeat, events.Preview)


class Mailbox:
    """Hold events between the thread that reads them and the one that looks.

    Never blocks for long and never grows without bound: of progress, heartbeats and previews the
    newest is kept, of other events the last thousand.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[type[events.Event], events.Event] = {}
        self._others: deque[events.Event] = deque(maxlen=MOST_KEPT)

    def put(self, event: events.Event) -> None:
        """Leave an event."""
        with self._lock:
            if isinstance(event, _NEWEST):
                self._newest.pop(type(event), None)  # its place is where it came last
                self._newest[type(event)] = event
            else:
                self._others.append(event)

    def put_line(self, line: bytes) -> str | None:
        """Leave a line that an engine said; return why it is no event, None when it is one."""
        try:
            event = events.from_json_line(line.decode("utf-8", "replace"))
        except errors.EngineError as error:
            return str(error)
        self.put(event)
        return None

    def take(self) -> list[events.Event]:
        """Return what was left since the last call: greetings, the newest states, then the rest.

        So a result or an error comes after everything that led to it.
        """
        with self._lock:
            newest, others = list(self._newest.values()), list(self._others)
            self._newest.clear()
            self._others.clear()
        greetings = [event for event in others if isinstance(event, events.Hello)]
        rest = [event for event in others if not isinstance(event, events.Hello)]
        return [*greetings, *newest, *rest]
