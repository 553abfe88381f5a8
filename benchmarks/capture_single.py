# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the truth for fits of one front clip: that clip, and what other cameras saw.

    python benchmarks/capture_single.py robot-dance fox-walk --threads 1     # a bpy interpreter

Each clip goes to benchmarks/cache/single/<name>: 24 times, uniform over the action without its
end, 128 px, straight alpha. The camera stands at elevation 0, radius 2, vertical field of view
49.1 degrees, about the middle of the object's box over the clip, whose longest side is 1.4.

    input/                    azimuth 0 at all times: the clip a user would have
    truth/azNNN_tNN.png       azimuths and times of `AZIMUTHS` and `TRUTH_FRAMES`
    views/NNN/{0..5}.png      the six Zero123++ v1.1 views of each time
    clip.json                 how it was made; written when the rest is complete

Pictures that exist already are kept, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import bpy
import mathutils
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.capture_gltf import HELD, SAMPLES, hide, light, show  # noqa: E402
from ds4d_blender.capture_settings import changed, render_settings  # noqa: E402
from ds4d_blender.gltf_import import ImportedClip, import_gltf  # noqa: E402
from ds4d_blender.seam import events  # noqa: E402
from ds4d_blender.time_sampling import FrameSpan, set_frame, visible_vertices  # noqa: E402

CACHE = ROOT / "benchmarks" / "cache" / "single"
FRAMES = 24
LONGEST_SIDE = 1.4
RADIUS, FOVY_DEGREES = 2.0, 49.1
AZIMUTHS = (0, 15, -15, 30, -30, 60, -60, 105, 195, -75)
TRUTH_FRAMES = (2, 3, 7, 12, 13, 18, 21, 22)  # three consecutive pairs measure motion
ZERO123_VIEWS = ((30, 30), (90, -20), (150, 30), (210, -20), (270, 30), (330, -20))


@dataclass(frozen=True)
class Recipe:
    """A clip to show; the front camera stands at `azimuth`, degrees, and light turns with it."""

    file: str
    clip: str
    azimuth: float = 0.0
    hidden: tuple[str, ...] = field(default=())


RECIPES = {
    "robot-dance": Recipe("RobotExpressive.glb", "Dance"),
    "fox-walk": Recipe("Fox.glb", "Walk", azimuth=90.0),
    "bee-spit": Recipe("bee_bot.glb", "spit_attack"),
    "fox-survey": Recipe("Fox.glb", "Survey", azimuth=20.0),
    "val-knight": Recipe("Knight.glb", "Cheer", hidden=HELD),
    "val-kenney": Recipe("kenney_character.glb", "walk", azimuth=30.0),
}


@dataclass(frozen=True)
class Shot:
    """One picture: file below the clip's folder, time 0..23, camera angles in degrees."""

    file: str
    time: int
    azimuth: float
    elevation: float = 0.0


def shots(part: str) -> Iterator[Shot]:
    """Give the pictures of "truth" (with the input) or "views", time by time."""
    for time in range(FRAMES):
        if part == "views":
            for number, (azimuth, elevation) in enumerate(ZERO123_VIEWS):
                yield Shot(f"views/{time:03d}/{number}.png", time, azimuth, elevation)
            continue
        yield Shot(f"input/{time:03d}.png", time, 0)
        if time in TRUTH_FRAMES:
            for azimuth in AZIMUTHS:
                yield Shot(f"truth/az{azimuth:03d}_t{time:02d}.png", time, azimuth)


class Stand:
    """An imported clip under a camera that can walk around it.

    `alter` may change what was imported, or add to it, before it is measured and lit;
    `longest_side` is that of its box, where the camera stands 2 away.
    """

    def __init__(
        self,
        recipe: Recipe,
        frames: int = FRAMES,
        alter: Callable[[ImportedClip], None] = lambda clip: None,
        longest_side: float = LONGEST_SIDE,
    ) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene = bpy.context.scene
        self.recipe = recipe
        clip = import_gltf(SAMPLES / recipe.file, recipe.clip)
        hide(clip, recipe.hidden)
        alter(clip)
        light(self.scene)
        self.scene.objects["sun"].rotation_euler.z += math.radians(recipe.azimuth)
        self.scene.cycles.max_bounces = 12
        self.span = FrameSpan(clip.start, clip.end, count=frames, loop=True)
        self.frames = self.span.frames(frames)
        self.low, self.high = _box(self.scene, self.frames)
        self.unit = float((self.high - self.low).max()) / longest_side
        lens = bpy.data.cameras.new("camera")
        lens.angle = math.radians(FOVY_DEGREES)
        lens.clip_start, lens.clip_end = self.unit * 1e-2, self.unit * 1e2
        self.camera = bpy.data.objects.new("camera", lens)
        self.scene.collection.objects.link(self.camera)
        self.scene.camera = self.camera

    def take(self, shot: Shot, path: Path, seed: int) -> None:
        """Render one picture; the file appears when it is whole."""
        azimuth = math.radians(self.recipe.azimuth + shot.azimuth)
        elevation = math.radians(shot.elevation)
        outward = mathutils.Vector(
            (
                math.cos(elevation) * math.sin(azimuth),
                -math.cos(elevation) * math.cos(azimuth),
                math.sin(elevation),
            )
        )
        middle = mathutils.Vector(((self.low + self.high) / 2).tolist())
        self.camera.location = middle + outward * (RADIUS * self.unit)
        self.camera.rotation_euler = (-outward).to_track_quat("-Z", "Y").to_euler()
        set_frame(self.scene, self.frames[shot.time])
        # A seed of its own for every picture: one seed would lock the grain to the screen.
        self.scene.cycles.seed = seed
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.stem}.part.png")
        self.scene.render.filepath = str(part)
        bpy.ops.render.render(write_still=True)
        os.replace(part, path)


def capture(name: str, part: str, options: argparse.Namespace) -> None:
    """Render what is missing of one part of a clip."""
    folder = options.out / name
    wanted = list(enumerate(shots(part)))
    missing = [(seed, shot) for seed, shot in wanted if not (folder / shot.file).exists()]
    if missing:
        stand = Stand(RECIPES[name])
        settings = render_settings(
            stand.scene,
            bpy.context.view_layer,
            options.size,
            options.size,
            options.samples,
            options.threads,
        )
        stage = events.Stage(show, f"{name} {part}", len(missing))
        with changed(settings):
            (folder / "truth").mkdir(parents=True, exist_ok=True)
            for done, (seed, shot) in enumerate(missing, 1):
                if shot.file.startswith("truth") and shot.azimuth == 0:
                    shutil.copyfile(folder / f"input/{shot.time:03d}.png", folder / shot.file)
                else:
                    stand.take(shot, folder / shot.file, seed)
                stage.update(done, shot.file)
    if part == "views":
        _describe(name, folder, options)


def _describe(name: str, folder: Path, options: argparse.Namespace) -> None:
    document = {
        "recipe": asdict(RECIPES[name]),
        "frames": FRAMES,
        "truth_frames": TRUTH_FRAMES,
        "azimuths": AZIMUTHS,
        "zero123_views": ZERO123_VIEWS,
        "longest_side": LONGEST_SIDE,
        "radius": RADIUS,
        "fovy_degrees": FOVY_DEGREES,
        "size": options.size,
        "samples": options.samples,
        "blender": bpy.app.version_string,
    }
    (folder / "clip.json").write_text(json.dumps(document, indent=2) + "\n")


def _box(scene: bpy.types.Scene, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lows, highs = [], []
    for frame in frames:
        set_frame(scene, frame)
        points = np.concatenate(list(visible_vertices(bpy.context.view_layer).values()))
        lows.append(points.min(axis=0))
        highs.append(points.max(axis=0))
    return np.min(lows, axis=0), np.max(highs, axis=0)


def main() -> None:
    """Render all clips' truth first, then their further views."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument(
        "--parts", nargs="+", choices=["truth", "views"], default=["truth", "views"]
    )
    parser.add_argument("--size", type=int, default=128, help="picture side in pixels")
    parser.add_argument("--samples", type=int, default=32, help="Cycles samples a pixel")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=CACHE)
    options = parser.parse_args()
    if unknown := set(options.names) - set(RECIPES):
        parser.error(f"no clip is called {', '.join(sorted(unknown))}")
    for part in options.parts:
        for name in options.names or RECIPES:
            capture(name, part, options)


if __name__ == "__main__":
    main()
