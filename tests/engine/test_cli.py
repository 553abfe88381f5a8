# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as a whole: overview, errors, exit codes, `info` and `convert`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ds4d_engine.cli import COMMANDS, main
from ds4d_engine.seam import write_asset
from tests.engine.tiny_clip import tiny_asset


@pytest.fixture
def asset_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.ds4d"
    write_asset(path, tiny_asset())
    return path


def _error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must fail, and return its one line of complaint."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("ds4d: error: "), captured.err
    return lines[0]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_overview_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: ds4d {command}")


def test_a_mistyped_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean evaluate?" in _error(capsys, "evalute")
    assert "choose one of fit, render" in _error(capsys, "xyzzy")


def test_a_mistyped_option_gets_the_nearest_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--turntable" in _error(capsys, "render", "a.ds4d", "-o", "b.png", "--turntabel")
    assert "--preset" in _error(capsys, "fit", "clip", "-o", "b.ds4d", "--preest", "draft")


def test_too_few_and_too_many_arguments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "required: ASSET" in _error(capsys, "info")
    assert "Too many arguments: b.ds4d" in _error(capsys, "info", "a.ds4d", "b.ds4d")


@pytest.mark.parametrize(
    "words",
    [
        ["info", "{missing}"],
        ["render", "{missing}", "-o", "a.png"],
        ["evaluate", "{missing}", "{missing}"],
        ["evaluate", "{asset}", "{missing}"],
        ["fit", "{missing}", "-o", "a.ds4d"],
        ["convert", "qualisys", "{missing}", "{missing}", "-o", "{missing}"],
    ],
)
def test_missing_input_is_named(
    words: list[str], tmp_path: Path, asset_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "not-here")
    filled = [word.format(missing=missing, asset=asset_path) for word in words]
    assert "not-here" in _error(capsys, *filled)


@pytest.mark.parametrize("command", [["info"], ["render", "-o", "a.png"]])
def test_foreign_file_is_one_sentence(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "foreign.ds4d"
    foreign.write_bytes(b"\x89PNG not an asset at all")
    assert "foreign.ds4d" in _error(capsys, *command, str(foreign))


def test_interrupt_exits_as_shells_expect(
    asset_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ds4d_engine.cli.info.read_asset", interrupt)
    assert main(["info", str(asset_path)]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_info_tells_what_the_asset_holds(
    asset_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(asset_path), "--verify"]) == 0
    shown = capsys.readouterr().out
    for words in (
        "3 static, 2 dynamic",
        "linear light",
        "4 (1 to 4) at 12 fps",
        "top 32x32 (test)",
    ):
        assert words in shown
    assert "made: for a test" in shown


def test_info_as_json_holds_the_same_facts(
    asset_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(asset_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["static_gaussians"], facts["dynamic_gaussians"]) == (3, 2)
    assert (facts["frames"], facts["fps"], facts["blend"]) == (4, 12.0, "linear")
    assert facts["file_bytes"] == asset_path.stat().st_size
    assert facts["motion_bytes_per_frame"] == 2 * (3 + 4 + 3) * 4
    assert [camera["split"] for camera in facts["cameras"]] == ["train", "train", "test", "train"]
    assert facts["low"][0] == pytest.approx(-0.5) and facts["high"][0] == pytest.approx(0.6)


def test_info_verify_finds_a_flipped_bit(
    asset_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = bytearray(asset_path.read_bytes())
    damaged[-50] ^= 1
    asset_path.write_bytes(damaged)
    assert "tiny.ds4d" in _error(capsys, "info", str(asset_path), "--verify")


def test_convert_refuses_an_unknown_system(capsys: pytest.CaptureFixture[str]) -> None:
    assert "qualisys" in _error(capsys, "convert", "vicon", "a", "b", "-o", "c")


def test_help_and_info_start_without_torch(asset_path: Path) -> None:
    code = (
        "import sys; from ds4d_engine.cli import main; "
        f"main(['--help']); main(['info', {str(asset_path)!r}]); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numba', 'cv2', 'imageio')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_reader_that_stops_early_causes_no_traceback(asset_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ds4d_engine", "info", str(asset_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert b"Traceback" not in complaint and b"Exception ignored" not in complaint
