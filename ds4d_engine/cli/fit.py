# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit an animated asset to one clip, or to a clip from several cameras.

Ctrl-C once ends the fit early with a usable asset and a checkpoint; twice aborts.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..control import Cancelled, Control, Speaker
from ..failures import CRASH, INTERRUPTED, MACHINE_ERRORS, failure_of
from ..fit.files import checkpoint_path, unfinished
from ..seam.errors import ConfigError, EngineError
from ..seam.events import Event, Failure, Result
from . import settings
from .arguments import add_progress, check_output
from .sources import add_source_options, names_clip, no_views, read_source

if TYPE_CHECKING:
    from ..fit import FitConfig, FitResult

PREVIEW_SECONDS = 5.0
EXIT_ERROR = 2
EXIT_CODES = {CRASH: 1, INTERRUPTED: 130}
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "ds4d fit CLIP|DATASET -o FILE [--preset NAME] [--SETTING VALUE ...] [options]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_fit_options(parser, needs_output=True)


def add_fit_options(parser: argparse.ArgumentParser, *, needs_output: bool) -> None:
    """Add every option that says what is fitted, how, and how it is followed."""
    from ..fit.config import PRESETS, FitConfig

    parser.add_argument(
        "dataset",
        metavar="CLIP|DATASET",
        help="a video, a folder of pictures, or a dataset folder of several cameras",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=needs_output,
        metavar="FILE",
        help="the .ds4d file to write",
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
    _add_following(parser)
    add_source_options(parser)
    settings.add_options(parser, FitConfig, skip=("preset",))


def _add_following(parser: argparse.ArgumentParser) -> None:
    """Add how a fit is followed and steered."""
    add_progress(parser)
    parser.add_argument(
        "--control",
        action="store_true",
        help="be told on stdin to start, pause, continue and cancel, by JSON lines of a program",
    )
    parser.add_argument(
        "--preview-seconds",
        type=float,
        metavar="SECONDS",
        help=f"time between previews beside the output (default: none; {PREVIEW_SECONDS:g} with "
        "--control)",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.control and arguments.progress != "json":
        raise ConfigError("--control is for programs; add --progress json.")
    control = Control.over_standard_streams() if arguments.control else None
    say = control.say if control else _speaker(arguments.progress)
    kept = _last_kept(arguments.output)
    try:
        if control:
            control.open()
            control.wait_for_start()
        event = _result_event(result := _fit(arguments, control, say))
    except Cancelled:
        event, result = Result({}, {"stopped": 1.0}), None
    except (Exception, KeyboardInterrupt) as error:
        return _fail(error, _failure(error, arguments, kept), control, say)
    if control:
        control.close()
    say(event)
    if result is not None and arguments.progress != "json":
        print(_report(result))
    return 0


def _fail(
    error: BaseException, failure: Failure, control: Control | None, say: Callable[[Event], None]
) -> int:
    """Tell of a failure; raise it for the command line, or return the exit code."""
    crashed = failure.error == CRASH
    if control:
        # Whoever hears the failure may be gone a moment later, and the process with it.
        if crashed:
            traceback.print_exception(error)
        control.close(EXIT_CODES.get(failure.error, EXIT_ERROR))
    say(failure)
    if crashed and control:
        return EXIT_CODES[CRASH]
    if failure.error in MACHINE_ERRORS and not crashed:
        raise EngineError(failure.message) from error
    raise error


def _fit(
    arguments: argparse.Namespace, control: Control | None, say: Callable[[Event], None]
) -> FitResult:
    config = fit_config(arguments)
    output: Path = arguments.output
    if output.suffix.lower() != ".ds4d":
        raise ConfigError(f"The output {output} must end in .ds4d.")
    check_output(output)
    seconds = preview_seconds(arguments)
    if control:
        control.leftovers += unfinished(output)

    from ..console import progress_listener
    from ..fit import fit
    from ..fit.companion import Companion
    from ..fit.config import CLIP_SIZES
    from ..fit.previewer import Previewer

    listening = nullcontext(control.listen) if control else progress_listener(arguments.progress)
    with listening as listener:
        size = CLIP_SIZES[arguments.preset]
        dataset = read_source(
            arguments,
            listener,
            holdout=arguments.holdout,
            size=size,
            picture_memory=config.picture_memory << 20,
        )
        previewer = Previewer(dataset, output, seconds, say) if seconds else None
        # Until here there is nothing to keep, so Ctrl-C aborts.
        with stop_on_signal(control) if control else stop_on_signal() as should_stop:
            try:
                return fit(
                    dataset,
                    config,
                    output,
                    listener=listener,
                    should_stop=should_stop,
                    resume=arguments.resume,
                    allow_download=arguments.allow_download,
                    visitor=Companion(control, previewer),
                )
            finally:
                if previewer:
                    previewer.remove()


def fit_config(arguments: argparse.Namespace) -> FitConfig:
    """Return the settings that the options ask for, for what the options name.

    Raises:
        ConfigError: a value does not fit, or two contradict each other.
    """
    from ..fit.config import FitConfig

    changes = settings.given(arguments, FitConfig, skip=("preset",))
    single = names_clip(arguments.dataset)
    kind = "dataset" if not single else "clip" if no_views(arguments) else "views"
    return FitConfig.preset_named(arguments.preset, kind).replace(**changes)


def preview_seconds(arguments: argparse.Namespace) -> float:
    """Return the time between previews; 0 writes none.

    Raises:
        ConfigError: it is no time.
    """
    seconds = arguments.preview_seconds
    if seconds is None:
        return PREVIEW_SECONDS if arguments.control else 0.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"--preview-seconds is {seconds:g}; give 0 for none, or a time.")
    return float(seconds)


def _speaker(progress: str) -> Callable[[Event], None]:
    return Speaker(sys.stdout).say if progress == "json" else lambda event: None


def _failure(error: BaseException, arguments: argparse.Namespace, kept: int | None) -> Failure:
    """Return what to tell of an error.

    A checkpoint is worth going on from if this run wrote it, or was going on from it when the
    machine failed it.
    """
    failure = failure_of(error)
    now = _last_kept(arguments.output)
    going_on = arguments.resume and failure.error in MACHINE_ERRORS
    resumable = now is not None and (now != kept or going_on)
    return dataclasses.replace(failure, resumable=resumable)


def _last_kept(output: Path) -> int | None:
    """Return when the checkpoint beside an output was written; None where there is none."""
    try:
        return checkpoint_path(output).stat().st_mtime_ns
    except (OSError, ValueError):
        return None


@contextmanager
def stop_on_signal(control: Control | None = None) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C (or a request to terminate) has come.

    The second one raises KeyboardInterrupt; so does the first in a run that was cancelled already.
    """
    requested = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        if requested or (control and control.should_stop()):
            raise KeyboardInterrupt
        requested = True
        if control:
            control.cancel()
        print("ds4d: finishing with what there is; again aborts", file=sys.stderr, flush=True)

    numbers = [getattr(signal, name) for name in _STOP_SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: requested or (control is not None and control.should_stop())
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
