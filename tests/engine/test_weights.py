# SPDX-License-Identifier: GPL-3.0-or-later
"""Where weights come from, with the hub replaced at its border: nothing here uses a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

import huggingface_hub
from huggingface_hub.errors import LocalEntryNotFoundError

from ds4d_engine.seam.errors import ConfigError
from ds4d_engine.weights import Model, resolve_weights

MODEL = Model(
    name="Tiny model",
    repo_id="someone/tiny",
    licence="Apache-2.0",
    url="https://huggingface.co/someone/tiny",
    size="12 MB",
    files=("config.json", "*.safetensors"),
)


class Hub:
    """A hub that holds files and remembers how it was called."""

    def __init__(self, folder: Path, *, cached: bool = False, error: Exception | None = None):
        self.folder, self.cached, self.error = folder, cached, error
        self.calls: list[dict[str, Any]] = []

    def __call__(self, repo_id: str, **settings: Any) -> str:
        self.calls.append({"repo_id": repo_id, **settings})
        if settings["local_files_only"]:
            if not self.cached:
                raise LocalEntryNotFoundError("not in the cache")
        elif self.error is not None:
            raise self.error
        else:
            write_weights(self.folder)
        return str(self.folder)


def write_weights(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"numbers")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Hub]:
    def install(**settings: Any) -> Hub:
        fake = Hub(tmp_path, **settings)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
        return fake

    return install


def test_a_local_folder_is_taken_without_asking_the_hub(
    hub: Callable[..., Hub], tmp_path: Path
) -> None:
    asked = hub()
    assert resolve_weights(MODEL, tmp_path, allow_download=False) == tmp_path
    assert asked.calls == []


def test_a_missing_local_folder_is_named_and_never_replaced_by_a_download(
    hub: Callable[..., Hub], tmp_path: Path
) -> None:
    asked = hub()
    with pytest.raises(ConfigError, match=r"nowhere.*not a folder") as caught:
        resolve_weights(MODEL, tmp_path / "nowhere", allow_download=True)
    assert MODEL.url in str(caught.value)
    assert asked.calls == []


def test_without_consent_nothing_is_downloaded_and_both_remedies_are_named(
    hub: Callable[..., Hub],
) -> None:
    asked = hub()
    with pytest.raises(ConfigError) as caught:
        resolve_weights(MODEL, None, allow_download=False)
    message = str(caught.value)
    assert "Apache-2.0" in message and "12 MB" in message
    assert "allow the download" in message and "give its folder" in message
    assert [call["local_files_only"] for call in asked.calls] == [True]


def test_cached_weights_need_no_consent(
    hub: Callable[..., Hub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_weights(tmp_path)
    asked = hub(cached=True)
    assert resolve_weights(MODEL, None, allow_download=False) == tmp_path
    assert [call["local_files_only"] for call in asked.calls] == [True]
    assert capsys.readouterr().err == ""


def test_half_a_download_in_the_cache_does_not_count(
    hub: Callable[..., Hub], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    hub(cached=True)
    with pytest.raises(ConfigError, match="not on this machine"):
        resolve_weights(MODEL, None, allow_download=False)


def test_with_consent_licence_size_and_address_are_said_before_the_download(
    hub: Callable[..., Hub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = hub()
    assert resolve_weights(MODEL, None, allow_download=True) == tmp_path
    assert asked.calls[-1] == {
        "repo_id": "someone/tiny",
        "allow_patterns": ["config.json", "*.safetensors"],
        "local_files_only": False,
    }
    said = capsys.readouterr().err
    assert all(part in said for part in ("Tiny model", "Apache-2.0", "12 MB", MODEL.url))


def test_a_download_that_fails_still_said_what_it_was_about_to_fetch(
    hub: Callable[..., Hub], capsys: pytest.CaptureFixture[str]
) -> None:
    hub(error=ConnectionError("no route\n  to host."))
    with pytest.raises(ConfigError, match=r"could not be downloaded \(no route to host\)"):
        resolve_weights(MODEL, None, allow_download=True)
    assert "Apache-2.0" in capsys.readouterr().err


@pytest.mark.parametrize("pattern", ["pytorch_model.bin", "*.pth", "*", "model.ckpt", "run.py"])
def test_a_model_cannot_name_files_that_may_run_code(pattern: str) -> None:
    with pytest.raises(ValueError, match="runs code"):
        Model("M", "a/b", "MIT", "https://x", "1 MB", (pattern,))
