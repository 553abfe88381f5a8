# SPDX-License-Identifier: GPL-3.0-or-later
"""Run `ds4d fit` as a user would, and time the whole command."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def add_fit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every fit of a benchmark is given, and where results go."""
    parser.add_argument("--preset", default="draft")
    parser.add_argument("--set", nargs="+", default=[], help="settings of the fit, key=value")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tag", default="", help="added to the names of the files written")
    parser.add_argument("--json", type=Path, help="default: in benchmarks/cache")
    parser.add_argument("--resume", action="store_true", help="keep the clips that --json holds")


def fit_arguments(options: argparse.Namespace) -> list[str]:
    """Return `add_fit_options`'s settings as arguments of `ds4d fit`."""
    changes = ["--set", *options.set] if options.set else []
    return ["--preset", options.preset, "--seed", str(options.seed), *changes]


def fit(source: Path, output: Path, arguments: list[str]) -> dict[str, Any]:
    """Fit one clip; return the command and the seconds that it took, start to end."""
    command = ["fit", str(source), "-o", str(output), *arguments]
    output.parent.mkdir(parents=True, exist_ok=True)
    print("$ ds4d", " ".join(command), file=sys.stderr, flush=True)
    started = time.monotonic()
    status = subprocess.run([sys.executable, "-m", "ds4d_engine", *command], check=False).returncode
    seconds = round(time.monotonic() - started, 1)
    if status:
        sys.exit(f"The fit of {source} ended with exit code {status}.")
    return {"command": ["ds4d", *command], "seconds": seconds}


def finished_clips(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the clips that a file of results holds, where --resume asks for them."""
    if not options.resume or not path.exists():
        return {}
    document = json.loads(path.read_text())
    if document["arguments"] != fit_arguments(options):
        sys.exit(f"{path} holds fits with other arguments: {' '.join(document['arguments'])}.")
    clips: dict[str, Any] = document["clips"]
    return clips
