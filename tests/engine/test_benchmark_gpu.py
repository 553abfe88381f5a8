# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of a GPU runs through without one, and every line of it runs in tiny."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = pytest.importorskip("gpu")
    yield module
    for name in ("gpu", "gpu_fit", "gpu_kernels", "machine", "moving_splats", "raster"):
        sys.modules.pop(name, None)


def test_without_a_cuda_device_every_part_says_so(
    gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main(["--output", str(tmp_path / "gpu.json")])
    told = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["part"] for row in told["rows"]] == [*gpu.PARTS]
    assert {row["what"] for row in told["rows"]} == {"not run: no CUDA device"}


def test_every_part_gives_figures_in_tiny_on_the_cpu(gpu, tmp_path: Path) -> None:
    gpu.main(["--device", "cpu", "--output", str(tmp_path / "gpu.json")])
    rows = {row["part"]: row for row in json.loads((tmp_path / "gpu.json").read_text())["rows"]}
    assert [*rows] == [*gpu.PARTS]
    assert not [row for row in rows.values() if "failed" in row["what"] or "not run" in row["what"]]
    parity = rows["gsplat against the CPU back end"]
    assert parity["pixels within 1e-4"] >= 0.999
    assert max(value for name, value in parity.items() if "relative" in name) < 1e-3
    fit = rows["fit"]
    assert fit["steps a second"] > 0 and fit["dB at the end"] > 0
    assert rows["CUDA graphs"]["relative error"] == 0


def test_a_part_that_fails_leaves_the_others_their_turn(
    gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(plan: object) -> list:
        raise RuntimeError("no kernel image\nfor this device")

    fine = [{"what": "ran"}]
    monkeypatch.setattr(gpu, "PARTS", {"first": broken, "second": lambda plan: fine})
    first, second = gpu.run_parts(gpu.TINY, until=float("inf"))
    assert first == {"part": "first", "what": "failed: no kernel image"}
    assert second == {"part": "second", "what": "ran"}
    late, _ = gpu.run_parts(gpu.TINY, until=0.0)
    assert late["what"] == gpu.LATE
