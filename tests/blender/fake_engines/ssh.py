# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for ssh: drops the host and runs the rest through a shell, in a home of its own."""

import os
import sys

log = os.environ.get("FAKE_SSH_LOG")
if log:
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{sys.argv[2:]}\n")
if "FAKE_SSH_BANNER" in os.environ:
    print("Welcome to the machine", flush=True)
    print("a banner on standard error", file=sys.stderr, flush=True)
if "FAKE_SSH_REFUSES" in os.environ:
    print("ssh: connect to host far: Connection refused", file=sys.stderr, flush=True)
    sys.exit(255)
home = os.environ["FAKE_SSH_HOME"]
os.chdir(home)
os.environ["HOME"] = home
os.execv("/bin/sh", ["/bin/sh", "-c", " ".join(sys.argv[2:])])
