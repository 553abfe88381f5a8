# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that ends with the error, or with the last words, that the environment names."""

import os
import sys

import speak

speak.hello(1)
speak.heard()
speak.progress("fit", 0.5)
if "FAKE_MESSAGE" in os.environ:
    speak.say(
        "error",
        message=os.environ["FAKE_MESSAGE"],
        error=os.environ.get("FAKE_ERROR", "EngineError"),
        resumable="FAKE_RESUMABLE" in os.environ,
    )
sys.exit(os.environ.get("FAKE_LAST_WORDS", 2))
