# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program may tell a running engine over its standard input, one JSON line each.

A controlled run begins with the engine's `events.Hello`. It waits for START, which names one of the
versions that Hello offered, and works until its result. When standard input closes, whoever started
it is gone: it stops as after CANCEL.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from .errors import EngineError

CONVERSATION_VERSIONS = (1,)
"""Versions of the conversation that this seam can hold, best first."""


class Do(StrEnum):
    """What to do."""

    START = "start"
    PAUSE = "pause"
    CONTINUE = "continue"
    CANCEL = "cancel"
    """Stop soon, keep what there is: an asset and a checkpoint."""


@dataclass(frozen=True)
class Command:
    """One thing to do; ``version`` counts with START only."""

    do: Do
    version: int = CONVERSATION_VERSIONS[0]


def command_to_json_line(command: Command) -> str:
    """Encode a command as one line of JSON, without the newline."""
    return json.dumps({"ds4d_command": command.version, "do": command.do.value})


def command_from_json_line(line: str) -> Command:
    """Decode a line; raise EngineError when it is no command that this version knows."""
    try:
        content = json.loads(line)
        return Command(Do(content["do"]), int(content["ds4d_command"]))
    except (ValueError, TypeError, KeyError):
        raise EngineError(f"The engine was told something unknown: {line[:80]!r}.") from None


def common_version(offered: tuple[int, ...]) -> int | None:
    """Return the best version of the conversation that both sides can hold, or None."""
    return next((version for version in CONVERSATION_VERSIONS if version in offered), None)
