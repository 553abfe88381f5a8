# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture the benchmark datasets from the sample glTF files (run with a bpy interpreter).

python benchmarks/capture_gltf.py fox-walk robot-dance-1s --threads 2

Each goes to benchmarks/cache/<name>: 12 training and 2 held-out cameras, 128 px, and
`tracks.npz` with the true surface at the captured times.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ds4d_blender.capture import Capture, capture_dataset  # noqa: E402
from ds4d_blender.gltf_import import ImportedClip, import_gltf  # noqa: E402
from ds4d_blender.rig import Dome  # noqa: E402
from ds4d_blender.seam import events  # noqa: E402
from ds4d_blender.time_sampling import (  # noqa: E402
    FrameSpan,
    Motion,
    Vertices,
    set_frame,
    visible_vertices,
)

SAMPLES = ROOT.parent / "shared" / "samples" / "gltf"
CACHE = ROOT / "benchmarks" / "cache"


@dataclass(frozen=True)
class Recipe:
    """A clip to capture; `seconds` limits it, `count` None samples it adaptively.

    Grain, mostly on edges, bounds any score: against 1,024 samples a pixel, 16 / 32 / 64 reach
    43 / 47 / 51 dB on the fox and 39 / 43 / 47 dB on the robot (on white).
    """

    file: str
    clip: str
    count: int | None = None
    loop: bool = False
    seconds: float | None = None
    samples: int = 64
    hidden: tuple[str, ...] = field(default=())


# The Knight's file shows everything that he can hold at once.
HELD = (
    "1H_Sword_Offhand", "Badge_Shield", "Rectangle_Shield", "Round_Shield", "Spike_Shield",
    "1H_Sword", "2H_Sword",
)  # fmt: skip
RECIPES = {
    "fox-walk": Recipe("Fox.glb", "Walk", count=16, loop=True),
    "robot-dance-1s": Recipe("RobotExpressive.glb", "Dance", seconds=1.0),
    "robot-dance": Recipe("RobotExpressive.glb", "Dance", samples=32),
    "knight-cheer": Recipe("Knight.glb", "Cheer", samples=32, hidden=HELD),
    "bee-spit": Recipe("bee_bot.glb", "spit_attack", samples=32),
    "kenney-walk": Recipe("kenney_character.glb", "walk", loop=True, samples=32),
}


def light(scene: bpy.types.Scene) -> None:
    """Light the scene with a soft sky and a sun, and cut bounces that its fits never needed."""
    world = bpy.data.worlds.new("sky")
    if world.node_tree is None:
        world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background.inputs["Strength"].default_value = 0.7
    scene.world = world
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.rotation_euler = (0.7, 0.3, 0.5)
    sun.data.energy = 2.0
    scene.collection.objects.link(sun)
    scene.cycles.max_bounces = 2


def capture(
    recipe: Recipe, out: Path, size: int, threads: int, samples: int | None = None
) -> Capture:
    """Capture one recipe into `out` and write its true surface beside it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    clip = import_gltf(SAMPLES / recipe.file, recipe.clip)
    hide(clip, recipe.hidden)
    light(scene)
    end = clip.end
    if recipe.seconds is not None:
        end = min(end, clip.start + recipe.seconds * scene.render.fps)
    with whole_folder(out) as folder:
        captured = capture_dataset(
            folder,
            rig=Dome(),
            frames=FrameSpan(clip.start, end, count=recipe.count, loop=recipe.loop),
            size=size,
            samples=samples or recipe.samples,
            threads=threads,
            listener=show,
        )
        write_tracks(folder, captured.motion)
    return captured


def hide(clip: ImportedClip, names: tuple[str, ...]) -> None:
    """Keep the objects of these names out of renders."""
    for owner in clip.objects:
        owner.hide_render |= owner.name in names


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give the name of a folder to write, which takes the place of `out` when all went well."""
    making = out.with_name(f".{out.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    yield making
    if out.exists():
        shutil.rmtree(out)
    making.rename(out)


def write_tracks(folder: Path, motion: Motion) -> None:
    """Write where the surface was at the captured times, to `tracks.npz` in the folder.

    It holds `verts` [T,M,3] world, `faces` [F,3] (triangles of vertices), `scene_frames` [T], and
    the `centre` and `radius` of the sphere that holds all.
    """
    scene, view_layer = bpy.context.scene, bpy.context.view_layer
    tracks = []
    for frame in motion.frames:
        set_frame(scene, frame)
        points = visible_vertices(view_layer)
        tracks.append(np.concatenate([points[key] for key in sorted(points, key=str)]))
    np.savez_compressed(
        folder / "tracks.npz",
        verts=np.stack(tracks).astype(np.float32),
        faces=_triangles(view_layer, points),
        scene_frames=motion.frames,
        centre=motion.sphere.centre,
        radius=motion.sphere.radius,
    )


def _triangles(view_layer: bpy.types.ViewLayer, points: Vertices) -> np.ndarray:
    """Return the triangles [F,3] int32 of what is visible, counted as `write_tracks` does."""
    faces, first = [], 0
    for key in sorted(points, key=str):
        owner = bpy.data.objects[key[1]].evaluated_get(view_layer.depsgraph)
        mesh = owner.to_mesh()
        mesh.calc_loop_triangles()
        flat = np.empty(len(mesh.loop_triangles) * 3, np.int32)
        mesh.loop_triangles.foreach_get("vertices", flat)
        owner.to_mesh_clear()
        faces.append(flat.reshape(-1, 3) + first)
        first += len(points[key])
    return np.concatenate(faces)


def show(event: events.Progress) -> None:
    """Print a progress event."""
    eta = "" if event.eta_seconds is None else f", {event.eta_seconds:.0f} s left"
    print(f"{event.stage}: {event.done:g}/{event.total:g}{eta} {event.message}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--size", type=int, default=128, help="picture side in pixels")
    parser.add_argument("--samples", type=int, help="Cycles samples a pixel")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=CACHE)
    options = parser.parse_args()
    if unknown := set(options.names) - set(RECIPES):
        parser.error(f"no clip is called {', '.join(sorted(unknown))}")
    for name in options.names or RECIPES:
        started = time.monotonic()
        result = capture(
            RECIPES[name], options.out / name, options.size, options.threads, options.samples
        )
        print(
            f"{name}: {len(result.motion.frames)} times at {result.fps:.2f} fps, largest step "
            f"{result.motion.largest_step:.3f} radii, {len(result.cameras)} cameras, "
            f"{time.monotonic() - started:.1f} s"
        )


if __name__ == "__main__":
    main()
