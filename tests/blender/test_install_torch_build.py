# SPDX-License-Identifier: GPL-3.0-or-later
"""Which build of torch suits which computer."""

from __future__ import annotations

import subprocess

import pytest

from ds4d_blender.install import torch_build
from ds4d_blender.install.torch_build import (
    AUTOMATIC,
    GRAPHICS_CARD,
    PROCESSOR,
    PYTORCH,
    Gpu,
    choose_build,
    find_gpu,
)

LINUX = {"system": "Linux", "machine": "x86_64"}
ADA = Gpu("NVIDIA GeForce RTX 4090", 580, 8.9)


@pytest.mark.parametrize(
    ("gpu", "name"),
    [
        (None, "cpu"),
        (ADA, "cu130"),
        (Gpu("RTX 4090", 570, 8.9), "cu126"),
        (Gpu("GTX 1080", 580, 6.1), "cu126"),
        (Gpu("RTX 5090", 580, 12.0), "cu130"),
        (Gpu("RTX 5090", 570, 12.0), "cpu"),
        (Gpu("RTX 2080", 470, 7.5), "cpu"),
        (Gpu("GTX 780", 470, 3.5), "cpu"),
    ],
)
def test_the_build_suits_the_card_and_its_driver(gpu: Gpu | None, name: str) -> None:
    build = choose_build(AUTOMATIC, gpu, **LINUX)
    assert build.name == name
    assert build.index == f"{PYTORCH}/{name}" and build.local == f"+{name}"
    assert (build.download_bytes > 2e9) == (name != "cpu")


def test_a_card_that_cannot_be_used_is_named() -> None:
    build = choose_build(AUTOMATIC, Gpu("Quadro K600", 470, 3.0), **LINUX)
    assert "Quadro K600 (470)" in build.reason and "processor" in build.reason


def test_who_wants_the_processor_gets_the_small_build() -> None:
    build = choose_build(PROCESSOR, ADA, **LINUX)
    assert (build.name, build.local) == ("cpu", "+cpu")


def test_who_insists_on_a_card_gets_the_newest_build_where_none_is_found() -> None:
    build = choose_build(GRAPHICS_CARD, None, **LINUX)
    assert build.name == "cu130" and "No NVIDIA card was found" in build.reason


def test_windows_takes_the_small_build_from_the_usual_index() -> None:
    build = choose_build(AUTOMATIC, None, system="Windows", machine="AMD64")
    assert (build.name, build.index, build.local) == ("cpu", "", "")
    assert choose_build(AUTOMATIC, ADA, system="Windows", machine="AMD64").local == "+cu130"


@pytest.mark.parametrize("wish", [AUTOMATIC, PROCESSOR, GRAPHICS_CARD])
def test_a_mac_has_one_build_from_the_usual_index(wish: str) -> None:
    build = choose_build(wish, None, system="Darwin", machine="arm64")
    assert (build.name, build.index, build.local) == ("cpu", "", "")


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> Gpu | None:
    monkeypatch.setattr(torch_build.shutil, "which", lambda _: "/usr/bin/nvidia-smi")

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, stdout=text)

    return find_gpu(run)


def test_the_card_is_read_from_what_its_driver_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "NVIDIA GeForce RTX 4090, 580.65.06, 8.9\nNVIDIA T400, 580.65.06, 7.5\n"
    assert answer(monkeypatch, text) == ADA
    assert answer(monkeypatch, "A name, with a comma, 525.60.13, 8.6\n") == Gpu(
        "A name, with a comma", 525, 8.6
    )


@pytest.mark.parametrize("text", ["", "No devices were found\n", "a, b, c\n"])
def test_a_driver_that_says_nothing_useful_is_no_card(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer(monkeypatch, text) is None


def test_no_driver_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_build.shutil, "which", lambda _: None)
    assert find_gpu() is None
