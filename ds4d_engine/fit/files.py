# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies beside the asset that a fit writes."""

from __future__ import annotations

from pathlib import Path


def checkpoint_path(output: Path) -> Path:
    """Return where the checkpoint of an asset lies."""
    return output.with_suffix(output.suffix + ".checkpoint")


def preview_paths(output: Path) -> tuple[Path, Path]:
    """Return where the asset and the picture lie that show how far a fit is."""
    return (
        output.with_name(output.name + ".preview.ds4d"),
        output.with_name(output.name + ".preview.png"),
    )


def part_path(path: Path) -> Path:
    """Return where a file is written before it takes its name."""
    return path.with_name(path.name + ".part")


def unfinished(output: Path) -> list[Path]:
    """Return what an ended fit has no use for: previews, and files that were not finished."""
    previews = preview_paths(output)
    return [*previews, *map(part_path, (output, checkpoint_path(output), *previews))]
