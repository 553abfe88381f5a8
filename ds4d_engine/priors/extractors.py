# SPDX-License-Identifier: GPL-3.0-or-later
"""The feature extractors by name."""

from __future__ import annotations

from pathlib import Path

from ..features import DescriptorExtractor, FeatureExtractor
from ..seam.errors import ConfigError
from ..weights import resolve_weights
from .dinov2 import CHANNELS, MODELS, Dinov2Extractor

EXTRACTORS = ("builtin", *MODELS)


def build_extractor(name: str, weights: Path | None, allow_download: bool) -> FeatureExtractor:
    """Build the extractor that `name`, one of `EXTRACTORS`, stands for.

    "builtin" needs no weights. A DINOv2 is taken from the folder `weights`, else from the hub's
    cache, else downloaded with consent. A folder may hold a DINOv2 of a size of its own, but not
    another published one than `name` says.
    Raises ConfigError for unknown names and unusable weights.
    """
    if name not in EXTRACTORS:
        raise ConfigError(f"There are no features {name!r}; choose one of {', '.join(EXTRACTORS)}.")
    if name == "builtin":
        if weights is not None:
            raise ConfigError(
                f"The built-in features use no weights, but {weights} was given; leave it out or "
                f"choose one of {', '.join(MODELS)}."
            )
        return DescriptorExtractor()
    extractor = Dinov2Extractor(
        resolve_weights(MODELS[name], weights, allow_download=allow_download)
    )
    for other, channels in CHANNELS.items():
        if other != name and extractor.channels == channels:
            raise ConfigError(
                f"{extractor.folder} holds {other}, not {name}; choose the features {other} or "
                "another folder."
            )
    return extractor
