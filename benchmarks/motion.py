# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion blur, the seam of a loop and view-dependent color in Blender, against plain numpy.

    .nox/blender-4.5/bin/python benchmarks/motion.py ASSET ...

Run it with Blender's Python. The seam is measured on a synthetic clip and on the assets named.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.machine import describe_machine  # noqa: E402
from ds4d_blender.cameras import use_camera  # noqa: E402
from ds4d_blender.drawing import MODIFIER_NAME as DRAW  # noqa: E402
from ds4d_blender.drawing.order import SORT  # noqa: E402
from ds4d_blender.importer import import_asset  # noqa: E402
from ds4d_blender.nodes import input_value, set_input, set_menu  # noqa: E402
from ds4d_blender.player import MODIFIER_NAME as PLAY  # noqa: E402
from ds4d_blender.player import set_playback  # noqa: E402
from ds4d_blender.rendering import setup_render  # noqa: E402
from ds4d_engine.seam import write_asset  # noqa: E402
from tests.blender import reference, synthetic  # noqa: E402
from tests.blender.observe import drawn, played, rendered  # noqa: E402

SUB_FRAMES = 17
BLUR_FRAME = 3
BLUR_SIZE = 128
BLUR_SAMPLES = 64
STEP = 0.25
"""Frames between two looks at a clip."""


def imported(path: Path) -> bpy.types.Object:
    """Import an asset into an empty file and look through its first camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    target = import_asset(path, cameras=True, set_scene_time=True)
    use_camera(scene, next(item for item in scene.objects if item.type == "CAMERA"))
    return target


def set_time(time: float) -> None:
    """Go to a time in frames of the clip."""
    frame = bpy.context.scene.frame_start + time
    bpy.context.scene.frame_set(int(np.floor(frame)), subframe=frame % 1)


def blur_db(path: Path, folder: Path) -> float:
    """Return the dB between Cycles' motion blur and the mean of pictures within the shutter."""
    imported(path)
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = BLUR_SIZE
    setup_render(scene, "CYCLES", background=(0, 0, 0))
    mean = 0.0
    for index in range(SUB_FRAMES):
        set_time(BLUR_FRAME - 0.5 + (index + 0.5) / SUB_FRAMES)
        mean = mean + rendered(scene, folder)[..., :3] / SUB_FRAMES
    set_time(BLUR_FRAME)
    scene.render.use_motion_blur = True
    scene.render.motion_blur_shutter = 1.0
    scene.cycles.samples = BLUR_SAMPLES
    blurred = rendered(scene, folder)[..., :3]
    a, b = (np.clip(reference.encode_srgb(picture), 0, 1) for picture in (blurred, mean))
    return reference.psnr(a, b)


def seam_ratios(path: Path) -> dict[str, float]:
    """Return the largest step of any splat of a cross-faded loop over the largest in the clip.

    Once over all steps that hold the moment at which the loop starts anew, once over all steps
    of the blend.
    """
    target = imported(path)
    player = target.modifiers[PLAY]
    frames = int(input_value(player, "Frames"))
    set_playback(player, "Clamp")
    inside = steps(target, 0.0, frames - 1.0)
    set_playback(player, "Cross-Fade")
    fade = input_value(player, "Fade")
    period = frames - 1.0 - fade
    return {
        "across the seam": steps(target, period - STEP / 2, period + STEP / 2) / inside,
        "anywhere in the blend": steps(target, period - STEP / 2, period + fade) / inside,
    }


def steps(target: bpy.types.Object, first: float, last: float) -> float:
    """Return the largest way of a splat between looks at a clip, in scene units a frame."""
    count = max(round((last - first) / STEP), 1)
    times = np.linspace(first, last, count + 1)
    places = []
    for time in times:
        set_time(time)
        places.append(played(target)["position"])
    ways = np.linalg.norm(np.diff(np.stack(places), axis=0), axis=-1)
    return float(ways.max() / (times[1] - times[0]))


def harmonics_errors(folder: Path) -> dict[int, float]:
    """Return the largest error of the linear color that is drawn, by SH degree."""
    view = synthetic.CAMERAS[0]
    clip = synthetic.asset(500, 0, frames=1, bases=15)
    write_asset(folder / "harmonics.ds4d", clip)
    drawing = imported(folder / "harmonics.ds4d").modifiers[DRAW]
    set_menu(drawing, "Sort", "Off", SORT)
    splats = clip.static
    directions = splats.means - view.position
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    errors = {}
    for degree in (1, 2, 3):
        set_input(drawing, "SH Degree", degree)
        data = drawn(drawing.id_data).attributes["splat_color"].data
        colors = np.empty(len(data) * 4, np.float32)
        data.foreach_get("color", colors)
        basis = reference.harmonics(directions, degree)
        encoded = splats.sh0[:, 0] * reference.SH_C0 + 0.5
        encoded = encoded + np.einsum("nk,nkc->nc", basis, splats.shN[:, : basis.shape[1]])
        expected = reference.decode_srgb(np.maximum(encoded, 0.0))
        errors[degree] = float(np.abs(colors.reshape(len(splats), -1, 4)[:, 0, :3] - expected).max())
    return errors


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("assets", type=Path, nargs="*")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = folder / "clip.ds4d"
        write_asset(path, synthetic.asset(300, 300, frames=24))
        figures = {f"SH degree {k}": error for k, error in harmonics_errors(folder).items()}
        for asset in (path, *options.assets):
            for what, ratio in seam_ratios(asset).items():
                figures[f"loop of {asset.stem}, {what}"] = ratio
        figures[f"motion blur against {SUB_FRAMES} sub-frames, dB"] = blur_db(path, folder)
    print(f"\nBlender {bpy.app.version_string}\n\n| what | figure |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:.3g} |")
    if options.json:
        document = {"blender": bpy.app.version_string, "figures": figures}
        document["machine"] = describe_machine()
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
