# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the engine in a process of its own: `python -I worker.py ORDER`.

ORDER is a `managed.Order` as JSON. Speaks as the engine does: an event on each line of standard
output. CANCEL on standard input, or its end, gives the installation up: nothing is left then.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

ADDON = Path(__file__).resolve().parent.parent
# Last, so that none of the add-on's modules stands in the way of another package's.
sys.path += [str(ADDON.parent), str(ADDON)]

from ds4d_blender.install import child, managed  # noqa: E402
from ds4d_blender.seam import commands, errors, events  # noqa: E402


def main() -> int:
    order = managed.Order(**json.loads(sys.argv[1]))
    given_up = threading.Event()
    threading.Thread(target=_listen, args=(given_up,), daemon=True).start()
    lock = threading.Lock()

    def say(event: events.Event) -> None:
        with lock:
            print(events.to_json_line(event), flush=True)

    def beat() -> None:
        while not given_up.wait(2.0):
            say(events.Heartbeat())

    threading.Thread(target=beat, daemon=True).start()
    try:
        record = managed.install(order, say, given_up.is_set)
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
    del record
    return 0


def _listen(given_up: threading.Event) -> None:
    for line in sys.stdin:
        try:
            if commands.command_from_json_line(line).do is commands.Do.CANCEL:
                break
        except errors.EngineError:
            continue
    given_up.set()


if __name__ == "__main__":
    sys.exit(main())
