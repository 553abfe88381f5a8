# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of the commands that read one clip."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..seam.errors import ConfigError
from .arguments import add_dataset_options, add_progress, positive

if TYPE_CHECKING:
    from ..clip import ClipOptions

CROPS = ("auto", "off")
MATTES = ("auto", "alpha", "masks", "plain", "grabcut", "rembg", "none")
_OWN = ("fps", "source_fps", "size", "crop", "matte", "rembg_model")
_SHARED = ("masks", "start", "end", "stride")


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    """Add what only a single clip has; frames and masks are in `add_dataset_options`."""
    group = parser.add_argument_group("one clip")
    group.add_argument(
        "--fps",
        type=positive(float),
        metavar="FPS",
        help="take so many frames per second, the nearest ones (instead of --stride)",
    )
    group.add_argument(
        "--source-fps",
        type=positive(float),
        metavar="FPS",
        help="frame rate of a folder of pictures, or of a video that states a wrong one "
        "(default: the clip's; 24 for pictures)",
    )
    group.add_argument(
        "--size",
        type=positive(int),
        metavar="PIXELS",
        help="side of the square that is cut out (default: 128; a fit's preset may say more)",
    )
    group.add_argument(
        "--crop", choices=CROPS, help="off: the clip is square already, only scale it"
    )
    group.add_argument(
        "--matte", choices=MATTES, help="how the object is found (default: auto, what fits)"
    )
    group.add_argument(
        "--rembg-model",
        type=Path,
        metavar="ONNX",
        help="a segmentation model that you have, for the package rembg",
    )


def add_clip_command(parser: argparse.ArgumentParser, command: str, output: str) -> None:
    """Add what a command has that reads a clip and writes a new folder, called `output`."""
    parser.usage = f"ds4d {command} CLIP -o {output} [options]"
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a video or a folder of pictures")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar=output, help="new folder to write"
    )
    add_clip_options(parser)
    add_dataset_options(parser)
    add_progress(parser)


def clip_options(arguments: argparse.Namespace) -> ClipOptions:
    """Return what was given of `add_clip_options` and the frames and masks beside it.

    Raises:
        ConfigError: a value is out of range, or two contradict each other.
    """
    from ..clip import ClipOptions

    if getattr(arguments, "max_side", None) is not None:
        raise ConfigError("--max-side is for several cameras; a clip has --size.")
    given = {
        name: value
        for name in (*_SHARED, *_OWN)
        if (value := getattr(arguments, name, None)) is not None
    }
    return ClipOptions(**given)


def given_clip_options(arguments: argparse.Namespace) -> list[str]:
    """Return the flags of `add_clip_options` that were given, such as "--fps"."""
    return [f"--{name.replace('_', '-')}" for name in _OWN if getattr(arguments, name) is not None]
