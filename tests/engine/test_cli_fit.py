# SPDX-License-Identifier: GPL-3.0-or-later
"""`ds4d fit`: options from the config's fields, signals, events, and one real, very short fit."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from ds4d_engine.cli import main, settings
from ds4d_engine.cli.fit import stop_on_signal
from ds4d_engine.fit import FitResult
from ds4d_engine.fit.config import FitConfig
from ds4d_engine.seam import ConfigError, Failure, Result, from_json_line, read_asset
from tests.engine.tiny_clip import tiny_asset, write_transforms


@dataclass(frozen=True)
class Config:
    count: int = field(default=5, metadata={"help": "how many, 100 % of them"})
    rate: float = field(default=1e-3, metadata={"help": "how fast"})
    gate: bool = field(default=True, metadata={"help": "whether"})
    name: str = field(default="auto", metadata={"help": "which", "choices": ("auto", "x")})
    mode: Literal["a", "b"] = field(default="a", metadata={"help": "how"})
    limit: int | None = field(default=None, metadata={"help": "how far"})
    levels: tuple[float, ...] = field(default=(1.0,), metadata={"help": "where"})


def _given(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", nargs="+", action="extend", default=[])
    settings.add_options(parser, Config)
    return settings.given(parser.parse_args(words), Config)


def test_only_what_is_given_is_changed() -> None:
    assert _given() == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--count", "7"], {"count": 7}),
        (["--count", "2e3"], {"count": 2000}),
        (["--rate", "1e-2"], {"rate": 0.01}),
        (["--no-gate"], {"gate": False}),
        (["--gate"], {"gate": True}),
        (["--name", "x"], {"name": "x"}),
        (["--limit", "3"], {"limit": 3}),
        (["--limit", "none"], {"limit": None}),
        (["--levels", "1,2.5"], {"levels": (1.0, 2.5)}),
        (["--set", "count=7", "gate=off"], {"count": 7, "gate": False}),
        (["--set", "count=7", "--set", "mode=b"], {"count": 7, "mode": "b"}),
        (["--count", "7", "--set", "count=7"], {"count": 7}),
    ],
)
def test_options_and_assignments_become_typed_values(
    words: list[str], expected: dict[str, Any]
) -> None:
    assert _given(*words) == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "cuont=7"], "did you mean count"),
        (["--set", "count"], "KEY=VALUE"),
        (["--set", "count=7.5"], "whole number"),
        (["--count", "many"], "whole number"),
        (["--count", "nan"], "whole number"),
        (["--count", "inf"], "whole number"),
        (["--rate", "nan"], "a number"),
        (["--set", "gate=maybe"], "true or false"),
        (["--count", "7", "--set", "count=8"], "given twice"),
    ],
)
def test_values_that_do_not_fit_are_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        _given(*words)


def test_every_field_of_the_fits_config_has_an_option_with_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fit", "--help"]) == 0
    shown = capsys.readouterr().out
    for item in dataclasses.fields(FitConfig):
        assert f"--{item.name.replace('_', '-')}" in shown
        assert item.metadata["help"], item.name


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-o", "a.zip"], "must end in .ds4d"),
        (["-o", "a.ds4d", "--motion", "splines"], "choose one of"),
        (["-o", "a.ds4d", "--preset", "best"], "invalid choice"),
        (["-o", "a.ds4d", "--set", "gaussian=3"], "did you mean gaussians"),
        (["-o", "a.ds4d", "--iterations", "lots"], "whole number"),
        ([], "-o/--output"),
    ],
)
def test_fit_refuses_in_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "clip", *words]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and captured.err.count("\n") == 1


def test_errors_reach_a_listening_program_as_an_event(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", str(tmp_path / "none"), "-o", str(tmp_path / "a.ds4d"), "--progress", "json"]
    assert main(words) == 2
    event = from_json_line(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(event, Failure)
    assert "none" in event.message and event.error == "DatasetError"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_first_signal_asks_to_stop_and_the_second_aborts(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with stop_on_signal() as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), number)
        assert should_stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            should_stop()
    assert signal.getsignal(number) is before
    assert "again aborts" in capsys.readouterr().err


def _fit_words(folder: Path, output: Path) -> list[str]:
    small = ["iterations=12", "gaussians=60", "max_gaussians=80", "threads=1", "feature_views=2"]
    return ["fit", str(folder), "-o", str(output), "--preset", "draft", "--set", *small]


def test_a_short_fit_leaves_a_readable_asset_and_a_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_transforms(tiny_asset(), tmp_path / "clip")
    output = tmp_path / "clip.ds4d"
    assert main([*_fit_words(folder, output), "--progress", "json"]) == 0
    events = [from_json_line(line) for line in capsys.readouterr().out.splitlines()]
    result = events[-1]
    assert isinstance(result, Result)
    assert result.files == {"asset": str(output)}
    assert result.values["stopped"] == 0
    assert {event.stage for event in events[:-1]} >= {"fit"}  # type: ignore[union-attr]
    asset = read_asset(output)
    assert asset.frame_count == 4
    assert [camera.split for camera in asset.cameras].count("test") == 1
    assert asset.provenance["config"]["iterations"] == 12


def test_a_held_out_camera_is_evaluated_beside_the_datasets_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_transforms(tiny_asset(), tmp_path / "clip")
    output = tmp_path / "clip.ds4d"
    assert main([*_fit_words(folder, output), "--holdout", "back", "--progress", "none"]) == 0
    assert "Wrote" in capsys.readouterr().out
    assert main(["evaluate", str(output), str(folder), "--progress", "none"]) == 0
    shown = [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert "back" in shown and "top" in shown
    assert "left" not in shown and "right" not in shown


def test_an_interrupted_fit_leaves_an_asset_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_transforms(tiny_asset(), tmp_path / "clip")
    output = tmp_path / "clip.ds4d"

    @contextmanager
    def stop_at_once() -> Iterator[Callable[[], bool]]:
        yield lambda: True

    with monkeypatch.context() as patch:
        patch.setattr("ds4d_engine.cli.fit.stop_on_signal", stop_at_once)
        assert main([*_fit_words(folder, output), "--progress", "none"]) == 0
    assert "Stopped early; wrote" in capsys.readouterr().out
    assert read_asset(output).provenance["steps"] == 1
    assert main([*_fit_words(folder, output), "--resume", "--progress", "none"]) == 0
    assert read_asset(output).provenance["steps"] == 12


def test_priors_without_weights_and_without_consent_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ds4d_engine.weights._snapshot", lambda model, download: None)
    folder = write_transforms(tiny_asset(), tmp_path / "clip")
    words = [*_fit_words(folder, tmp_path / "a.ds4d"), "--progress", "none"]
    assert main([*words, "--features", "dinov2-base"]) == 2
    said = capsys.readouterr().err
    assert "allow the download" in said and said.count("\n") == 1


@pytest.mark.parametrize("consent", [[], ["--allow-download"]])
def test_consent_to_downloads_reaches_the_fit(
    consent: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: dict[str, Any] = {}

    def fit(*words: Any, **options: Any) -> FitResult:
        heard.update(options)
        return FitResult(tmp_path / "a.ds4d", False, {})

    monkeypatch.setattr("ds4d_engine.fit.fit", fit)
    folder = write_transforms(tiny_asset(), tmp_path / "clip")
    assert main([*_fit_words(folder, tmp_path / "a.ds4d"), "--progress", "none", *consent]) == 0
    assert heard["allow_download"] == bool(consent)
