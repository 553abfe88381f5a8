# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit an animated asset to one clip, or to a clip from several cameras.

Ctrl-C once ends the fit early with a usable asset and a checkpoint; twice aborts.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..seam.errors import ConfigError, DS4DError
from ..seam.events import Failure, Result, to_json_line
from . import settings
from .arguments import add_progress, check_output
from .sources import add_source_options, names_clip, no_views, read_source

if TYPE_CHECKING:
    from ..fit import FitResult

_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..fit.config import PRESETS, FitConfig

    parser.usage = "ds4d fit CLIP|DATASET -o FILE [--preset NAME] [--SETTING VALUE ...] [options]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "dataset",
        metavar="CLIP|DATASET",
        help="a video, a folder of pictures, or a dataset folder of several cameras",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the .ds4d file to write"
    )
    parser.add_argument(
        "--preset", choices=tuple(PRESETS), default="standard", help="default: standard"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="set any setting by its name, as the options below do",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint beside the output"
    )
    parser.add_argument(
        "--holdout",
        nargs="+",
        action="extend",
        default=[],
        metavar="CAMERA",
        help="cameras to keep for evaluation, besides the dataset's own test cameras",
    )
    add_progress(parser)
    add_source_options(parser)
    settings.add_options(parser, FitConfig, skip=("preset",))


def run(arguments: argparse.Namespace) -> int:
    try:
        result = _fit(arguments)
    except DS4DError as error:
        if arguments.progress == "json":
            print(to_json_line(Failure(str(error), type(error).__name__)), flush=True)
        raise
    if arguments.progress == "json":
        print(to_json_line(_result_event(result)), flush=True)
    else:
        print(_report(result))
    return 0


def _fit(arguments: argparse.Namespace) -> FitResult:
    from ..fit.config import CLIP_SIZES, FitConfig

    changes = settings.given(arguments, FitConfig, skip=("preset",))
    single = names_clip(arguments.dataset)
    kind = "dataset" if not single else "clip" if no_views(arguments) else "views"
    config = FitConfig.preset_named(arguments.preset, kind).replace(**changes)
    if arguments.output.suffix.lower() != ".ds4d":
        raise ConfigError(f"The output {arguments.output} must end in .ds4d.")
    check_output(arguments.output)

    from ..console import progress_listener
    from ..fit import fit

    with progress_listener(arguments.progress) as listener:
        size = CLIP_SIZES[arguments.preset]
        dataset = read_source(arguments, listener, holdout=arguments.holdout, size=size)
        # Until here there is nothing to keep, so Ctrl-C aborts.
        with stop_on_signal() as should_stop:
            return fit(
                dataset,
                config,
                arguments.output,
                listener=listener,
                should_stop=should_stop,
                resume=arguments.resume,
                allow_download=arguments.allow_download,
            )


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C (or a request to terminate) has come.

    The second one raises KeyboardInterrupt.
    """
    requested = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True
        print("ds4d: finishing with what there is; again aborts", file=sys.stderr, flush=True)

    numbers = [getattr(signal, name) for name in _STOP_SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _result_event(result: FitResult) -> Result:
    values = _numbers(result.summary) | {"stopped": float(result.stopped)}
    return Result({"asset": str(result.asset_path)}, values)


def _report(result: FitResult) -> str:
    how = "Stopped early; wrote" if result.stopped else "Wrote"
    values = {key: value for key, value in result.summary.items() if not isinstance(value, bool)}
    numbers = ", ".join(f"{name} {value:.6g}" for name, value in _numbers(values).items())
    return f"{how} {result.asset_path}" + (f" ({numbers})" if numbers else "")


def _numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in summary.items() if isinstance(value, (int, float))}
