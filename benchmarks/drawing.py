# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare Blender's pictures of splats with an independent float64 renderer.

    python benchmarks/drawing.py --blender .nox/blender-4.5/bin/python

Run it with the engine's Python; Blender imports and saves, then another process, in which the
add-on cannot be imported, renders 32-bit pictures. A row's figure is the lower of the PSNRs over
black and over white, in encoded values. The fitted asset is benchmarks/fit.py's Fox.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.blender_process import run_steps  # noqa: E402
from benchmarks.machine import describe_machine  # noqa: E402
from benchmarks.splat_scenes import (  # noqa: E402
    View,
    adversarial,
    extent,
    fitted_like,
    smooth,
    statistics,
    views,
)
from ds4d_engine.seam import Asset, Gaussians, read_asset, write_asset  # noqa: E402
from tests.blender import reference  # noqa: E402
from tests.blender.synthetic import transformed  # noqa: E402

FITTED = ROOT / "benchmarks" / "cache" / "fits" / "fox-walk-ds4d-0.ds4d"
FRAME = 2.5
MOVED = np.array(
    [[0.8, 0.0, 0.0, 0.5], [0.0, 0.0, -0.8, 0.1], [0.0, 0.8, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
ENGINES = ("CYCLES", "EEVEE")
HELD = "Soft Points"
# Chance decides what covers a pixel, so four times the samples are worth 6 dB, at any size of the
# picture.
HELD_SAMPLES = 256


@dataclass(frozen=True)
class Case:
    """One row: assets (by name) drawn in one way by one engine, seen by one camera."""

    what: str
    assets: tuple[str, ...]
    drawing: str
    engine: str
    view: View
    bound: float | None = None
    samples: int = 1

    @property
    def picture(self) -> str:
        words = [*self.assets, self.drawing, self.engine, str(self.samples), self.view.name]
        return "-".join(words).lower().replace(" ", "_").replace("%", "percent")


def make_cases(assets: dict[str, Asset]) -> list[Case]:
    """Return all rows of the table."""
    small = views(*extent(assets["adversarial"].at(FRAME)))
    large = views(*extent(assets["fitted"].frame(0)))
    cases = []
    for drawing in ("Splats", "Icospheres", "Spheres"):
        ours = drawing == "Splats"
        for engine, bounds in (("CYCLES", (50.0, 50.0)), ("EEVEE", (48.0, 42.0))):
            for name, view, bound in (
                ("adversarial", small[0], bounds[0]),
                ("fitted", large[0], bounds[1]),
            ):
                what = f"{len(assets[name].frame(0)):,} {name}"
                cases.append(Case(what, (name,), drawing, engine, view, bound if ours else None))
    for engine in ENGINES:
        cases += [
            Case(view.name, ("adversarial",), "Splats", engine, view, 45.0) for view in small[1:]
        ]
    # What was drawn for another camera and then held: nothing may depend on the active one.
    for name, first in (("smooth", small[0]), ("fit", views(*extent(assets["fit"].at(FRAME)))[0])):
        what = f"{len(assets[name].frame(0)):,} {name}, free view"
        cases.append(Case(what, (name,), HELD, "EEVEE", first, 38.0, samples=HELD_SAMPLES))
    two = ("adversarial", "second")
    cases.append(Case("two assets, each by itself", two, "Splats", "EEVEE", small[0]))
    cases.append(Case("two assets", two, "Splats together", "EEVEE", small[0], 42.0))
    return cases


def seen(assets: dict[str, Asset], case: Case) -> Gaussians:
    """Return the Gaussians of a case in world space."""
    sets = [assets[name].at(min(FRAME, assets[name].frame_count - 1.0)) for name in case.assets]
    if len(sets) == 1:
        return sets[0]
    return Gaussians.concatenate(sets[0], transformed(sets[1], MOVED))


def over(premultiplied: np.ndarray, alphas: np.ndarray, grey: float) -> np.ndarray:
    """Return encoded colours over a linear grey."""
    linear = premultiplied + (1.0 - alphas[..., None]) * grey
    return np.clip(reference.encode_srgb(linear), 0.0, 1.0)


def lowest_psnr(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the lower of the PSNRs over black and over white of two (colours, alphas)."""
    return min(reference.psnr(over(*a, grey), over(*b, grey)) for grey in (0.0, 1.0))


def engine_agreement(
    assets: dict[str, Asset], cases: list[Case], truths: dict[Any, Any]
) -> dict[str, float]:
    """Return the dB between the engine's float32 rasteriser and the reference, per set."""
    from ds4d_engine.render import render_gaussians

    result: dict[str, float] = {}
    for case in cases:
        name = " and ".join(case.assets)
        if name not in result:
            drawn = render_gaussians(seen(assets, case), case.view.pinhole(), blend="linear")
            truth = truths[case.assets, case.view]
            result[name] = lowest_psnr((drawn.premultiplied, drawn.alphas), truth)
    return result


def compare(folder: Path, assets: dict[str, Asset], cases: list[Case]) -> dict[str, Any]:
    """Return the rows of the table and what the references agree with."""
    truths: dict[Any, tuple[np.ndarray, np.ndarray]] = {}
    seconds = json.loads((folder / "seconds.json").read_text())
    rows = []
    for case in cases:
        key = case.assets, case.view
        if key not in truths:
            truths[key] = reference.render(seen(assets, case), case.view.pinhole())
        row = {"what": case.what, "drawing": case.drawing, "engine": case.engine}
        row |= {"bound": case.bound, "seconds": seconds.get(case.picture)}
        if case.picture in seconds:
            image = np.load(folder / f"{case.picture}.npy").astype(np.float64)
            row["db"] = lowest_psnr((image[..., :3], image[..., 3]), truths[key])
        rows.append(row)
    return {"rows": rows, "engine": engine_agreement(assets, cases, truths)}


def table(result: dict[str, Any]) -> str:
    """Return the rows as Markdown."""
    lines = ["| what | drawn as | engine | dB | bound | processor s |", "|---|---|---|---|---|---|"]
    for row in result["rows"]:
        db = f"{row['db']:.1f}" if "db" in row else "too slow"
        bound = "" if row["bound"] is None else f">= {row['bound']:.0f}"
        time = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        cells = (row["what"], row["drawing"], row["engine"], db, bound, time)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--blender", required=True, help="Python with bpy")
    parser.add_argument("--fitted", type=Path, default=FITTED, help="asset that others resemble")
    parser.add_argument("--only", default="", help="rows whose picture's name holds this text")
    parser.add_argument("--keep", type=Path, help="folder for the .blend files and pictures")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.fitted.exists():
        sys.exit(
            f"{options.fitted} is missing: run benchmarks/capture_gltf.py fox-walk with Blender's "
            "Python, then benchmarks/fit.py --clips fox-walk --motions ds4d --set threads=1."
        )
    fitted = read_asset(options.fitted)
    assets = {
        "adversarial": adversarial(),
        "second": adversarial(seed=1),
        "smooth": smooth(),
        "fit": fitted,
        "fitted": fitted_like(fitted, 100_000),
    }
    cases = [case for case in make_cases(assets) if options.only in case.picture]
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name, asset in assets.items():
            write_asset(folder / f"{name}.ds4d", asset)
        plan = {
            "repository": str(ROOT),
            "folder": str(folder),
            "frame": FRAME,
            "moved": MOVED.tolist(),
            "cases": [
                {
                    "assets": case.assets,
                    "drawing": case.drawing,
                    "engine": case.engine,
                    "samples": case.samples,
                    "view": case.view.plan(),
                    "picture": case.picture,
                }
                for case in cases
            ],
        }
        run_steps("drawing_blender.py", ("import", "render"), plan, options.blender)
        result = compare(folder, assets, cases)
    result["fit"] = statistics(fitted.frame(0))
    result["fitted-like"] = statistics(assets["fitted"].frame(0))
    print(table(result))
    for name in ("engine", "fit", "fitted-like"):
        print(name, {key: round(value, 4) for key, value in result[name].items()})
    if options.json:
        result["machine"] = describe_machine()
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
