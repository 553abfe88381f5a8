# SPDX-License-Identifier: GPL-3.0-or-later
"""What more Gaussians bring: fits that differ in nothing but how many they may have."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ablation_tables import Row, protocol_and_clip, spent

Key = tuple[str, str, str]
"""Protocol, budget, model."""


def count_table(rows: Iterable[Row]) -> str:
    """Return a Markdown table: a line for each protocol, budget and model, a column for each count.

    A cell is the mean over the clips that all of its line's counts have (one seed): PSNR on moving
    pixels, megabytes, and the motion error in percent of the size. A line needs two counts.
    """
    lines: dict[Key, dict[int, dict[str, Row]]] = {}
    for row in rows:
        protocol, clip = protocol_and_clip(row)
        key = (protocol, f"{spent(row)}, {row['preset']}", row["variant"])
        lines.setdefault(key, {}).setdefault(row["settings"]["max_gaussians"], {})[clip] = row
    lines = {key: line for key, line in lines.items() if len(line) > 1}
    counts = sorted({count for line in lines.values() for count in line})
    head = ["clips", "budget", "model", *(f"{count:,}" for count in counts)]
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for key in sorted(lines, key=lambda key: (key[0], key[1], key[2] != "ds4d", key[2])):
        line = lines[key]
        clips = sorted(set.intersection(*(set(fits) for fits in line.values())))
        protocol, budget, model = key
        cells = [f"{protocol}: {', '.join(clips)}", budget, model]
        cells += [
            _cell([line[count][clip] for clip in clips] if count in line else [])
            for count in counts
        ]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def _cell(fits: list[Row]) -> str:
    if not fits:
        return ""
    moving = np.mean([fit["scores"]["psnr_moving"] for fit in fits])
    size = np.mean([fit["asset_mb"] for fit in fits])
    error = np.mean([fit["scores"]["motion_error_moving"] for fit in fits])
    return f"{moving:.2f} / {size:.2f} / {error:.2f}"
