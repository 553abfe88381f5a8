# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables and plots of the ablations are made from rows of results alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    """The scripts, found as they find each other."""
    pytest.importorskip("matplotlib", reason="needs the package matplotlib")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("ablation", "ablation_tables", "ablation_variants", "report", "count_tables")
    yield tuple(__import__(name) for name in names)
    for name in names:
        sys.modules.pop(name, None)


def row(variant: str, seed: int, moving: float, clip: str = "paper/fox-walk") -> dict:
    scores = {"psnr_moving": moving, "psnr_white": 30.0, "ssim_white": 0.95, "flicker_mean": None}
    return {
        "group": "paper",
        "variant": variant,
        "clip": clip,
        "seed": seed,
        "preset": "draft",
        "settings": {"iterations": 1200, "max_gaussians": 3000},
        "scores": scores,
        "steps": 1200,
        "dynamic": 3000,
        "asset_mb": 4.0,
        "cpu_seconds": 30.0,
    }


ROWS = [row("B", 0, 21.0), row("A", 0, 20.0), row("A", 1, 22.0), row("B", 1, 24.0)]


def test_differences_are_taken_fit_by_fit_and_spread_over_seeds(modules) -> None:
    tables = modules[1]
    (study,) = tables.studies([*ROWS, row("A", 2, 30.0)])  # B has no seed 2
    lines = tables.table(study).splitlines()
    assert lines[2].startswith("| A HexPlane, random start | 21.00 ± 1.41 | +0.00 ± 0.00 | 30.00")
    assert lines[3].startswith("| B + points of the hull | 22.50 ± 2.12 | +1.50 ± 0.71 | 30.00")
    assert "n/a" in lines[2]  # no still pixels, no flicker


def test_a_seed_that_a_clip_lacks_is_left_out(modules) -> None:
    other = [row(name, 0, 25.0, "paper/bee-spit") for name in "AB"]
    (study,) = modules[1].studies([*ROWS, *other])
    assert study.pairs == [("bee-spit", 0), ("fox-walk", 0)]


def test_clips_are_shown_one_by_one_too(modules) -> None:
    clips = ("bee-spit", "fox-walk")
    fits = [
        row(variant, seed, moving + seed, clip) | {"group": "models"}
        for variant, moving in (("ds4d", 25.0), ("4dgs", 20.0))
        for seed in (0, 1)
        for clip in clips
    ]
    (study,) = modules[1].studies(fits)  # 4dgs starts from a preset of its own, in the same table
    assert modules[1].by_clip(study).splitlines() == [
        "| white / moving dB | bee-spit | fox-walk |",
        "|---|---|---|",
        "| ds4d | 30.00 / 25.50 | 30.00 / 25.50 |",
        "| 4dgs | 30.00 / 20.50 | 30.00 / 20.50 |",
    ]
    assert modules[1].by_clip(study) in modules[1].section(study)


def test_a_page_gets_tables_and_plots_between_its_markers(modules, tmp_path) -> None:
    results, page = tmp_path / "rows.jsonl", tmp_path / "page.md"
    results.write_text("".join(json.dumps(one) + "\n" for one in ROWS))
    page.write_text(
        "before\n<!-- ablation-paper:begin -->\nold\n<!-- ablation-paper:end -->\nafter"
    )
    for _ in range(2):  # a second time changes nothing
        modules[3].report(results, page, tmp_path / "plots")
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter") and "old" not in text
    assert "**paper, 1,200 steps, up to 3,000 Gaussians** (fox-walk; 2 seeds)" in text
    (plot,) = (tmp_path / "plots").iterdir()
    assert f"(plots/{plot.name})" in text
    assert plot.read_text().count("<svg") == 1


def test_a_page_without_markers_is_left_alone(modules) -> None:
    with pytest.raises(SystemExit, match="no place for ablation-paper"):
        modules[3].fill("nothing here", "ablation-paper", "table")


def test_a_finished_fit_is_known_by_its_settings(modules) -> None:
    ablation = modules[0]
    job = ablation.Job("paper", "A", "paper/fox-walk", 0, "draft", ROWS[0]["settings"])
    assert [job.same_as(one) for one in ROWS] == [False, True, False, False]
    assert not job.same_as(ROWS[1] | {"settings": {"iterations": 9}})


def counted(count: int, moving: float, clip: str = "paper/fox-walk", steps: int = 1200) -> dict:
    fit = row("A", 0, moving, clip) | {"steps": steps, "asset_mb": count / 1000}
    fit["scores"] = fit["scores"] | {"motion_error_moving": 0.5}
    return fit | {"settings": {"iterations": steps, "max_gaussians": count}}


def test_counts_are_compared_on_the_clips_that_they_share(modules) -> None:
    fits = [counted(1000, 20.0), counted(2000, 21.0), counted(2000, 30.0, "paper/bee-spit")]
    alone = counted(3000, 25.0, steps=500)
    lines = modules[4].count_table([*fits, alone]).splitlines()
    assert lines[0] == "| clips | budget | model | 1,000 | 2,000 |"
    cells = "20.00 / 1.00 / 0.50 | 21.00 / 2.00 / 0.50"
    assert lines[2:] == [f"| paper: fox-walk | 1,200 steps, draft | A | {cells} |"]
