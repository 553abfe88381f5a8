# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn another system's calibration and videos into a dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

SYSTEMS = ("qualisys",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("system", choices=SYSTEMS, help="where the calibration comes from")
    parser.add_argument("calibration", type=Path, metavar="CALIB", help="its .qca.txt file")
    parser.add_argument("videos", type=Path, metavar="VIDEOS_DIR", help="one video per camera")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DATASET", help="folder to write"
    )


def run(arguments: argparse.Namespace) -> int:
    from ..data import convert_qualisys

    convert_qualisys(arguments.calibration, arguments.videos, arguments.output)
    print(f"Wrote {arguments.output}; fit it with `ds4d fit {arguments.output} -o clip.ds4d`.")
    return 0
