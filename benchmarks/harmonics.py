# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare view-dependent color in Blender with numpy. Run it with Blender's Python:

.nox/blender-4.5/bin/python benchmarks/harmonics.py

An asset of degree 3 is imported; the color of its quads is compared, in linear light, with a
reference that has its own spherical harmonics.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ds4d_blender.cameras import use_camera  # noqa: E402
from ds4d_blender.drawing import MODIFIER_NAME  # noqa: E402
from ds4d_blender.drawing.order import SORT  # noqa: E402
from ds4d_blender.importer import import_asset  # noqa: E402
from ds4d_blender.nodes import set_input, set_menu  # noqa: E402
from ds4d_engine.seam import write_asset  # noqa: E402
from tests.blender import reference, synthetic  # noqa: E402
from tests.blender.observe import drawn  # noqa: E402

SPLATS = 10_000
SH3_BASES = 15


def main() -> None:
    """Print the largest error of each degree."""
    view = synthetic.CAMERAS[0]
    clip = synthetic.asset(SPLATS, 0, frames=1, bases=SH3_BASES)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with tempfile.TemporaryDirectory() as folder:
        write_asset(Path(folder) / "clip.ds4d", clip)
        drawing = import_asset(Path(folder) / "clip.ds4d", cameras=True).modifiers[MODIFIER_NAME]
    use_camera(bpy.context.scene, bpy.data.objects[view.name])
    set_menu(drawing, "Sort", "Off", SORT)
    splats = clip.static
    directions = splats.means - view.position
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    print(f"Blender {bpy.app.version_string}, {SPLATS} splats\n\n| SH degree | error |\n|---|---|")
    for degree in (1, 2, 3):
        set_input(drawing, "SH Degree", degree)
        data = drawn(drawing.id_data).attributes["splat_color"].data
        colors = np.empty(len(data) * 4, np.float32)
        data.foreach_get("color", colors)
        basis = reference.harmonics(directions, degree)
        encoded = splats.sh0[:, 0] * reference.SH_C0 + 0.5
        encoded = encoded + np.einsum("nk,nkc->nc", basis, splats.shN[:, : basis.shape[1]])
        expected = reference.decode_srgb(np.maximum(encoded, 0.0))
        error = np.abs(colors.reshape(len(splats), -1, 4)[:, 0, :3] - expected).max()
        print(f"| {degree} | {error:.1e} |")


if __name__ == "__main__":
    main()
