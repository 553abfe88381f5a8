# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that does all it is told: previews, pause, cancel, the end of its input, resume.

A fit takes FAKE_SECONDS (default 0.5). Its asset says how often the fit was begun.
"""

import os
import queue
import shutil
import threading
import time
from pathlib import Path

import speak

commands: queue.Queue[str] = queue.Queue()


def listen() -> None:
    while do := speak.heard():
        commands.put(do)
    commands.put("gone")


def preview(number: int) -> None:
    asset = Path(f"{speak.output()}.preview.ds4d")
    sample = os.environ.get("FAKE_PREVIEW")  # a real asset
    if sample:
        shutil.copyfile(sample, f"{asset}.part")
        os.replace(f"{asset}.part", asset)
    else:
        asset.write_text(f"preview {number}")
    picture = asset.with_suffix(".png")
    picture.write_text("picture")
    files = {"asset": str(asset), "picture": str(picture)}
    speak.say("preview", files=files, values={"psnr": 20.0 + number, "step": number})


def wait_while_paused() -> str:
    while True:
        speak.say("heartbeat", paused=True)
        try:
            do = commands.get(timeout=0.2)
        except queue.Empty:
            continue
        if do != "pause":
            speak.say("heartbeat", paused=False)
            return do


def fit() -> bool:
    seconds = float(os.environ.get("FAKE_SECONDS", "0.5"))
    steps = 10
    preview(1)
    for step in range(steps):
        try:
            do = commands.get(timeout=seconds / steps)
        except queue.Empty:
            do = ""
        if do == "pause":
            do = wait_while_paused()
        if do in ("cancel", "gone"):
            return True
        speak.progress("fit", (step + 1) / steps, loss=0.1, gaussians=100, psnr=25.0)
        speak.checkpoint().write_text(str(step))
    preview(2)
    return False


speak.hello(1)
assert speak.heard() == "start"
threading.Thread(target=listen, daemon=True).start()
begun = 1
if "--resume" in speak.sys.argv:
    assert speak.checkpoint().is_file(), "nothing to resume from"
    begun = 2
speak.progress("read clip", 1.0)
speak.progress("compile", 1.0)
stopped = fit()
time.sleep(0.05)
speak.checkpoint().write_text("end")
sample = os.environ.get("FAKE_ASSET")
if sample:
    shutil.copyfile(sample, speak.output())
else:
    speak.output().write_text(f"asset, begun {begun} times")
for kind in ("ds4d", "png"):
    Path(f"{speak.output()}.preview.{kind}").unlink(missing_ok=True)
speak.say("result", files={"asset": str(speak.output())}, values={"stopped": float(stopped)})
