# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the weights of a published model come from: a user's folder, the cache, or a download.

Nothing is downloaded without consent, and never anything that could run code when it is loaded.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from .seam.errors import ConfigError

HARMLESS_SUFFIXES = (".safetensors", ".json", ".txt")
"""Files of numbers or text. Pickles (.bin, .pt, .pth, .ckpt) run code and are never fetched."""


@dataclass(frozen=True)
class Model:
    """Describe a published model: what a user is told before it is downloaded."""

    name: str
    repo_id: str
    """On the Hugging Face hub."""
    licence: str
    url: str
    size: str
    """Of the download, for a person: "346 MB"."""
    files: tuple[str, ...]
    """Patterns, relative to the repository, of the files to fetch; each must match one at least."""

    def __post_init__(self) -> None:
        for pattern in self.files:
            if not pattern.endswith(HARMLESS_SUFFIXES):
                raise ValueError(f"{self.name}: {pattern} may be a file that runs code")


def resolve_weights(model: Model, local: Path | None, *, allow_download: bool) -> Path:
    """Return the folder that holds a model's weights.

    A `local` folder wins. Else what the hub's cache on this machine holds whole is taken, and only
    with `allow_download` the rest is fetched, after name, licence and size were said on stderr.

    Raises:
        ConfigError: the folder does not exist, or there are no weights and no consent, or the
            download failed.
    """
    if local is not None:
        if not local.is_dir():
            raise ConfigError(
                f"The weights of {model.name} should lie in {local}, which is not a folder; give "
                f"the folder into which {model.url} was downloaded."
            )
        return local
    cached = _snapshot(model, download=False)
    if cached is not None:
        return cached
    if not allow_download:
        raise ConfigError(
            f"{model.name} ({model.size}, licence {model.licence}) is not on this machine; allow "
            f"the download, or download {model.url} yourself and give its folder."
        )
    print(
        f"Downloading {model.name}: {model.size}, licence {model.licence}, from {model.url}",
        file=sys.stderr,
        flush=True,
    )
    fetched = _snapshot(model, download=True)
    assert fetched is not None
    return fetched


def _snapshot(model: Model, *, download: bool) -> Path | None:
    """Return the hub's local copy of a model; None where it lacks files and none may be fetched."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        raise ConfigError(
            f"{model.name} is kept by huggingface_hub, which is not installed; run "
            "pip install 'ds4d[priors]'."
        ) from None
    try:
        folder = Path(
            snapshot_download(
                model.repo_id, allow_patterns=list(model.files), local_files_only=not download
            )
        )
    # The hub's errors share no base across its versions and the network libraries below them.
    except Exception as error:
        if not download and isinstance(error, LocalEntryNotFoundError):
            return None
        reason = " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__
        raise ConfigError(
            f"{model.name} could not be downloaded ({reason}); try again, or download {model.url} "
            "yourself and give its folder."
        ) from error
    # A download that was broken off leaves a folder with some of the files.
    if all(any(folder.glob(pattern)) for pattern in model.files):
        return folder
    if download:
        raise ConfigError(
            f"{model.url} lacks files of {model.name} ({', '.join(model.files)}); download it "
            "from elsewhere and give its folder."
        )
    return None
