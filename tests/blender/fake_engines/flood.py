# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that says a hundred thousand things as fast as it can."""

import sys

import speak

speak.hello(1)
speak.heard()
LINE = '{"ds4d_event": 1, "kind": "progress", "stage": "fit", "done": %d, "total": 100000}\n'
for number in range(100_000):
    sys.stdout.write(LINE % (number + 1))
sys.stdout.flush()
speak.output().write_text("asset")
speak.say("result", files={"asset": str(speak.output())})
