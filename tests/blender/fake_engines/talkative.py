# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine among whose events a library prints its own lines."""

import speak

print("Downloading nothing ...", flush=True)
speak.hello(1)
speak.heard()
for step in range(20):
    print("a warning of some library", flush=True)
    speak.progress("fit", step / 20)
print("x" * 3_000_000, flush=True)
speak.output().write_text("asset")
speak.say("result", files={"asset": str(speak.output())}, values={"psnr": 30.0})
