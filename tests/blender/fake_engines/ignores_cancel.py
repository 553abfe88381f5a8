# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that lives and hears nothing: not its input, its end, nor the request to terminate."""

import signal
import time

import speak

signal.signal(signal.SIGTERM, signal.SIG_IGN)
speak.hello(1)
speak.heard()
speak.beat()
speak.progress("fit", 0.1)
time.sleep(600)
