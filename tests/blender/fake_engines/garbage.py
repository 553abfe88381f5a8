# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that is no engine: it prints all sorts of things, for ever."""

import os
import sys
import time

while True:
    sys.stdout.buffer.write(b"Welcome to the coffee machine\n\xff\xfe\x00" + os.urandom(64) + b"\n")
    sys.stdout.buffer.write(b'{"ds4d_event": 1, "kind": "progress", "stage": []}\n[1, 2]\n')
    sys.stdout.flush()
    time.sleep(0.02)
