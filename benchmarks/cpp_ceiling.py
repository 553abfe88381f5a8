# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-vectorised C++ that the CPU rasteriser is measured against.

It is no part of the project: its sources are those of a study, `../shared/prototypes/raster`. They
are copied to `benchmarks/cache` and compiled there with all that the compiler knows about this
machine. Only the two compositing kernels are C++; projection, sorting into tiles and the sum of
gradients are the study's own compiled Python, so that a call does all that ours does: from splats
in the world to an image, and back to the gradients of all their parameters. Two things it leaves
out: it checks no input, and it keeps no tensor of projected centres for densification.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

BENCHMARKS = Path(__file__).resolve().parent
SOURCES = BENCHMARKS.parent.parent / "shared" / "prototypes" / "raster"
BUILT = BENCHMARKS / "cache" / "cpp_ceiling"
MODULES = ("eng", "cppr", "nbk3", "nbk4", "nbp", "nbr4")
KERNELS = "k.cpp"
FLAGS = ("-O3", "-march=native", "-ffast-math", "-std=c++17", "-shared", "-fPIC")


class Absent(Exception):
    """Why the C++ cannot be run here."""


class Ceiling(NamedTuple):
    """The C++ pipeline: `draw` returns colours [H,W,3] and alphas [H,W], differentiable."""

    draw: Callable[..., tuple[Tensor, Tensor]]
    set_threads: Callable[[int], None]
    compiler: str


def load_ceiling() -> Ceiling:
    """Compile and load the C++.

    Raises:
        Absent: its sources or a compiler are missing, or it does not compile.
    """
    if not (SOURCES / KERNELS).is_file():
        raise Absent(f"there are no C++ sources in {SOURCES}")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        raise Absent("there is no C++ compiler; install g++ or name one in CXX")
    BUILT.mkdir(parents=True, exist_ok=True)
    for name in (*(f"{module}.py" for module in MODULES), KERNELS):
        shutil.copyfile(SOURCES / name, BUILT / name)
    library = BUILT / "k.so"
    command = [compiler, *FLAGS, str(BUILT / KERNELS), "-o", str(library)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise Absent(f"{compiler} failed: {made.stderr.strip().splitlines()[-1]}")
    os.environ.update(USECPP="1", KSO=str(library))
    sys.path.insert(0, str(BUILT))
    try:
        engine, sharing = (importlib.import_module(name) for name in ("eng", "nbr4"))
    finally:
        sys.path.remove(str(BUILT))

    def draw(*arguments: object) -> tuple[Tensor, Tensor]:
        colors, alphas, _ = engine.rasterization(*arguments)
        return colors, alphas

    def set_threads(count: int) -> None:
        sharing.NT = count

    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    return Ceiling(draw, set_threads, f"{version.splitlines()[0]} {' '.join(FLAGS)}")
