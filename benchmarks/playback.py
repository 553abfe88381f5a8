# SPDX-License-Identifier: GPL-3.0-or-later
"""Time import, playback, drawing and rendering of a large asset in Blender.

    python benchmarks/playback.py --all

Run it with the engine's Python; every Blender measures in a process of its own. 100,000 splats,
of which all move, at 32 times. Times are medians over frames and then over runs, in which the
ways to draw take turns, so that other work on the machine meets all alike. `--parts` measures
some of it, `--blender` some Blenders.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.blender_process import run_steps  # noqa: E402
from benchmarks.machine import describe_machine  # noqa: E402
from ds4d_engine.seam import write_asset  # noqa: E402
from tests.blender import synthetic  # noqa: E402

BLENDERS = [ROOT / ".nox" / f"blender-{release}" / "bin" / "python" for release in ("4.5", "5.2")]
PARTS = ("import", "play", "harmonics", "render")
WITH_HARMONICS = {"degree_1": 3, "degree_3": 15}


def measure(options: argparse.Namespace, python: Path, folder: Path) -> dict[str, Any]:
    """Return what one Blender took."""
    plan = {
        "repository": str(ROOT),
        "folder": str(folder),
        "assets": {name: str(folder / f"{name}.ds4d") for name in ("degree_0", *WITH_HARMONICS)},
        "frames": options.frames,
        "runs": options.runs,
        "parts": options.parts,
    }
    run_steps("playback_blender.py", ("measure",), plan, str(python))
    return json.loads((folder / "result.json").read_text())


def table(results: list[dict[str, Any]]) -> str:
    """Return one column a Blender as Markdown."""
    lines = ["| | " + " | ".join(result["blender"] for result in results) + " |"]
    lines.append("|---|" + "---|" * len(results))
    names = list(dict.fromkeys(name for result in results for name in result["figures"]))
    for name in names:
        cells = (f"{result['figures'][name]:.2f}" for result in results)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="everything in both Blenders")
    parser.add_argument("--blender", type=Path, nargs="+", default=BLENDERS[:1])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["import", "play"])
    parser.add_argument("--splats", type=int, default=100_000)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.all:
        options.parts, options.blender = list(PARTS), BLENDERS
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, bases in ({"degree_0": 0} | WITH_HARMONICS).items():
            frames = 2 if name == "degree_3" else options.frames
            clip = synthetic.asset(0, options.splats, frames=frames, bases=bases)
            write_asset(folder / f"{name}.ds4d", clip)
        results = [measure(options, python, folder) for python in options.blender]
    print(f"{options.splats} splats x {options.frames} times")
    print(table(results))
    if options.json:
        document = {"splats": options.splats, "results": results, "machine": describe_machine()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
