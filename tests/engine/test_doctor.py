# SPDX-License-Identifier: GPL-3.0-or-later
"""`ds4d doctor`: what it finds here, and what it says of things that lack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ds4d_engine.cli import doctor, main
from ds4d_engine.cli.doctor import Check


def test_everything_needed_is_here_and_every_lack_has_a_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["able"] is True
    checks = {check["name"]: check for check in report["checks"]}
    for name in ("Python", "torch", "CUDA", "numba", "draw: cpu", "draw: gsplat", "rasteriser"):
        assert name in checks
    for name in ("OpenCV", "imageio", "ffmpeg", "H.264 encoder", "H.264 decoder"):
        assert checks[name]["ok"], checks[name]
    assert all(check["remedy"] for check in checks.values() if not check["ok"])


def _only(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> None:
    monkeypatch.setattr(doctor, "all_checks", lambda: iter(checks))


def test_a_needed_lack_fails_and_an_optional_one_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    optional = Check("CUDA", False, "no device", "buy one", needed=False)
    _only(monkeypatch, optional)
    assert main(["doctor"]) == 0
    _only(monkeypatch, optional, Check("torch", False, "not installed", "pip install torch"))
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "LACK  torch" in shown and "remedy: pip install torch" in shown


def test_a_module_that_is_absent_or_broken_is_a_lack() -> None:
    def broken(name: str) -> Any:
        raise OSError(f"lib{name}.so: cannot open shared object file\nsecond line")

    absent = doctor.module_check("no_such_module_here", "no-such-package")
    assert not absent.ok and absent.remedy == "pip install no-such-package"
    bad = doctor.module_check("torch", "torch", load=broken)
    assert not bad.ok and bad.detail.endswith("cannot open shared object file")


def test_without_a_fast_rasteriser_the_machine_is_not_able(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"cpu": "install numba", "gsplat": "needs CUDA", "torch": "ok"}
    monkeypatch.setattr(doctor, "_backend_states", lambda: states)
    checks = {check.name: check for check in doctor.rasteriser_checks()}
    assert checks["draw: cpu"].remedy == "install numba"
    assert checks["draw: torch"].ok
    assert not checks["rasteriser"].ok and checks["rasteriser"].needed


def test_a_rasteriser_that_fails_or_draws_wrongly_is_a_lack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(backend: str) -> float:
        raise RuntimeError("LLVM ERROR: out of luck")

    monkeypatch.setattr(doctor, "_draw_one_gaussian", fail)
    assert doctor.rasteriser_check("cpu", "ok").detail == "LLVM ERROR: out of luck"
    monkeypatch.setattr(doctor, "_draw_one_gaussian", lambda backend: 0.25)
    assert "0.250" in doctor.rasteriser_check("cpu", "ok").detail


@pytest.fixture
def bare_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho 'ffmpeg version 1.2-bare built by hand'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(fake))
    yield


@pytest.mark.usefixtures("bare_ffmpeg")
def test_an_ffmpeg_without_codecs_says_which() -> None:
    checks = list(doctor.ffmpeg_checks())
    assert checks[0].ok and checks[0].detail.startswith("1.2-bare at ")
    assert [check.detail for check in checks[1:]] == [
        "this ffmpeg lacks libx264",
        "this ffmpeg lacks h264",
        "this ffmpeg lacks hevc",
    ]
    assert all(check.remedy for check in checks[1:])


def test_no_ffmpeg_at_all_is_one_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    (check,) = doctor.ffmpeg_checks()
    assert not check.ok and "imageio-ffmpeg" in check.remedy
