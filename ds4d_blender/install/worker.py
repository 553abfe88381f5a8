# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the engine in a process of its own, begun by `command`.

It speaks as the engine does: an event on each line of standard output. CANCEL on standard input, or
its end, gives the installation up: nothing is left then.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict

from ..seam import commands, errors, events
from . import child, managed, shipped

# The add-on's folders come last, so that none of its modules stands in the way of another
# package's; an installed extension has its own seam inside, a checkout has it beside.
BOOT = """
import sys
sys.path += [{beside!r}, {inside!r}]
from {package}.install.worker import main
sys.exit(main(sys.argv[1]))
"""


def command(order: managed.Order, python: str) -> list[str]:
    """Return the command line that carries out an order."""
    addon = shipped.ADDON
    boot = BOOT.format(beside=str(addon.parent), inside=str(addon), package=addon.name)
    return [python, "-I", "-c", boot, json.dumps(asdict(order))]


def main(words: str) -> int:
    """Carry out an order, given as JSON; return the exit code."""
    order = managed.Order(**json.loads(words))
    given_up = threading.Event()
    threading.Thread(target=_listen, args=(given_up,), daemon=True).start()
    lock = threading.Lock()

    def say(event: events.Event) -> None:
        try:
            with lock:
                print(events.to_json_line(event), flush=True)
        except OSError:  # nobody listens any more
            given_up.set()

    def beat() -> None:
        while not given_up.wait(2.0):
            say(events.Heartbeat())

    threading.Thread(target=beat, daemon=True).start()
    try:
        managed.install(order, say, given_up.is_set)
    except child.Cancelled:
        say(events.Failure("The installation was cancelled; nothing was changed.", "Cancelled"))
        return 1
    except errors.EngineError as error:
        say(events.Failure(str(error)))
        return 1
    except Exception as error:
        say(events.Failure(f"The installation failed ({type(error).__name__}): look at the log."))
        raise
    say(events.Result(files={"engine": order.root}, values={"ready": 1}))
    return 0


def _listen(given_up: threading.Event) -> None:
    for line in sys.stdin:
        try:
            if commands.command_from_json_line(line).do is commands.Do.CANCEL:
                break
        except errors.EngineError:
            continue
    given_up.set()
