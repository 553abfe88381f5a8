# SPDX-License-Identifier: GPL-3.0-or-later
"""What the extension leaves in Blender and on the disk, disabled twice and then removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extension.conftest import CleanBlender

SCRIPT = """
import json, os, sys, threading
from pathlib import Path
import bpy

archive, report = sys.argv[1:]
MODULE = "bl_ext.user_default.ds4d_blender"
resources = Path(os.environ["BLENDER_USER_RESOURCES"])

def drawn(cls):
    return len(getattr(getattr(cls, "draw", None), "_draw_funcs", ()))

def names_of(cls):
    return cls.bl_rna.properties.keys()

def files():
    found = [p for p in resources.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return sorted(str(p.relative_to(resources)) for p in found)

def state():
    types = [getattr(bpy.types, name) for name in dir(bpy.types)]
    classes = [t for t in types if isinstance(t, type)]
    structs = [c for c in classes if hasattr(c, "bl_rna")]
    keys = bpy.context.window_manager.keyconfigs.addon
    lists = [n for n in dir(bpy.app.handlers) if isinstance(getattr(bpy.app.handlers, n), list)]
    return {
        "classes": sorted(c.__name__ for c in classes),
        "properties": sorted(f"{c.__name__}.{p}" for c in structs for p in names_of(c)),
        "drawn": {c.__name__: drawn(c) for c in classes if drawn(c) > 1},
        "handlers": {n: len(getattr(bpy.app.handlers, n)) for n in lists},
        "operators": [n for n in dir(bpy.ops.ds4d)],
        "addons": sorted(bpy.context.preferences.addons.keys()),
        "keys": sum(len(m.keymap_items) for m in keys.keymaps) if keys else 0,
        "threads": sorted(t.name for t in threading.enumerate()),
        "data": {n: len(getattr(bpy.data, n)) for n in ("objects", "node_groups", "materials")},
        "files": files(),
    }

bpy.ops.extensions.package_install_files(
    filepath=archive, repo="user_default", enable_on_install=False
)
states = [state()]
enabled = None
for _ in range(2):
    bpy.ops.preferences.addon_enable(module=MODULE)
    enabled = state()
    bpy.ops.preferences.addon_disable(module=MODULE)
    states.append(state())
user = Path(bpy.utils.extension_path_user(MODULE, path="engine", create=True))
(user / "large").write_text("an environment")
bpy.ops.extensions.package_uninstall(repo_index=1, pkg_id="ds4d_blender")
json.dump(
    {"states": states, "enabled": enabled, "user": str(user), "left": files()}, open(report, "w")
)
"""


@pytest.fixture(scope="module")
def observed(
    extension_zip: Path, clean_blender: CleanBlender, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a clean Blender was like before, between and after."""
    folder = tmp_path_factory.mktemp("residue")
    report, said = clean_blender(folder, SCRIPT, str(extension_zip))
    assert "Traceback" not in said and "Error" not in said, said
    return report


def test_enabling_adds_what_the_others_compare(observed: dict[str, Any]) -> None:
    before, enabled = observed["states"][0], observed["enabled"]
    for kind in ("classes", "properties", "operators", "drawn", "addons", "handlers"):
        assert enabled[kind] != before[kind], kind


def test_disabling_leaves_blender_as_it_was_both_times(observed: dict[str, Any]) -> None:
    before, *after = observed["states"]
    for state in after:
        for kind, value in before.items():
            assert state[kind] == value, kind


def test_removing_the_extension_removes_its_engine(observed: dict[str, Any]) -> None:
    assert not Path(observed["user"]).exists()
    assert not [name for name in observed["left"] if "ds4d" in name]
