# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the square frames, cut out, that a clip's fit sees: the input for generators of views."""

from __future__ import annotations

import argparse

from .clip_arguments import add_clip_command, clip_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_clip_command(parser, "cut", "FRAMES")


def run(arguments: argparse.Namespace) -> int:
    options = clip_options(arguments)

    from ..clip import load_clip
    from ..console import progress_listener
    from ..views.frames import write_frames

    with progress_listener(arguments.progress) as listener:
        clip = load_clip(arguments.clip, options, listener)
        count = write_frames(clip, arguments.output, listener)
    if arguments.progress != "json":
        print(
            f"Wrote {count} frames to {arguments.output}; generate views of them, then fit the "
            "same frames of the clip with --views-folder."
        )
    return 0
