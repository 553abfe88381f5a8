# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left after a run ended badly is good to go on from, and said to be."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from ds4d_engine.cli import main
from ds4d_engine.fit.files import checkpoint_path, part_path
from ds4d_engine.seam import Do, Failure, Result, from_json_line, read_asset
from tests.engine.conversation import SMALL, conversation
from tests.engine.test_preview import same_arrays
from tests.engine.tiny_clip import tiny_asset, write_transforms

WATCHED = ["--preview-seconds", "0.2"]
ALL = (*SMALL, "checkpoint_seconds=0.3")
STEPS = 250


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_transforms(tiny_asset(), tmp_path_factory.mktemp("clip") / "clip")


def _words(folder: Path, output: Path, *more: str) -> list[str]:
    words = ["fit", str(folder), "-o", str(output), "--preset", "draft", "--set", *ALL]
    return [*words, "--progress", "json", *more]


def _last_event(capsys: pytest.CaptureFixture[str]) -> object:
    return from_json_line(capsys.readouterr().out.splitlines()[-1])


def test_killed_and_resumed_it_gives_the_same_asset_as_without_being_killed_or_watched(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "killed.ds4d"
    steps = ["--iterations", str(STEPS)]
    with conversation(folder, output, ALL, [*WATCHED, *steps]) as talk:
        talk.say(Do.START)
        until = time.monotonic() + 60
        while not checkpoint_path(output).exists():
            assert time.monotonic() < until and talk.process.poll() is None
            time.sleep(0.01)
        talk.process.send_signal(signal.SIGKILL)
        talk.process.wait(10)
        assert not output.exists(), "it was killed in the middle"
    with conversation(folder, output, ALL, [*WATCHED, "--resume", *steps]) as talk:
        talk.say(Do.START)
        result = talk.end()
    assert isinstance(result, Result) and result.values["stopped"] == 0
    assert main(_words(folder, tmp_path / "whole.ds4d", *steps)) == 0
    killed, whole = read_asset(output), read_asset(tmp_path / "whole.ds4d")
    assert killed.provenance["steps"] == whole.provenance["steps"] == STEPS
    assert same_arrays(killed, whole)
    assert sorted(file.name for file in tmp_path.iterdir() if "killed" in file.name) == [
        "killed.ds4d",
        "killed.ds4d.checkpoint",
        "killed.log",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_is_named_and_the_old_checkpoint_stays_good(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "clip.ds4d"
    few = ["--iterations", "20"]
    assert main(_words(folder, output, *few)) == 0
    part_path(output).symlink_to("/dev/full")
    assert main(_words(folder, output, *few, "--resume")) == 2
    event = _last_event(capsys)
    assert isinstance(event, Failure)
    assert event.error == "DiskFull" and event.resumable
    output.unlink()
    assert main(_words(folder, output, *few, "--resume")) == 0
    assert read_asset(output).provenance["steps"] == 20


@pytest.mark.parametrize("kept_before", [False, True])
@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("resumes", [False, True])
def test_a_crash_is_resumable_only_from_a_checkpoint_of_this_fit(
    kept_before: bool,
    writes: bool,
    resumes: bool,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "clip.ds4d"
    checkpoint = checkpoint_path(output)
    if kept_before:
        checkpoint.write_bytes(b"before")

    def fit(*words: object, **options: object) -> None:
        if writes:
            time.sleep(0.01)
            checkpoint.write_bytes(b"now")
        raise TypeError("no such thing")

    monkeypatch.setattr("ds4d_engine.fit.fit", fit)
    with pytest.raises(TypeError):
        main(_words(folder, output, *(["--resume"] if resumes else [])))
    event = _last_event(capsys)
    assert isinstance(event, Failure) and event.error == "Crash"
    assert "(TypeError: no such thing)" in event.message
    assert event.resumable == (writes or (kept_before and resumes))


def test_a_checkpoint_of_other_settings_is_nothing_to_resume(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "clip.ds4d"
    few = ["--iterations", "5"]
    assert main(_words(folder, output, *few)) == 0
    assert main(_words(folder, output, *few, "--resume", "--lr-means", "0.5")) == 2
    event = _last_event(capsys)
    assert isinstance(event, Failure) and "lr_means" in event.message and not event.resumable
