# SPDX-License-Identifier: GPL-3.0-or-later
"""The built extension in a clean Blender that cannot see the source tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ds4d_engine.seam import Asset, Gaussians, Motion, write_asset
from tests.extension.conftest import CleanBlender

STATIC_COUNT, DYNAMIC_COUNT, FRAMES = 5, 3, 4

INSTALL_AND_IMPORT = """
import importlib, importlib.util, json, sys
import bpy

archive, asset, report = sys.argv[1:]
assert importlib.util.find_spec("ds4d_engine") is None
assert importlib.util.find_spec("ds4d_blender") is None
bpy.ops.extensions.package_install_files(
    filepath=archive, repo="user_default", enable_on_install=True
)
enabled = "bl_ext.user_default.ds4d_blender" in bpy.context.preferences.addons.keys()
importer = importlib.import_module("bl_ext.user_default.ds4d_blender.importer")
importer.import_asset(asset)
depsgraph = bpy.context.evaluated_depsgraph_get()
clouds = [o for o in bpy.context.scene.objects if o.type == "POINTCLOUD"]
json.dump(
    {
        "enabled": enabled,
        "counts": sorted(len(cloud.data.points) for cloud in clouds),
        "modules": sorted(name for name in sys.modules if "ds4d" in name),
    },
    open(report, "w"),
)
"""


def tiny_asset() -> Asset:
    """A few static Gaussians and a few that move along x."""
    random = np.random.default_rng(7)

    def gaussians(count: int) -> Gaussians:
        return Gaussians(
            means=random.normal(size=(count, 3)),
            quats=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
            scales=np.full((count, 3), 0.1),
            opacities=np.full(count, 0.8),
            sh0=random.normal(size=(count, 1, 3)),
            shN=np.zeros((count, 0, 3)),
            dynamic_scores=np.zeros(count),
        )

    dynamic = gaussians(DYNAMIC_COUNT)
    steps = np.linspace(0.0, 1.0, FRAMES)
    return Asset(
        static=gaussians(STATIC_COUNT),
        dynamic=dynamic,
        motion=Motion(
            means=dynamic.means + steps[:, None, None] * np.array([1.0, 0.0, 0.0]),
            quats=np.tile(dynamic.quats, (FRAMES, 1, 1)),
            scales=np.tile(dynamic.scales, (FRAMES, 1, 1)),
        ),
        cameras=(),
        times=steps,
        fps=24.0,
        frame_start=1,
        blend="linear",
    )


@pytest.fixture(scope="module")
def installed(
    extension_zip: Path, clean_blender: CleanBlender, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    """What a clean Blender reports after it installed the zip and imported an asset with it."""
    folder = tmp_path_factory.mktemp("install")
    write_asset(folder / "tiny.ds4d", tiny_asset())
    files = [str(extension_zip), str(folder / "tiny.ds4d")]
    return clean_blender(folder, INSTALL_AND_IMPORT, *files)[0]


def test_extension_installs_and_is_enabled(installed: dict[str, object]) -> None:
    assert installed["enabled"] is True


def test_installed_extension_imports_an_asset(installed: dict[str, object]) -> None:
    assert installed["counts"] == sorted([STATIC_COUNT, DYNAMIC_COUNT])


def test_installed_extension_uses_its_own_copy_of_the_seam(installed: dict[str, object]) -> None:
    modules = installed["modules"]
    assert isinstance(modules, list)
    assert "bl_ext.user_default.ds4d_blender.ds4d_engine.seam.asset" in modules
    assert all(name.startswith("bl_ext.user_default.ds4d_blender") for name in modules)
