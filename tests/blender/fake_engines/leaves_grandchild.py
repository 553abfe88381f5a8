# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that starts a program, which holds its output open, and ends without it."""

import os
import subprocess
import sys
from pathlib import Path

import speak

speak.hello(1)
speak.heard()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path(os.environ["FAKE_CHILD"]).write_text(str(child.pid))
speak.progress("fit", 1.0)
speak.output().write_text("asset")
speak.say("result", files={"asset": str(speak.output())})
os._exit(0)
