# SPDX-License-Identifier: GPL-3.0-or-later
"""Which build of torch suits this computer, and how much its download takes."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

PYTORCH = "https://download.pytorch.org/whl"
AUTOMATIC, PROCESSOR, GRAPHICS_CARD = "AUTOMATIC", "PROCESSOR", "GRAPHICS_CARD"
# The toolkits that torch 2.13 is built with, newest first: the oldest driver that runs them, and
# the compute capabilities that they are built for (pytorch/RELEASE.md).
TOOLKITS = (("cu130", 580, 7.5, 13.0), ("cu126", 525, 5.0, 10.0))
# gsplat compiles its kernels when it is first used.
ALSO = (
    "To draw with the card, the engine also needs NVIDIA's CUDA toolkit and a C++ compiler; "
    "without them it works on the processor, for which the small build is enough."
)
MB = 1_000_000
# Bytes to download and on the disk, all packages together, with the versions in constraints.txt:
# downloads as the indexes state them; on the disk as measured on Linux, elsewhere in proportion.
SIZES = {
    ("linux", "cpu"): (480 * MB, 1_600 * MB),
    ("linux", "cuda"): (3_030 * MB, 5_700 * MB),
    ("windows", "cpu"): (340 * MB, 1_200 * MB),
    ("windows", "cuda"): (2_700 * MB, 5_500 * MB),  # a guess: its index could not be asked
    ("darwin", "cpu"): (310 * MB, 1_100 * MB),
}


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA graphics card, as its driver describes it."""

    name: str
    driver: int
    """The driver's main version, such as 580."""
    capability: float


@dataclass(frozen=True)
class TorchBuild:
    """A build of torch, where it comes from, and what it takes."""

    name: str
    """ "cpu", "cu126", ..."""
    index: str
    """A package index besides the usual one, or "". Not asked where the user has one."""
    local: str
    """The ending that its versions have there, such as "+cpu"."""
    download_bytes: int
    disk_bytes: int
    reason: str
    """One sentence: why this build."""


def find_gpu(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> Gpu | None:
    """Return the NVIDIA card that its driver names first; takes up to ten seconds.

    None where there is none, or no driver.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = "--query-gpu=name,driver_version,compute_cap"
    flags = {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    try:
        done = run(
            [program, query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            **flags,
        )
        name, driver, capability = done.stdout.splitlines()[0].rsplit(",", 2)
        return Gpu(name.strip(), int(driver.split(".")[0]), float(capability))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        # A driver that is broken or too old to answer this is as good as none.
        return None


def choose_build(wish: str, gpu: Gpu | None, *, system: str = "", machine: str = "") -> TorchBuild:
    """Choose the build for a computer; `system` and `machine` are those of `platform`.

    `wish` is AUTOMATIC, PROCESSOR, or GRAPHICS_CARD, which asks for the newest toolkit where no
    card is found.
    """
    system = (system or platform.system()).lower()
    machine = (machine or platform.machine()).lower()
    if system == "darwin":
        return _build("cpu", "darwin", "", "On a Mac the engine works on the processor.")
    if wish != PROCESSOR and machine in ("x86_64", "amd64"):
        toolkit = _toolkit(gpu)
        if toolkit:
            return _build(toolkit, system, toolkit, f"{gpu.name if gpu else ''} was found. {ALSO}")
        if wish == GRAPHICS_CARD and gpu is None:
            newest = TOOLKITS[0][0]
            return _build(newest, system, newest, f"No NVIDIA card was found here. {ALSO}")
    # Elsewhere than on Linux the usual index has the build without CUDA.
    index = "cpu" if system == "linux" else ""
    return _build("cpu", system, index, _why_cpu(wish, gpu))


def _toolkit(gpu: Gpu | None) -> str:
    if gpu is None:
        return ""
    for name, driver, lowest, below in TOOLKITS:
        if gpu.driver >= driver and lowest <= gpu.capability < below:
            return name
    return ""


def _why_cpu(wish: str, gpu: Gpu | None) -> str:
    if wish == PROCESSOR:
        return "As you chose, the engine will work on the processor."
    if gpu is None:
        return "No NVIDIA graphics card was found, so the engine will work on the processor."
    return (
        f"The driver of {gpu.name} ({gpu.driver}) is too old or the card is not supported, so the "
        "engine will work on the processor."
    )


def _build(name: str, system: str, index: str, reason: str) -> TorchBuild:
    kind = "cpu" if name == "cpu" else "cuda"
    system = system if system in ("windows", "darwin") else "linux"
    download, disk = SIZES[system, kind]
    url = f"{PYTORCH}/{index}" if index else ""
    return TorchBuild(name, url, f"+{index}" if index else "", download, disk, reason)
