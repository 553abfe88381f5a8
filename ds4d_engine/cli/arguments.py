# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments that several commands share, and how they are read and written."""

from __future__ import annotations

import argparse
import difflib
import json
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..seam.errors import ConfigError, EngineError

BACKENDS = ("auto", "cpu", "gsplat", "torch")


class Parser(argparse.ArgumentParser):
    """Argument parser whose complaints are ConfigErrors that name what was probably meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse; raise ConfigError for anything that does not fit."""
        arguments, extra = self.parse_known_args(words)
        if extra:
            self._refuse(extra)
        return arguments

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see `{self.prog} --help`.")

    def _refuse(self, extra: Sequence[str]) -> NoReturn:
        flags = [word for word in extra if word.startswith("-")]
        if not flags:
            raise ConfigError(f"Too many arguments: {' '.join(extra)}; see `{self.prog} --help`.")
        flag = flags[0].split("=")[0]
        known = list(self._option_string_actions)
        raise ConfigError(f"There is no option {flag}; {near_names(flag, known, self.prog)}")


def near_names(name: str, known: Sequence[str], prog: str) -> str:
    """Return the end of a sentence that offers the known names nearest to a mistyped one."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"see `{prog} --help`."


def positive(kind: Callable[[str], float]) -> Callable[[str], Any]:
    """Return an argparse type that takes numbers above zero only."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not (math.isfinite(value) and value > 0):
            raise argparse.ArgumentTypeError(f"{text} is not above zero")
        return value

    return convert


def image_size(text: str) -> tuple[int, int]:
    """Argparse type: "256" (square) or "640x360" to (width, height)."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if not match or "0" in (match[1], match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 512 or 640x360")
    return int(match[1]), int(match[2] or match[1])


def add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=BACKENDS, default="auto", help="rasteriser (default: auto)"
    )
    parser.add_argument(
        "--threads", type=positive(int), metavar="N", help="CPU threads (default: every core)"
    )


def use_threads(arguments: argparse.Namespace) -> None:
    """Set the rasteriser's threads as `add_backend`'s --threads says."""
    if arguments.threads is not None:
        from ..raster import set_threads

        set_threads(arguments.threads)


def add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--progress",
        choices=("bar", "json", "none"),
        default="bar",
        help="bar on stderr, JSON lines on stdout for programs, or none (default: bar)",
    )


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("dataset")
    group.add_argument("--masks", type=Path, metavar="DIR", help="folder of mask videos or images")
    group.add_argument("--start", type=int, metavar="N", help="first source frame (default: 0)")
    group.add_argument("--end", type=int, metavar="N", help="source frame to stop before")
    group.add_argument(
        "--stride", type=positive(int), metavar="N", help="take every Nth source frame"
    )
    group.add_argument(
        "--max-side",
        type=positive(int),
        metavar="PIXELS",
        help="scale pictures down until no side is longer",
    )


def dataset_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was given of `add_dataset_options`, as keywords of `load_dataset`."""
    names = ("masks", "start", "end", "stride", "max_side")
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def check_output(path: Path) -> None:
    """Refuse a file that could not be written, before hours are spent on what goes into it.

    Raises:
        ConfigError: its folder is missing or may not be written to, or it is a folder itself.
    """
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"The output's folder {folder} does not exist; make it first.")
    if path.is_dir():
        raise ConfigError(f"The output {path} is a folder; name a file.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"The output's folder {folder} cannot be written to; choose another.")


def write_json(target: str, document: Any) -> None:
    """Write JSON to a file, whole or not at all, or to stdout for "-".

    Raises:
        EngineError: the file cannot be written.
    """
    text = json.dumps(document, indent=2, allow_nan=False)
    if target == "-":
        print(text)
        return
    path = Path(target)
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EngineError(f"Cannot write {path}: {error.strerror or error}.") from error
