# SPDX-License-Identifier: GPL-3.0-or-later
"""What fake engines say and hear, spelt out here so that a change of the seam shows."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path


def say(kind: str, **content: object) -> None:
    """Say one event."""
    # In one piece: threads that print would mix their lines.
    os.write(1, (json.dumps({"ds4d_event": 1, "kind": kind, **content}) + "\n").encode())


def hello(*versions: int) -> None:
    """Greet."""
    say("hello", versions=list(versions), engine="9.8.7")


def progress(stage: str, done: float, total: float = 1.0, **values: float) -> None:
    """Tell how far a stage is."""
    say("progress", stage=stage, done=done, total=total, eta_seconds=total - done, values=values)


def heard() -> str:
    """Wait for a command and return what to do; "" at the end of standard input."""
    line = sys.stdin.readline()
    return json.loads(line)["do"] if line else ""


def word_after(option: str) -> str:
    """Return the word after an option of the command line."""
    return sys.argv[sys.argv.index(option) + 1]


def output() -> Path:
    """Return the asset to write."""
    return Path(word_after("-o"))


def checkpoint() -> Path:
    """Return where the checkpoint lies."""
    return Path(f"{output()}.checkpoint")


def beat() -> None:
    """Say from now on that this lives."""

    def go_on() -> None:
        while True:
            say("heartbeat", paused=False)
            time.sleep(0.2)

    threading.Thread(target=go_on, daemon=True).start()
