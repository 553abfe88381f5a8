# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture the clips that generated views are judged by: what would a fit of perfect views reach?

    python benchmarks/capture_protocols.py                       # a bpy interpreter
    python benchmarks/capture_protocols.py paper --clips fox-walk --threads 2

Each clip goes to benchmarks/cache/<protocol>/<clip>, a dataset that `ds4d fit` reads, with the
true surface in `tracks.npz`: 32 times, uniform over the action without its end, 128 px. A fit
sees the front (azimuth 0, elevation 0) and the six cameras of Zero123++ v1.1; azimuths -75, 15,
105 and 195 at elevation 0 are held out. All stand at radius 2 with a vertical field of view of
49.1 degrees about the middle of the box over the clip.

    paper          whole characters move; the longest side of the box is 1.4
    interwoven     a small part moves: one arm of a body that stands still, or a fox by a tower.
                   The box is 1.2, so that what is tall fits, and a camera's grain is the same at
                   all times: what stands still is still to the last bit, and nothing else is

Folders appear when they are whole; those that exist are left as they are.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.capture_gltf import CACHE, HELD, show, whole_folder, write_tracks  # noqa: E402
from benchmarks.capture_single import (  # noqa: E402
    LONGEST_SIDE,
    RADIUS,
    ZERO123_VIEWS,
    Recipe,
    Stand,
)
from benchmarks.stone_tower import add_stone_tower  # noqa: E402
from ds4d_blender.capture import Capture, capture_dataset  # noqa: E402
from ds4d_blender.gltf_import import ImportedClip  # noqa: E402
from ds4d_blender.rig import SceneCameras, look_at  # noqa: E402

FRAMES = 32
TRAIN = ((0, 0), *ZERO123_VIEWS)
TEST = ((-75, 0), (15, 0), (105, 0), (195, 0))
"""Azimuth and elevation in degrees, the front first."""


@dataclass(frozen=True)
class Clip:
    """A recipe, what is changed in it after the import, its size, and whether grain stays."""

    recipe: Recipe
    alter: Callable[[ImportedClip], None] = lambda clip: None
    longest_side: float = LONGEST_SIDE
    steady: bool = False


def interwoven(recipe: Recipe, alter: Callable[[ImportedClip], None]) -> Clip:
    """Return a clip of the protocol *interwoven*."""
    return Clip(recipe, alter, longest_side=1.2, steady=True)


def only_bones(*kept: str) -> Callable[[ImportedClip], None]:
    """Return a change that holds all but some bones as they are when the clip starts."""

    def alter(clip: ImportedClip) -> None:
        for owner in clip.objects:
            keys = owner.data.shape_keys if owner.type == "MESH" else None
            for animated in filter(None, (owner, keys)):
                _hold(animated.animation_data, clip.start, kept)

    return alter


def _hold(data: bpy.types.AnimData | None, start: float, kept: tuple[str, ...]) -> None:
    if data is None or data.action is None:
        return
    for fcurve in data.action.layers[0].strips[0].channelbag(data.action_slot).fcurves:
        bone = re.match(r'pose\.bones\["(.+?)"\]', fcurve.data_path)
        if bone and bone[1].startswith(kept):
            continue
        value = fcurve.evaluate(start)
        fcurve.keyframe_points.clear()
        fcurve.keyframe_points.insert(start, value)


def beside_tower(clip: ImportedClip) -> None:
    """Put a tower 250 units high beside the fox, who is 140 long and walks towards -Y."""
    add_stone_tower(bpy.context.scene, foot=(-110.0, 120.0, 0.0), radius=80.0, height=250.0)


PROTOCOLS = {
    "paper": {
        "robot-dance": Clip(Recipe("RobotExpressive.glb", "Dance")),
        "fox-walk": Clip(Recipe("Fox.glb", "Walk", azimuth=90.0)),
        "bee-spit": Clip(Recipe("bee_bot.glb", "spit_attack")),
        "knight-cheer": Clip(Recipe("Knight.glb", "Cheer", hidden=HELD)),
        "kenney-walk": Clip(Recipe("kenney_character.glb", "walk", azimuth=30.0)),
        "robot-running": Clip(Recipe("RobotExpressive.glb", "Running", azimuth=45.0)),
        "fox-run": Clip(Recipe("Fox.glb", "Run", azimuth=90.0)),
        "bee-head": Clip(Recipe("bee_bot.glb", "head_movement")),
        "knight-walking": Clip(Recipe("Knight.glb", "Walking_A", azimuth=30.0, hidden=HELD)),
        "kenney-jump": Clip(Recipe("kenney_character.glb", "jump", azimuth=30.0)),
    },
    "interwoven": {
        "robot-arm": interwoven(
            Recipe("RobotExpressive.glb", "Wave"),
            only_bones("UpperArmR", "LowerArmR", "Palm", "Middle", "Thumb", "Index", "Ring"),
        ),
        "fox-tower": interwoven(Recipe("Fox.glb", "Walk", azimuth=90.0), beside_tower),
        "knight-arm": interwoven(
            Recipe("Knight.glb", "Cheer", hidden=HELD),
            only_bones("upperarm.r", "lowerarm.r", "wrist.r", "hand.r"),
        ),
    },
}


def capture(clip: Clip, out: Path, options: argparse.Namespace) -> Capture:
    """Capture a clip into the folder `out`."""
    stand = Stand(clip.recipe, FRAMES, clip.alter, clip.longest_side)
    names = {split: _stand_cameras(stand, angles) for split, angles in _SPLITS.items()}
    with whole_folder(out) as folder, _grain(clip.steady):
        captured = capture_dataset(
            folder,
            rig=SceneCameras(**names),
            frames=stand.span,
            size=(options.size, options.size),
            samples=options.samples,
            threads=options.threads,
            listener=show,
        )
        write_tracks(folder, captured.motion)
    return captured


@contextmanager
def _grain(steady: bool) -> Iterator[None]:
    """Give every camera a seed of its own for all its pictures, if `steady`."""

    def reseed(scene: bpy.types.Scene, *_: object) -> None:
        scene.cycles.seed = zlib.crc32(scene.camera.name.encode()) % 2**31

    handlers = bpy.app.handlers.render_pre
    if steady:
        handlers.append(reseed)
    try:
        yield
    finally:
        if steady:
            handlers.remove(reseed)


_SPLITS = {"train": TRAIN, "test": TEST}


def _stand_cameras(stand: Stand, angles: tuple[tuple[int, int], ...]) -> list[str]:
    names = []
    middle = (stand.low + stand.high) / 2
    for azimuth, elevation in angles:
        name = f"az{azimuth:+04d}_el{elevation:+03d}"
        camera = bpy.data.objects.new(name, stand.camera.data)
        stand.scene.collection.objects.link(camera)
        camera.matrix_world = look_at(
            middle.tolist(), RADIUS * stand.unit, stand.recipe.azimuth + azimuth, elevation
        )
        names.append(name)
    return names


def main() -> None:
    """Capture what is missing of the protocols that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("protocols", nargs="*", help=f"of {', '.join(PROTOCOLS)} (default: all)")
    parser.add_argument("--clips", nargs="+", help="only these")
    parser.add_argument("--size", type=int, default=128, help="picture side in pixels")
    parser.add_argument("--samples", type=int, default=32, help="Cycles samples a pixel")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=CACHE)
    options = parser.parse_args()
    if unknown := set(options.protocols) - set(PROTOCOLS):
        parser.error(f"no protocol is called {', '.join(sorted(unknown))}")
    for protocol in options.protocols or PROTOCOLS:
        for name, clip in PROTOCOLS[protocol].items():
            out = options.out / protocol / name
            if out.exists() or (options.clips and name not in options.clips):
                continue
            started = time.monotonic()
            result = capture(clip, out, options)
            print(
                f"{protocol}/{name}: {len(result.motion.frames)} times at {result.fps:.2f} fps, "
                f"largest step {result.motion.largest_step:.3f} radii, {len(result.cameras)} "
                f"cameras, {time.monotonic() - started:.1f} s"
            )


if __name__ == "__main__":
    main()
