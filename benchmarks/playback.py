# SPDX-License-Identifier: GPL-3.0-or-later
"""Time import, playback and drawing of a large asset in Blender. Run it with Blender's Python:

PYTHONPATH=. .nox/blender-4.5/bin/python benchmarks/playback.py --splats 100000 --frames 24
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import bpy

from ds4d_blender.drawing import MODIFIER_NAME as DRAWING
from ds4d_blender.importer import import_asset
from ds4d_engine.seam import write_asset
from tests.blender import synthetic


def frame_milliseconds(frames: int) -> float:
    """Return the median time to evaluate the next frame."""
    scene, times = bpy.context.scene, []
    for frame in range(1, frames + 1):
        began = time.perf_counter()
        scene.frame_set(frame)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def main() -> None:
    """Import a synthetic asset in which every splat moves, and time it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splats", type=int, default=100_000)
    parser.add_argument("--frames", type=int, default=24)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.ds4d"
        write_asset(path, synthetic.asset(0, options.splats, frames=options.frames))
        bpy.ops.wm.read_factory_settings(use_empty=True)
        began = time.perf_counter()
        splats = import_asset(path, cameras=True)
        imported = time.perf_counter() - began
    scene = bpy.context.scene
    scene.camera = next(item for item in scene.objects if item.type == "CAMERA")
    drawn = frame_milliseconds(options.frames)
    splats.modifiers[DRAWING].show_viewport = False
    played = frame_milliseconds(options.frames)
    print(f"Blender {bpy.app.version_string}, {options.splats} splats x {options.frames} frames")
    print(f"import {imported:.2f} s; play {played:.1f} ms a frame; play and draw {drawn:.1f} ms")


if __name__ == "__main__":
    main()
