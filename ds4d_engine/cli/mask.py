# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the object in each frame of a clip; write masks and a contact sheet to check them."""

from __future__ import annotations

import argparse

from .clip_arguments import add_clip_command, clip_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_clip_command(parser, "mask", "MASKS")


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
