# SPDX-License-Identifier: GPL-3.0-or-later
"""How an object looks from where its one camera never was, against the true pictures.

    .nox/blender-4.5/bin/python benchmarks/capture_single.py     # once
    python benchmarks/single.py                                  # the front clip alone
    python benchmarks/single.py --views                          # with six exact views more

`ds4d fit` gets the front clip of 24 pictures, 128 px; the asset is drawn at the truth's cameras
and times, on white. Rows: the clip on a flat card facing its camera; the fitted shape of the
middle frame, held still; the fit. With --views, the fit also gets the six Zero123++ views, and
the rows are models of motion.

PSNR is the mean of the pictures' own PSNRs ("pooled": of all squared errors); "change" is the
mean absolute error, in 1/255, of the difference between consecutive pictures. Azimuths of both
signs count together. One JSON file holds every picture's scores; pictures beside it show truth
and rows from every azimuth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fit_command import add_fit_options, finished_clips, fit, fit_arguments
from machine import describe_machine
from single_bars import checks, front_table, quality_table, views_table
from single_scores import comparison, draw_asset, draw_card, read_clip, score, score_front

from ds4d_engine.cli.arguments import write_json
from ds4d_engine.console import progress_listener
from ds4d_engine.evaluate import finite
from ds4d_engine.seam.asset import read_asset
from ds4d_engine.seam.events import Listener, Stage
from ds4d_engine.video import write_png

CACHE = Path(__file__).parent / "cache" / "single"
CLIPS = ("robot-dance", "fox-walk", "bee-spit", "fox-survey")
SHOWN = 21  # the time of the pictures beside the scores: far from the middle frame
MODELS = {
    "ds4d": ("--motion", "ds4d"),
    "ds4d-paper, ga": ("--motion", "ds4d-paper", "--fuse", "ga"),
    "ds4d-paper, da": ("--motion", "ds4d-paper", "--fuse", "da"),
}


def fit_clip(name: str, output: Path, arguments: list[str]) -> dict[str, Any]:
    """Fit one front clip; its camera is exact, so nothing is cropped."""
    return fit(CACHE / name / "input", output, ["--crop", "off", *arguments])


def measure_front(name: str, options: argparse.Namespace, listener: Listener) -> dict[str, Any]:
    """Score card, shape without motion and fit of the front clip alone."""
    output = options.work / f"{name}.ds4d"
    fitted = {} if options.assets else {"ours": fit_clip(name, output, fit_arguments(options))}
    asset = read_asset(options.assets / f"{name}.ds4d" if options.assets else output)
    clip = read_clip(CACHE / name)
    rows = {
        "card": draw_card(clip, asset.blend),
        "shape": draw_asset(asset, clip, held=True),
        "ours": draw_asset(asset, clip),
    }
    stage = Stage(listener, "score", len(rows) * len(clip.truth))
    scores = {
        row: score(draw, clip, asset.blend, stage, done * len(clip.truth))
        for done, (row, draw) in enumerate(rows.items())
    }
    write_png(options.work / f"{name}.png", comparison(rows.values(), clip, asset.blend, SHOWN))
    front = {"ours": score_front(rows["ours"], clip, asset.blend)}
    return {"fits": fitted, "scores": scores, "front": front}


def measure_views(name: str, options: argparse.Namespace, listener: Listener) -> dict[str, Any]:
    """Score every model of motion, fitted to the front clip and six exact views."""
    clip = read_clip(CACHE / name)
    result: dict[str, Any] = {"fits": {}, "scores": {}, "front": {}}
    views = ["--views", "folder", "--views-folder", str(CACHE / name / "views")]
    for row in options.models:
        output = options.work / f"{name}-{row.replace(', ', '-')}.ds4d"
        arguments = [*views, *MODELS[row], *fit_arguments(options)]
        result["fits"][row] = fit_clip(name, output, arguments)
        asset = read_asset(output)
        draw = draw_asset(asset, clip)
        stage = Stage(listener, "score", len(clip.truth))
        result["scores"][row] = score(draw, clip, asset.blend, stage)
        write_png(output.with_suffix(".png"), comparison([draw], clip, asset.blend, SHOWN))
        result["front"][row] = score_front(draw, clip, asset.blend)
    return result


def main() -> None:
    """Fit and score the clips that the command line asks for; print the tables."""
    options = _options()
    kind = "views" if options.views else "front"
    options.work = CACHE / "fits" / "-".join(filter(None, (kind, options.tag)))
    path = options.json or options.work.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "kind": kind,
        "seed": options.seed,
        "arguments": fit_arguments(options),
        "machine": describe_machine(),
        "clips": finished_clips(path, options),
    }
    measure = measure_views if options.views else measure_front
    with progress_listener("auto") as listener:
        for name in options.clips:
            if name not in document["clips"]:
                document["clips"][name] = measure(name, options, listener)
            document["checks"] = [] if options.views else checks(document["clips"])
            write_json(str(path), finite(document))
    _print(document, options)


def _print(document: dict[str, Any], options: argparse.Namespace) -> None:
    clips = {name: document["clips"][name] for name in options.clips}
    if options.views:
        print(views_table(clips, options.models))
    else:
        print(front_table(clips))
        print()
        print(quality_table(clips))
    for name, clip in clips.items():
        seconds = ", ".join(f"{row} {run['seconds']:.0f} s" for row, run in clip["fits"].items())
        front = "; ".join(
            f"{row}: {scores['psnr_mean']:.2f} dB, worst picture {scores['psnr_worst']:.2f}, "
            f"IoU {scores['iou']:.3f}"
            for row, scores in clip["front"].items()
        )
        print(f"\n{name}, all times of the input: {front}" + (f" ({seconds})" if seconds else ""))
    for check in document["checks"]:
        print(f"{'PASS' if check['passed'] else 'FAIL'}  {check['says']}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    parser.add_argument("--views", action="store_true", help="fit to six exact views as well")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--assets", type=Path, help="score the .ds4d files here, fit nothing")
    add_fit_options(parser)
    options = parser.parse_args()
    last = "views/023/5.png" if options.views else "input/023.png"
    missing = [name for name in options.clips if not (CACHE / name / last).exists()]
    if missing:
        sys.exit(f"Run benchmarks/capture_single.py first; not captured: {', '.join(missing)}.")
    return options


if __name__ == "__main__":
    main()
