# SPDX-License-Identifier: GPL-3.0-or-later
"""From the clip beside this file to rendered Blender frames: `nox -s demo` runs it.

Fits the clip, imports the asset into Blender, saves demo.blend, renders it with Cycles in a fresh
process that has no add-on, and compares. Everything lands in demo-output/.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ds4d_engine.console import progress_listener
from ds4d_engine.seam import Asset, Camera, DS4DError, EngineError, Stage, read_asset

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUTPUT = ROOT / "demo-output"
FIT_SECONDS = 150.0
COMPARED_TIMES = 4
TURN_LOOPS = 2
MOVIE_SIZE = 224


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blender", required=True, help="a Python that has bpy")
    parser.add_argument("--seconds", type=float, default=FIT_SECONDS, help="time for the fit")
    parser.add_argument(
        "--keep-asset", action="store_true", help="use the asset of an earlier run: do not fit"
    )
    arguments = parser.parse_args()
    try:
        run(arguments.blender, arguments.seconds, keep_asset=arguments.keep_asset)
    except DS4DError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 1
    return 0


def run(blender: str, seconds: float, *, keep_asset: bool) -> None:
    """Go from the clip to the pictures, one announced step after the other."""
    OUTPUT.mkdir(exist_ok=True)
    asset_path = OUTPUT / "clip.ds4d"
    if not (keep_asset and asset_path.is_file()):
        announce(1, f"fitting 4D Gaussians for {seconds:.0f} s")
        fit(asset_path, seconds)
    asset = read_asset(asset_path)
    plan_path = OUTPUT / "plan.json"
    plan = make_plan(asset_path, asset)
    plan_path.write_text(json.dumps(plan, indent=1), encoding="utf-8")

    announce(2, "importing into Blender and saving demo.blend")
    blender_step(blender, "import", plan_path)
    announce(3, "rendering demo.blend with Cycles, in a Blender without the add-on")
    shutil.rmtree(OUTPUT / "frames", ignore_errors=True)
    blender_step(blender, "render", plan_path)
    announce(4, "comparing with the source")
    check([sys.executable, str(HERE / "compare.py"), str(plan_path)], "The comparison")
    print(f"\nLook at {OUTPUT / 'side_by_side.png'} and demo.mp4; open demo.blend in Blender.")


def announce(number: int, text: str) -> None:
    print(f"[{number}/4] {text}", flush=True)


def fit(asset_path: Path, seconds: float) -> None:
    """Run the command that a user would run."""
    command = [sys.executable, "-m", "ds4d_engine", "fit", str(HERE / "clip")]
    check([*command, "-o", str(asset_path), "--seconds", str(seconds)], "The fit")


def make_plan(asset_path: Path, asset: Asset) -> dict[str, Any]:
    """Say what Blender shall import and render: held-out views in a studio, a turn on a stage."""
    held_out = [camera for camera in asset.cameras if camera.split == "test"]
    if not held_out:
        raise EngineError("The demo's clip has no held-out camera; restore docs/demo/clip.")
    last = asset.frame_count - 1
    compared = sorted({round(last * i / (COMPARED_TIMES - 1)) for i in range(COMPARED_TIMES)})
    turn_frames = TURN_LOOPS * asset.frame_count
    shots = [studio_shot(camera, compared, asset.frame_start) for camera in held_out]
    shots.append(
        {
            "name": "turn",
            "folder": str(OUTPUT / "frames" / "turn"),
            "camera": "Orbit",
            "frames": [asset.frame_start + index for index in range(turn_frames)],
            "size": [MOVIE_SIZE, MOVIE_SIZE],
            "stage": True,
        }
    )
    return {
        "asset": str(asset_path),
        "dataset": str(HERE / "clip"),
        "output": str(OUTPUT),
        "blend": str(OUTPUT / "demo.blend"),
        "bounds": bounds(asset),
        "fps": asset.fps,
        "frame_start": asset.frame_start,
        "turn_frames": turn_frames,
        "shots": shots,
    }


def studio_shot(camera: Camera, compared: Sequence[int], frame_start: int) -> dict[str, Any]:
    """Plan one held-out camera's pictures on white."""
    return {
        "name": "held out",
        "folder": str(OUTPUT / "frames" / camera.name),
        "camera": camera.name,
        "frames": [frame_start + index for index in compared],
        "size": [camera.width, camera.height],
        "stage": False,
    }


def bounds(asset: Asset) -> dict[str, Any]:
    """Return centre and radius of what the clip shows, and the height of the floor below it."""
    solid = [asset.frame(index) for index in range(asset.frame_count)]
    means = np.concatenate([frame.means[frame.opacities > 0.3] for frame in solid])
    low, high = np.percentile(means, [0.5, 99.5], axis=0)
    return {
        "center": [float(value) for value in (low + high) / 2],
        "radius": float(np.linalg.norm(high - low) / 2),
        "floor": float(low[2]),
    }


def blender_step(blender: str, command: str, plan: Path) -> None:
    """Run render_blend.py in Blender's Python and show its progress.

    Rendering happens isolated (-I): neither the working directory nor PYTHONPATH reaches the
    add-on's sources.
    """
    isolation = ["-I"] if command == "render" else []
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    environment["BLENDER_USER_RESOURCES"] = str(OUTPUT / "blender-settings")
    if command == "import":
        environment["PYTHONPATH"] = str(ROOT)
    log_path = OUTPUT / f"blender-{command}.log"
    with (
        log_path.open("w", encoding="utf-8") as log,
        progress_listener("bar") as listener,
        subprocess.Popen(
            [blender, *isolation, str(HERE / "render_blend.py"), command, str(plan)],
            env=environment,
            cwd=OUTPUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None  # opened as a pipe
        stage: Stage | None = None
        for line in process.stdout:
            if not line.startswith("@"):
                log.write(line)
                continue
            event = json.loads(line[1:])
            stage = stage or Stage(listener, command, event["total"])
            stage.update(event["done"], event["message"])
    if process.returncode != 0:
        lines = log_path.read_text(encoding="utf-8").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {process.returncode}"
        raise EngineError(f"Blender could not {command} ({reason}); see {log_path}.")


def check(command: Sequence[str], what: str) -> None:
    """Run a step that speaks for itself; stop the demo where it fails."""
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        raise EngineError(f"{what} failed with exit status {status}; its message stands above.")


if __name__ == "__main__":
    sys.exit(main())
