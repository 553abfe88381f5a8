# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the scores around a front clip, and the bars that they are held against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from single_scores import mean_of, summarise

MAIN = ("robot-dance", "fox-walk", "bee-spit")
AZIMUTHS = {
    "0": (0,),
    "±15": (15, -15),
    "±30": (30, -30),
    "±60": (60, -60),
    "-75": (-75,),
    "105": (105,),
    "195": (195,),
}
PAPER = (-75, 15, 105, 195)
"""The test azimuths of Consistent4D, which DS4D evaluates at."""
ROWS = {"card": "flat card", "shape": "shape without motion", "ours": "ours"}
# Gains over the card in dB and in IoU, on the mean of the main clips.
GAINS = {
    "±15": (-0.3, None),
    "±30": (0.8, None),
    "±60": (1.5, 0.18),
    "105": (1.8, 0.30),
    "195": (-0.3, None),
}
FRONT = (31.0, 0.95)
FORESHORTENED, FORESHORTENED_LOSS = "fox-survey", -0.3

Clips = dict[str, dict[str, Any]]


def front_table(clips: Clips) -> str:
    """Return PSNR / IoU by azimuth and row: the mean of the main clips, then every clip."""
    lines = ["| clips | azimuth | " + " | ".join(ROWS.values()) + " |"]
    lines.append("|" + "---|" * (len(ROWS) + 2))
    for title, names in _groups(clips):
        for label in AZIMUTHS:
            cells = []
            for row in ROWS:
                mean = _mean(clips, names, row, AZIMUTHS[label])
                input_itself = row == "card" and label == "0"
                cells.append("input" if input_itself else f"{mean['psnr']:.2f} / {mean['iou']:.3f}")
            lines.append(f"| {title} | {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def quality_table(clips: Clips) -> str:
    """Return the further measures of every row, by azimuth."""
    head = ["clips", "azimuth", "pooled dB", "SSIM", "FLIP", "change /255"]
    lines = [
        "Card, shape without motion, ours:",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    digits = {"psnr_pooled": 2, "ssim": 3, "flip": 3, "change": 2}
    for title, names in _groups(clips):
        for label, azimuths in list(AZIMUTHS.items())[1:]:
            means = [_mean(clips, names, row, azimuths) for row in ROWS]
            cells = [", ".join(f"{m[key]:.{n}f}" for m in means) for key, n in digits.items()]
            lines.append(f"| {title} | {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def views_table(clips: Clips, models: Iterable[str]) -> str:
    """Return the measures of every model at the paper's test views, mean of the four views."""
    head = ["clips", "motion", *(f"{azimuth}°" for azimuth in PAPER)]
    head += ["mean dB", "pooled dB", "SSIM", "FLIP", "IoU", "change /255"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for title, names in _groups(clips):
        for row in models:
            cells = [f"{_mean(clips, names, row, (azimuth,))['psnr']:.2f}" for azimuth in PAPER]
            mean = _mean(clips, names, row, PAPER)
            cells += [f"{mean['psnr']:.2f}", f"{mean['psnr_pooled']:.2f}", f"{mean['ssim']:.3f}"]
            cells += [f"{mean['flip']:.3f}", f"{mean['iou']:.3f}", f"{mean['change']:.2f}"]
            lines.append(f"| {title} | {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def checks(clips: Clips) -> list[dict[str, Any]]:
    """Return the bars that the finished clips allow to judge: what each says, and if it holds."""
    found = []
    if all(name in clips for name in MAIN):
        ours = _mean(clips, MAIN, "ours", AZIMUTHS["0"])
        found.append(_check("0", "dB", ours["psnr"], FRONT[0]))
        found.append(_check("0", "IoU", ours["iou"], FRONT[1]))
        for label, (decibels, overlap) in GAINS.items():
            card = _mean(clips, MAIN, "card", AZIMUTHS[label])
            ours = _mean(clips, MAIN, "ours", AZIMUTHS[label])
            gain = ours["psnr"] - card["psnr"]
            found.append(_check(label, "dB above the card", gain, decibels))
            if overlap is not None:
                gain = ours["iou"] - card["iou"]
                found.append(_check(label, "IoU above the card", gain, overlap))
    if FORESHORTENED in clips:
        gains = {
            label: _mean(clips, (FORESHORTENED,), "ours", azimuths)["psnr"]
            - _mean(clips, (FORESHORTENED,), "card", azimuths)["psnr"]
            for label, azimuths in list(AZIMUTHS.items())[1:]
        }
        worst = min(gains, key=lambda label: gains[label])
        what = f"dB above the card, {FORESHORTENED}'s worst"
        found.append(_check(worst, what, gains[worst], FORESHORTENED_LOSS))
    return found


def _check(label: str, what: str, value: float, bar: float) -> dict[str, Any]:
    passed = value >= bar
    says = f"azimuth {label}: {value:.3f} {what}, at least {bar:g} wanted"
    return {"azimuth": label, "value": value, "bar": bar, "passed": passed, "says": says}


def _groups(clips: Clips) -> list[tuple[str, tuple[str, ...]]]:
    means = [("mean of three", MAIN)] if all(name in clips for name in MAIN) else []
    return means + [(name, (name,)) for name in clips]


def _mean(
    clips: Clips, names: Iterable[str], row: str, azimuths: Iterable[int]
) -> dict[str, float]:
    chosen = tuple(azimuths)
    return mean_of([summarise(clips[name]["scores"][row], chosen) for name in names])
