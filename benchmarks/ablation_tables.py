# SPDX-License-Identifier: GPL-3.0-or-later
"""What rows of an ablation say: means, spread over seeds, and differences of like from like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ablation_variants import GROUPS

Row = dict[str, Any]

COLUMNS: tuple[tuple[str, str, Callable[[Row], float | None]], ...] = (
    ("white dB", ".2f", lambda row: row["scores"]["psnr_white"]),
    ("SSIM", ".4f", lambda row: row["scores"]["ssim_white"]),
    ("flicker /255", ".3f", lambda row: row["scores"]["flicker_mean"]),
    ("motion error, % of size", ".2f", lambda row: row["scores"].get("motion_error_moving")),
    ("moving Gaussians", ",.0f", lambda row: row["dynamic"]),
    ("MB", ".2f", lambda row: row["asset_mb"]),
    ("steps", ",.0f", lambda row: row["steps"]),
    ("CPU s", ".0f", lambda row: row["cpu_seconds"]),
)


@dataclass(frozen=True)
class Study:
    """Fits that may be compared: one group, protocol and budget, the same clips and seeds."""

    group: str
    protocol: str
    budget: str
    rows: dict[str, dict[tuple[str, int], Row]]  # variant -> (clip, seed) -> row

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Clips and seeds that every variant has; a seed that not every clip has is left out."""
        common = set.intersection(*(set(fits) for fits in self.rows.values()))
        clips, seeds = {clip for clip, _ in common}, {seed for _, seed in common}
        whole = {seed for seed in seeds if all((clip, seed) in common for clip in clips)}
        return sorted((clip, seed) for clip, seed in common if seed in whole)

    @property
    def clips(self) -> list[str]:
        """Names of the clips compared."""
        return sorted({clip for clip, _ in self.pairs})

    @property
    def seeds(self) -> list[int]:
        """Seeds compared."""
        return sorted({seed for _, seed in self.pairs})

    def label(self, variant: str) -> str:
        """Return a variant's name in tables."""
        return GROUPS[self.group][variant].label

    def moving(self, variant: str) -> dict[tuple[str, int], float]:
        """Return PSNR on moving pixels by clip and seed."""
        return {pair: self.rows[variant][pair]["scores"]["psnr_moving"] for pair in self.pairs}

    def gain(self, variant: str) -> dict[tuple[str, int], float]:
        """Return how much better a variant shows what moves than the first one, in dB."""
        first = self.moving(next(iter(self.rows)))
        return {pair: value - first[pair] for pair, value in self.moving(variant).items()}


def mean_and_spread(values: dict[tuple[str, int], float]) -> tuple[float, float]:
    """Return the mean over clips and seeds, and the deviation over seeds of the mean of clips.

    One seed has no spread: NaN.
    """
    seeds = sorted({seed for _, seed in values})
    means = [np.mean([v for (_, s), v in values.items() if s == seed]) for seed in seeds]
    spread = float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
    return float(np.mean(means)), spread


def studies(rows: list[Row]) -> list[Study]:
    """Sort rows into studies, variants in their tables' order; a later row replaces an earlier."""
    found: dict[tuple[str, str, str], dict[str, dict[tuple[str, int], Row]]] = {}
    for row in rows:
        protocol, clip = protocol_and_clip(row)
        fits = found.setdefault((row["group"], protocol, budget(row)), {})
        fits.setdefault(row["variant"], {})[clip, row["seed"]] = row
    return [
        Study(*key, {name: fits[name] for name in GROUPS[key[0]] if name in fits})
        for key, fits in found.items()
    ]


def budget(row: Row) -> str:
    """Name what a fit was given."""
    most = row["settings"].get("max_gaussians")
    return spent(row) + (f", up to {most:,} Gaussians" if most else f", preset {row['preset']}")


def spent(row: Row) -> str:
    """Name the seconds or steps that a fit took."""
    seconds = row["settings"].get("seconds")
    return f"{seconds:g} s" if seconds else f"{row['steps']:,} steps"


def protocol_and_clip(row: Row) -> tuple[str, str]:
    """Return what a clip was captured for, and its name."""
    protocol, _, clip = row["clip"].rpartition("/")
    return protocol or "dense", clip


def table(study: Study) -> str:
    """Return a study as a Markdown table, the first variant as what others are measured by."""
    first = study.label(next(iter(study.rows)))
    head = ["", "moving dB", f"over {first.split()[0]}", *(title for title, _, _ in COLUMNS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for variant in study.rows:
        cells = [study.label(variant), _with_spread(study.moving(variant), ".2f")]
        cells.append(_with_spread(study.gain(variant), "+.2f"))
        fits = [study.rows[variant][pair] for pair in study.pairs]
        cells += [_mean([of(fit) for fit in fits], style) for _, style, of in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_clip(study: Study) -> str:
    """Return PSNR on all and on moving pixels of each clip, mean over seeds, as Markdown."""
    lines = ["| white / moving dB | " + " | ".join(study.clips) + " |"]
    lines.append("|" + "---|" * (len(study.clips) + 1))
    for variant, fits in study.rows.items():
        cells = [study.label(variant)]
        for clip in study.clips:
            scores = [fits[clip, seed]["scores"] for seed in study.seeds]
            cells.append(
                " / ".join(
                    f"{np.mean([score[name] for score in scores]):.2f}"
                    for name in ("psnr_white", "psnr_moving")
                )
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def section(study: Study) -> str:
    """Return a study's heading, what it compares, and its tables."""
    clips, seeds = ", ".join(study.clips), len(study.seeds)
    lines = [f"**{study.protocol}, {study.budget}** ({clips}; {seeds} seed{'s' * (seeds > 1)})"]
    return "\n\n".join([*lines, table(study), by_clip(study)])


def _with_spread(values: dict[tuple[str, int], float], style: str) -> str:
    mean, spread = mean_and_spread(values)
    return f"{mean:{style}}" + ("" if np.isnan(spread) else f" ± {spread:.2f}")


def _mean(values: list[float | None], style: str) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):{style}}" if known else "n/a"
