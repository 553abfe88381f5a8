# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn results of the ablations into the tables and plots of docs/benchmarks.md.

    python benchmarks/report.py

Tables go between `<!-- ablation-paper:begin -->` and `<!-- ablation-paper:end -->`, and likewise
for every other group, those of dense clips apart (`ablation-models-dense`), and for what more
Gaussians bring (`counts`); plots to docs/images/benchmarks. A table holds the clips and seeds that
all of its rows have. Spread is the deviation over seeds of the mean over clips.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ablation import RESULTS, read_rows
from ablation_tables import Study, mean_and_spread, section, studies
from count_tables import count_table

DOCS = Path(__file__).resolve().parent.parent / "docs"
COUNTS = RESULTS.with_name("counts.jsonl")
INK, FAINT = "#1f4e79", "#9db4c8"


def fill(page: str, name: str, text: str) -> str:
    """Return a page with `text` between the markers called `name`; exits where it has none."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        sys.exit(f"The page has no place for {name}; add the lines {begin} and {end} to it.")
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text.strip()}\n{end}{rest.split(end)[1]}"


def draw(study: Study, path: Path) -> None:
    """Plot what every variant gains on moving pixels: each fit, their mean, the seeds' spread."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "ds4d"  # the same rows give the same file
    import matplotlib.pyplot as plt

    names = list(study.rows)
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.32 * len(names)), layout="constrained")
    for place, name in enumerate(names):
        gain = study.gain(name)
        mean, spread = mean_and_spread(gain)
        axes.plot(list(gain.values()), [place] * len(gain), "o", color=FAINT, markersize=4)
        axes.errorbar(mean, place, xerr=spread, fmt="o", color=INK, capsize=3)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_yticks(range(len(names)), [study.label(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(f"dB on moving pixels over {study.label(names[0])}")
    axes.set_title(f"{study.protocol}, {study.budget}", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def plot_name(study: Study) -> str:
    """Return the file name of a study's plot."""
    words = f"ablation {study.group} {study.protocol} {study.budget}".replace(",", "")
    return "-".join(words.lower().split()) + ".svg"


def place(study: Study) -> str:
    """Return the name of the markers between which a study's tables go."""
    return f"ablation-{study.group}" + "-dense" * study.protocol.startswith("dense")


def report(results: Path, page: Path, plots: Path) -> None:
    """Write the tables of a file of results into a page, and a plot of each into a folder.

    Rows without a clip and seed that all variants of their study have are left out, and named.
    """
    text = page.read_text(encoding="utf-8")
    places: dict[str, list[str]] = {}
    for study in studies(read_rows(results)):
        if not study.pairs:
            print(f"{plot_name(study)[:-4]}: no clip has all variants yet; left out")
            continue
        draw(study, plots / plot_name(study))
        link = Path(os.path.relpath(plots / plot_name(study), page.parent)).as_posix()
        places.setdefault(place(study), []).append(
            f"{section(study)}\n\n![Gain of each variant]({link})"
        )
    for name, sections in places.items():
        text = fill(text, name, "\n\n".join(sections))
    page.write_text(text, encoding="utf-8")


def report_counts(results: Path, page: Path) -> None:
    """Write the table of a file of fits with several numbers of Gaussians into a page."""
    text = fill(page.read_text(encoding="utf-8"), "counts", count_table(read_rows(results)))
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--counts", type=Path, default=COUNTS)
    parser.add_argument("--page", type=Path, default=DOCS / "benchmarks.md")
    parser.add_argument("--plots", type=Path, default=DOCS / "images" / "benchmarks")
    options = parser.parse_args()
    report(options.results, options.page, options.plots)
    report_counts(options.counts, options.page)


if __name__ == "__main__":
    main()
