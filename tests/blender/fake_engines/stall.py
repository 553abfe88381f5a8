# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that begins to fit, writes a checkpoint and falls silent; it hears nothing either."""

import time

import speak

speak.hello(1)
speak.heard()
speak.progress("fit", 0.25, psnr=21.0)
speak.checkpoint().write_text("a quarter")
time.sleep(600)
