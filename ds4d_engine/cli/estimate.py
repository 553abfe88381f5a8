# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what a fit will take on this machine: time, memory and disk. Takes the options of a fit."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from ..seam.errors import ConfigError
from ..seam.events import silent
from .arguments import dataset_options, write_json
from .clip_arguments import clip_options
from .fit import add_fit_options, fit_config
from .sources import names_clip, no_views, read_source

if TYPE_CHECKING:
    from ..estimate import Estimate, Outlook

SAMPLED_FRAMES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "ds4d estimate CLIP|DATASET [the options of ds4d fit] [--json]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_fit_options(parser, needs_output=False)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    if names_clip(arguments.dataset) and not no_views(arguments):
        raise ConfigError(
            "How long a fit with generated views takes depends on the model that makes them, and "
            "cannot be estimated; leave the views out."
        )
    config = fit_config(arguments)
    outlook = _outlook(arguments)

    from ..estimate import as_dict, estimate

    result = estimate(outlook, config, arguments.output)
    if arguments.json:
        write_json("-", as_dict(result))
    else:
        print(_report(result))
    return 0


def _outlook(arguments: argparse.Namespace) -> Outlook:
    """Read a sample of the source, and count its frames without reading them."""
    if not names_clip(arguments.dataset):
        return _dataset_outlook(arguments)
    return _clip_outlook(arguments)


def _clip_outlook(arguments: argparse.Namespace) -> Outlook:
    from ..clip.footage import WORKING_SIDE
    from ..clip.options import SEQUENCE_FPS
    from ..clip.sources import open_source
    from ..estimate import Outlook, timed_per_frame
    from ..fit.config import CLIP_SIZES

    options = clip_options(arguments)
    source = open_source(Path(arguments.dataset))
    fps = options.source_fps or source.fps or SEQUENCE_FPS
    indices = options.frames(source.count, fps, str(source.path))
    few = argparse.Namespace(**vars(arguments))
    few.end = indices[min(SAMPLED_FRAMES, len(indices)) - 1] + 1
    size = CLIP_SIZES[arguments.preset]
    sample, seconds = timed_per_frame(lambda: read_source(few, silent, size=size))
    # working copies of the frames and of the masks
    working = 6 * WORKING_SIDE * WORKING_SIDE
    return Outlook(sample, len(indices), seconds, working)


def _dataset_outlook(arguments: argparse.Namespace) -> Outlook:
    from ..data.dataset import Selection
    from ..data.loading import count_moments
    from ..estimate import Outlook, timed_per_frame

    given = dataset_options(arguments)
    given.pop("masks", None)
    selection = Selection(**given)
    chosen = selection.frames(count_moments(arguments.dataset), str(arguments.dataset))
    few = argparse.Namespace(**vars(arguments))
    few.end = chosen[min(SAMPLED_FRAMES, len(chosen)) - 1] + 1
    sample, seconds = timed_per_frame(lambda: read_source(few, silent, holdout=arguments.holdout))
    return Outlook(sample, len(chosen), seconds, 0)


def _report(result: Estimate) -> str:
    from ..console import duration_text

    mega = {
        field.name: getattr(result, field.name) / 1e6
        for field in dataclasses.fields(result)
        if field.name.endswith("_bytes") and getattr(result, field.name) is not None
    }
    views = f", {result.views} cameras" if result.views > 1 else ""
    return "\n".join(
        [
            f"{result.frames} frames{views} of {result.width} x {result.height} pixels, up to "
            f"{result.gaussians:,} Gaussians",
            f"time    about {duration_text(result.seconds)} ({result.steps:,} steps of "
            f"{1e3 * result.step_seconds:.3g} ms)",
            f"memory  about {mega['memory_bytes']:,.0f} MB",
            f"disk    up to {mega['asset_bytes']:,.0f} MB for the asset, "
            f"{mega['checkpoint_bytes']:,.0f} MB for the checkpoint",
        ]
    )
