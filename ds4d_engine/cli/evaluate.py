# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare an asset with the source from its held-out cameras."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..seam.asset import Asset, read_asset
from .arguments import (
    add_backend,
    add_progress,
    use_threads,
    write_json,
)
from .sources import add_source_options, read_source

if TYPE_CHECKING:
    from ..data import Dataset
    from ..scores import Evaluation, GroupScore

_CAMERAS_SHOWN = 40  # a camera that moves counts as one for every frame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("asset", metavar="ASSET", help="a .ds4d file")
    parser.add_argument(
        "dataset", metavar="CLIP|DATASET", help="the clip or dataset it was fitted to"
    )
    parser.add_argument(
        "--split", choices=("test", "train"), default="test", help="cameras (default: test)"
    )
    parser.add_argument(
        "--json", metavar="FILE", help='write every number as JSON; "-" prints it, without a table'
    )
    parser.add_argument(
        "--tracks", type=Path, metavar="FILE", help="true surface (.npz): measure the motion too"
    )
    parser.add_argument("--flip", action="store_true", help="measure FLIP too; twice as long")
    parser.add_argument(
        "--lpips", type=Path, metavar="FILE", help="measure LPIPS, with weights as docs/priors.md"
    )
    parser.add_argument(
        "--clip-model", type=Path, metavar="FOLDER", help="measure likeness with this CLIP model"
    )
    add_backend(parser)
    add_progress(parser)
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    asset = read_asset(arguments.asset)

    from ..console import progress_listener
    from ..evaluate import evaluate
    from ..motion_error import read_tracks
    from ..perceptual import Perceptual

    use_threads(arguments)
    perceptual = Perceptual(flip=arguments.flip, lpips=arguments.lpips, clip=arguments.clip_model)
    tracks = read_tracks(arguments.tracks) if arguments.tracks else None
    with progress_listener(arguments.progress) as listener:
        size = asset.cameras[0].width if asset.cameras else None
        dataset = read_source(arguments, listener, size=size)
        hold_out_as_in_fit(asset, dataset)
        for note in mismatches(asset, dataset):
            print(f"ds4d: note: {note}", file=sys.stderr)
        evaluation = evaluate(
            asset,
            dataset,
            split=arguments.split,
            backend=arguments.backend,
            perceptual=perceptual,
            tracks=tracks,
            listener=listener,
        )
    if arguments.json is not None:
        write_json(arguments.json, evaluation.to_json())
    if arguments.json != "-":
        print(table(evaluation))
    return 0


def hold_out_as_in_fit(asset: Asset, dataset: Dataset) -> None:
    """Count a camera as the fit did: trained on, or held out. Cameras new to the asset stay."""
    splits = {camera.name: camera.split for camera in asset.cameras}
    dataset.cameras = tuple(
        replace(camera, split=splits.get(camera.name, camera.split)) for camera in dataset.cameras
    )


def mismatches(asset: Asset, dataset: Dataset) -> list[str]:
    """Return signs that the dataset was read otherwise than for the fit, one sentence each."""
    notes = []
    if asset.frame_count != dataset.frame_count:
        notes.append(
            f"the asset has {asset.frame_count} frames and the dataset {dataset.frame_count}; "
            "give the --start, --end and --stride of the fit, if it had any."
        )
    sizes = {camera.name: (camera.width, camera.height) for camera in asset.cameras}
    found = {camera.name: (camera.width, camera.height) for camera in dataset.cameras}
    if any(sizes.get(name, size) != size for name, size in found.items()):
        notes.append("the pictures differ in size from the fit's; give its --max-side.")
    return notes


def table(evaluation: Evaluation) -> str:
    """Return an evaluation as text: per frame, per camera (if not too many), and the summary."""
    cameras = evaluation.by_camera if len(evaluation.cameras) <= _CAMERAS_SHOWN else []
    header = f"{'':<14}{'white':>9}{'black':>9}{'moving':>9}{'SSIM':>9}{'moving':>9}"
    total = evaluation.summary
    return "\n".join(
        [
            f"PSNR in dB from the pooled MSE of {int(total['images'])} pictures of the "
            f"{evaluation.split} cameras; moving: moving pixels on white; SSIM on white",
            header,
            *_rows("frame", evaluation.frames),
            *_rows("", cameras),
            f"{'all':<14}{_cell(total['psnr_white'])}{_cell(total['psnr_black'])}"
            f"{_cell(total['psnr_moving'])}{_cell(total['ssim_white'], 4)}"
            f"{_cell(total['ssim_moving'], 4)}",
            f"{'mean of PSNRs':<14}{_cell(total['psnr_white_mean_of_images'])}"
            f"{_cell(total['psnr_black_mean_of_images'])}"
            f"{_cell(total['psnr_moving_mean_of_images'])}",
            *_over_time(evaluation),
            f"Likeness on white: FLIP {_number(total['flip_white'], 4)}, "
            f"LPIPS {_number(total['lpips_white'], 4)}, "
            f"CLIP similarity {_number(total['clip_white'], 4)}, FVD n/a",
            *_motion(evaluation),
            f"Gaussians: {evaluation.static_gaussians:,} static, "
            f"{evaluation.dynamic_gaussians:,} dynamic",
        ]
    )


def _over_time(evaluation: Evaluation) -> list[str]:
    total, flicker = evaluation.summary, evaluation.flicker
    return [
        f"Error of the change from frame to frame, in 1/255: "
        f"{_number(total['temporal_error'], 3)}; "
        f"at moving pixels {_number(total['temporal_error_moving'], 3)}",
        f"Flicker where the source is still, in 1/255: "
        f"{_number(flicker.mean, 3)} mean, {_number(flicker.p99, 3)} 99th percentile; "
        f"on the object {_number(flicker.object_mean, 3)}, {_number(flicker.object_p99, 3)}",
    ]


def _motion(evaluation: Evaluation) -> list[str]:
    motion = evaluation.motion
    if motion is None:
        return ["Motion against the true surface: n/a"]
    return [
        f"Motion against the true surface, in % of the size: {_number(motion.median, 2)} median, "
        f"{_number(motion.p90, 2)} 90th percentile of {motion.gaussians:,} Gaussians; "
        f"{_number(motion.moving_median, 2)} where it moves "
        f"({_number(motion.if_still, 2)} if they stood still)",
        f"Dynamic score, moving against still surface: AUC {_number(motion.score_auc, 3)} "
        f"({motion.moving_gaussians:,} and {motion.still_gaussians:,} Gaussians)",
    ]


def _rows(kind: str, scores: Sequence[GroupScore]) -> list[str]:
    return [
        f"{f'{kind} {score.name}'.strip()[:13]:<14}{_cell(score.psnr_white)}"
        f"{_cell(score.psnr_black)}{_cell(score.psnr_moving)}{_cell(score.ssim_white, 4)}"
        f"{_cell(score.ssim_moving, 4)}"
        for score in scores
    ]


def _cell(value: float, digits: int = 2) -> str:
    return f"{_number(value, digits):>9}"


def _number(value: float, digits: int) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"
