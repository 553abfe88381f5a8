# SPDX-License-Identifier: GPL-3.0-or-later
"""Load a network of transformers from a folder, from safetensors only, in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..seam.errors import ConfigError


def load_pretrained(
    kind: Any, folder: Path, name: str, *, unneeded: tuple[str, ...] = ()
) -> torch.nn.Module:
    """Load the class `kind` of transformers from a checked folder, ready for inference.

    Tensors whose names end in one of `unneeded` may be absent. `name` is the model's, for errors.
    Raises ConfigError when the weights do not fit the settings or lack tensors.
    """
    try:
        with _without_progress_bars():
            network, report = kind.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    # A damaged file fails in one of several libraries, each with errors of its own.
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")[:200]
        raise ConfigError(
            f"The {name} weights in {folder} cannot be loaded ({reason}); download them again."
        ) from error
    missing = sorted(key for key in report["missing_keys"] if not key.endswith(unneeded))
    if missing:
        raise ConfigError(
            f"The weights in {folder} lack {len(missing)} tensors of {name}, {missing[0]} among "
            "them; download them again."
        )
    ready: torch.nn.Module = network.float().eval().requires_grad_(False)
    return ready


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing into the engine's own progress."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
