# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the truth for fits of one clip of a subject that turns: that clip, and other sides.

    python benchmarks/capture_turn.py --threads 1     # a bpy interpreter

Each clip goes to benchmarks/cache/turn/<name>: 36 times, over which the subject turns about the
vertical axis through the middle of its box, under light that stays; camera and size are those of
benchmarks/capture_single.py.

    input/                       what the still camera sees: the clip a user would have
    truth/tNN_azNNN_elNN.png     the same moments from elsewhere, azimuth against that camera

Pictures that exist already are kept, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.capture_gltf import show  # noqa: E402
from benchmarks.capture_single import HELD, Recipe, Shot, Stand  # noqa: E402
from ds4d_blender.capture_settings import changed, render_settings  # noqa: E402
from ds4d_blender.seam import events  # noqa: E402

CACHE = ROOT / "benchmarks" / "cache" / "turn"
FRAMES = 36
TRUTH_FRAMES = (4, 13, 22, 31)
AZIMUTHS = (30, 330, 90, 180, 270)
ELEVATIONS = (0, 30)


@dataclass(frozen=True)
class Turning:
    """A clip to show while it turns by `degrees`, counter-clockwise from above; or still."""

    recipe: Recipe
    degrees: float
    animated: bool


CLIPS = {
    "fox-turntable": Turning(Recipe("Fox.glb", "Survey"), 360, animated=False),
    "knight-walk": Turning(Recipe("Knight.glb", "Walking_A", hidden=HELD), -360, animated=True),
    "bee-spit": Turning(Recipe("bee_bot.glb", "spit_attack"), 300, animated=True),
}


class Turntable(Stand):
    """A clip that turns before its camera: camera and light turn the other way instead."""

    def __init__(self, turning: Turning) -> None:
        super().__init__(turning.recipe, FRAMES)
        self.turning = turning
        self.sunrise = self.scene.objects["sun"].rotation_euler.z
        if not turning.animated:
            self.frames = np.full_like(self.frames, self.frames[0])

    def take(self, shot: Shot, path: Path, seed: int) -> None:
        """Render one picture."""
        turned = self.turning.degrees * shot.time / FRAMES
        self.scene.objects["sun"].rotation_euler.z = self.sunrise - math.radians(turned)
        super().take(replace(shot, azimuth=shot.azimuth - turned), path, seed)


def shots() -> list[Shot]:
    """Return the pictures of a clip: all of the input, then the truth."""
    found = [Shot(f"input/{time:03d}.png", time, 0) for time in range(FRAMES)]
    return found + [
        Shot(f"truth/t{time:02d}_az{azimuth:03d}_el{elevation:02d}.png", time, azimuth, elevation)
        for time in TRUTH_FRAMES
        for azimuth in AZIMUTHS
        for elevation in ELEVATIONS
    ]


def capture(name: str, options: argparse.Namespace) -> None:
    """Render what is missing of a clip."""
    folder = options.out / name
    missing = [(i, shot) for i, shot in enumerate(shots()) if not (folder / shot.file).exists()]
    if not missing:
        return
    stand = Turntable(CLIPS[name])
    size = (options.size, options.size)
    settings = render_settings(
        stand.scene, bpy.context.view_layer, *size, options.samples, options.threads
    )
    stage = events.Stage(show, name, len(missing))
    with changed(settings):
        for done, (seed, shot) in enumerate(missing, 1):
            stand.take(shot, folder / shot.file, seed)
            stage.update(done, shot.file)


def main() -> None:
    """Render the clips that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CLIPS)} (default: all)")
    parser.add_argument("--size", type=int, default=128, help="picture side in pixels")
    parser.add_argument("--samples", type=int, default=32, help="Cycles samples a pixel")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=CACHE)
    options = parser.parse_args()
    if unknown := set(options.names) - set(CLIPS):
        parser.error(f"no clip is called {', '.join(sorted(unknown))}")
    for name in options.names or CLIPS:
        capture(name, options)


if __name__ == "__main__":
    main()
