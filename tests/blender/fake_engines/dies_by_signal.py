# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that writes a checkpoint, and is then killed."""

import os
import signal

import speak

speak.hello(1)
speak.heard()
speak.progress("fit", 0.5)
speak.checkpoint().write_text("half")
os.kill(os.getpid(), getattr(signal, os.environ.get("FAKE_SIGNAL", "SIGKILL")))
