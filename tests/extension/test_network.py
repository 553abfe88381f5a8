# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed extension and the network: Python itself tells of every connection and process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extension.conftest import CleanBlender

SCRIPT = """
import importlib, json, sys, time
import bpy

archive, report = sys.argv[1:]
MODULE = "bl_ext.user_default.ds4d_blender"
bpy.ops.extensions.package_install_files(
    filepath=archive, repo="user_default", enable_on_install=False
)
told = []

def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen"):
        told.append([event, str(args)[:1000]])
        if event != "subprocess.Popen":
            raise PermissionError("this machine has no network")

sys.addaudithook(hook)
bpy.ops.preferences.addon_enable(module=MODULE)
preferences = importlib.import_module(MODULE + ".preferences")
session = importlib.import_module(MODULE + ".session")
desk = importlib.import_module(MODULE + ".install.desk")
shown, refused = [], {}
addon = bpy.context.preferences.addons[MODULE].preferences
for kind in ("EXISTING", "REMOTE", "MANAGED"):
    addon.kind = kind
    shown.append(preferences.engine_state().sentence)
for name in dir(bpy.ops.ds4d):
    operator = getattr(bpy.ops.ds4d, name)
    try:
        if operator.poll():
            operator()
    except Exception as error:
        refused[name] = str(error)
for _ in range(20):
    session.step()
    desk.step()
    time.sleep(0.01)
before = list(told)
bpy.context.preferences.system.use_online_access = True
started = list(bpy.ops.ds4d.install_engine(build="PROCESSOR"))
end = time.monotonic() + 60
while not told and time.monotonic() < end:
    time.sleep(0.05)
bpy.ops.ds4d.cancel_install()
while desk.installing() and time.monotonic() < end:
    desk.step()
    time.sleep(0.05)
bpy.ops.preferences.addon_disable(module=MODULE)
json.dump(
    {"before": before, "refused": refused, "shown": shown, "started": started, "told": told},
    open(report, "w"),
)
"""


@pytest.fixture(scope="module")
def observed(
    extension_zip: Path, clean_blender: CleanBlender, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a clean Blender reached for, without online access and with it."""
    folder = tmp_path_factory.mktemp("network")
    return clean_blender(folder, SCRIPT, str(extension_zip))[0]


def test_without_online_access_no_button_reaches_for_anything(observed: dict[str, Any]) -> None:
    assert observed["before"] == []
    assert "Allow Online Access" in observed["refused"]["install_engine"]
    assert "press Install" in observed["shown"][-1]


def test_with_online_access_a_process_of_its_own_installs(observed: dict[str, Any]) -> None:
    assert observed["started"] == ["FINISHED"]
    events = [event for event, _ in observed["told"]]
    assert events and set(events) == {"subprocess.Popen"}
    assert "ds4d_blender.install.worker" in observed["told"][0][1]
