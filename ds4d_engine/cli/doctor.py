# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what runs on this machine, and the remedy for what does not."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .. import __version__
from .arguments import write_json

MIN_PYTHON = (3, 11)


@dataclass(frozen=True)
class Check:
    """One thing looked at: `detail` says what was found; `remedy` is empty when it is ok."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True  # False: nothing but this one thing is lost without it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    checks: list[Check] = []
    for check in all_checks():
        checks.append(check)
        if not arguments.json:
            print(_line(check), flush=True)
    able = all(check.ok for check in checks if check.needed)
    if arguments.json:
        write_json(
            "-",
            {"engine": __version__, "able": able, "checks": [asdict(check) for check in checks]},
        )
    else:
        print("Everything needed is here." if able else "Something needed is missing: see above.")
    return 0 if able else 1


def all_checks() -> Iterator[Check]:
    """Look at everything, one thing after another."""
    yield python_check()
    yield Check("machine", True, f"{platform.platform()}, {os.cpu_count()} cores", needed=False)
    yield module_check("numpy", "numpy")
    yield module_check("torch", "torch")
    yield cuda_check()
    yield module_check("numba", "numba")
    yield from rasteriser_checks()
    yield module_check("cv2", "opencv-python-headless", name="OpenCV")
    yield module_check("imageio", "imageio")
    yield module_check("torchmetrics", "torchmetrics")
    yield from ffmpeg_checks()


def python_check() -> Check:
    found = platform.python_version()
    if sys.version_info >= MIN_PYTHON:
        return Check("Python", True, f"{found} at {sys.executable}")
    wanted = ".".join(map(str, MIN_PYTHON))
    return Check("Python", False, found, f"install Python {wanted} or later")


def module_check(
    module: str,
    package: str,
    *,
    name: str | None = None,
    load: Callable[[str], Any] = importlib.import_module,
) -> Check:
    """Import a module; any failure, a broken library included, is a lack."""
    name = name or module
    try:
        loaded = load(module)
    except ModuleNotFoundError:
        return Check(name, False, "not installed", f"pip install {package}")
    except Exception as error:
        # Broken wheels raise anything: OSError from a DLL, RuntimeError from a version test.
        return Check(
            name, False, f"does not load: {_first_line(error)}", f"pip install -U {package}"
        )
    return Check(name, True, str(getattr(loaded, "__version__", "version unknown")))


def cuda_check() -> Check:
    remedy = (
        "none needed to fit on the CPU; for a GPU, install an NVIDIA driver and a CUDA build of "
        "torch (pytorch.org/get-started)"
    )
    try:
        import torch

        if torch.cuda.is_available():
            name = torch.cuda.get_device_name(0)
            return Check("CUDA", True, f"{name}, CUDA {torch.version.cuda}", needed=False)
    except Exception as error:
        return Check("CUDA", False, _first_line(error), remedy, needed=False)
    built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is a CPU build"
    return Check("CUDA", False, f"no CUDA device; this torch {built}", remedy, needed=False)


def rasteriser_checks() -> Iterator[Check]:
    """Draw one Gaussian with every rasteriser; a fast one must draw it rightly."""
    able = set()
    for name, state in _backend_states().items():
        check = rasteriser_check(name, state)
        yield check
        if check.ok:
            able.add(name)
    if able & {"cpu", "gsplat"}:
        default = "gsplat" if "gsplat" in able else "cpu"
        yield Check("rasteriser", True, f'"auto" takes {default}')
    else:
        yield Check("rasteriser", False, "no fast one runs", "pip install -U numba")


def rasteriser_check(name: str, state: str) -> Check:
    label = f"draw: {name}"
    if state != "ok":
        return Check(label, False, "does not run here", state, needed=False)
    started = time.perf_counter()
    try:
        alpha = _draw_one_gaussian(name)
    except Exception as error:
        # A compiler that fails raises anything.
        remedy = "run `ds4d doctor` again; if it stays, reinstall numba or gsplat"
        return Check(label, False, _first_line(error), remedy, needed=False)
    if abs(alpha - 0.5) > 0.01:
        detail = f"draws an alpha of {alpha:.3f} where 0.500 is right"
        return Check(label, False, detail, "empty Numba's cache (NUMBA_CACHE_DIR)", needed=False)
    seconds = time.perf_counter() - started
    return Check(label, True, f"draws rightly, after {seconds:.1f} s of start-up", needed=False)


def ffmpeg_checks() -> Iterator[Check]:
    try:
        import imageio_ffmpeg

        executable = imageio_ffmpeg.get_ffmpeg_exe()
        version = _output(executable, "-version").split("\n")[0]
        encoders, decoders = _output(executable, "-encoders"), _output(executable, "-decoders")
    except Exception as error:
        remedy = "pip install imageio-ffmpeg; without it there are no videos to read or write"
        yield Check("ffmpeg", False, _first_line(error), remedy, needed=False)
        return
    short = re.sub(r"^ffmpeg version (\S+).*", r"\1", version)
    yield Check("ffmpeg", True, f"{short} at {executable}", needed=False)
    wanted = "unset IMAGEIO_FFMPEG_EXE, or point it at an ffmpeg that has it"
    for role, listing, codec in (
        ("H.264 encoder", encoders, "libx264"),
        ("H.264 decoder", decoders, "h264"),
        ("H.265 decoder", decoders, "hevc"),
    ):
        found = re.search(rf"^ \S+ {codec} ", listing, re.MULTILINE) is not None
        detail = f"ffmpeg has {codec}" if found else f"this ffmpeg lacks {codec}"
        yield Check(role, found, detail, "" if found else wanted, needed=False)


def _draw_one_gaussian(backend: str) -> float:
    import torch

    from ..raster import rasterize

    device = torch.device("cuda" if backend == "gsplat" else "cpu")
    K = torch.tensor([[8.0, 0.0, 8.5], [0.0, 8.0, 8.5], [0.0, 0.0, 1.0]])
    render = rasterize(
        torch.tensor([[0.0, 0.0, 2.0]], device=device),
        torch.tensor([[1.0, 0.0, 0.0, 0.0]], device=device),
        torch.full((1, 3), 0.2, device=device),
        torch.tensor([0.5], device=device),
        torch.ones(1, 3, device=device),
        torch.eye(4),
        K,
        17,
        17,
        backend=backend,
    )
    return float(render.alphas[8, 8])


def _backend_states() -> dict[str, str]:
    try:
        from ..raster import backends

        return backends()
    except Exception as error:
        return {"cpu": _first_line(error), "gsplat": _first_line(error)}


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _line(check: Check) -> str:
    state = "ok  " if check.ok else ("LACK" if check.needed else "lack")
    text = f"{state}  {check.name:<14} {check.detail}"
    return text if check.ok else f"{text}\n      {'':<14} remedy: {check.remedy}"
