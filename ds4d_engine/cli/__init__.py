# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `ds4d`: one module per subcommand, loaded only when it is asked for."""

from __future__ import annotations

import difflib
import importlib
import itertools
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..seam.errors import ConfigError, DS4DError
from ..seam.events import Failure, to_json_line
from .arguments import Parser

COMMANDS = {
    "fit": "fit an animated asset to one clip, or to a clip from several cameras",
    "render": "draw an asset: a picture, a video or a folder of pictures",
    "sheet": "show an asset from several sides at several times in one picture",
    "mask": "find the object in each frame of a clip, and preview the masks",
    "estimate": "say what a fit will take on this machine: time, memory, disk",
    "evaluate": "compare an asset with the source from its held-out cameras",
    "info": "say what an asset holds",
    "cut": "write the frames of a clip as the fit sees them, for generators of views",
    "convert": "turn another system's calibration and videos into a dataset",
    "doctor": "say what runs on this machine, and the remedy for what does not",
}

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a foreseen error is one line on stderr, code 2."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except DS4DError as error:
        print(f"ds4d: error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("ds4d: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (such as `head`) has seen enough; Python would complain again while exiting.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR


def _run(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    name, *rest = words
    if name == "--version":
        print(f"ds4d {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(COMMANDS)}."
        raise ConfigError(f"There is no command {name!r}; {hint}")
    module = importlib.import_module(f".{name}", __name__)
    parser = Parser(prog=f"ds4d {name}", description=module.__doc__)
    module.add_arguments(parser)
    try:
        arguments = parser.parse(rest)
    except SystemExit as end:  # --help has printed what it prints
        return int(end.code or 0)
    except ConfigError as error:
        # The command itself tells a listening program of everything that comes later.
        if _heard_by_a_program(rest):
            print(to_json_line(Failure(str(error), type(error).__name__)), flush=True)
        raise
    code: int = module.run(arguments)
    return code


def _heard_by_a_program(words: Sequence[str]) -> bool:
    """Tell whether words that could not be parsed ask for events on stdout."""
    return "--progress=json" in words or ("--progress", "json") in itertools.pairwise(words)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ds4d COMMAND ...",
            "",
            "Video in, animated 4D Gaussians out.",
            "",
            *lines,
            "",
            "`ds4d COMMAND --help` explains a command; `ds4d --version` names this version.",
        ]
    )
