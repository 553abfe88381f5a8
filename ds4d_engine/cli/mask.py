# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the object in each frame of a clip; write masks and a contact sheet to check them."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_dataset_options, add_progress
from .clip_arguments import add_clip_options, clip_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "ds4d mask CLIP -o MASKS [options]"
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a video or a folder of pictures")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="MASKS", help="new folder to write"
    )
    add_clip_options(parser)
    add_dataset_options(parser)
    add_progress(parser)


def run(arguments: argparse.Namespace) -> int:
    options = clip_options(arguments)

    from ..clip.preview import write_masks
    from ..clip.sources import SHEET_NAME
    from ..console import progress_listener

    with progress_listener(arguments.progress) as listener:
        name, count = write_masks(arguments.clip, arguments.output, options, listener)
    if arguments.progress != "json":
        print(
            f"Wrote {count} masks ({name}) to {arguments.output}; look at "
            f"{arguments.output / SHEET_NAME}, then fit with --masks {arguments.output}."
        )
    return 0
