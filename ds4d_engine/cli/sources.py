# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command fits or compares with: a multi-view dataset, or one clip with or without views."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..seam.errors import ConfigError
from ..seam.events import Listener
from .arguments import add_dataset_options, dataset_options
from .clip_arguments import add_clip_options, clip_options, given_clip_options
from .view_arguments import add_view_options, given_view_options, view_options

if TYPE_CHECKING:
    from ..data import Dataset


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add every option that says which frames of what are read."""
    add_dataset_options(parser)
    add_clip_options(parser)
    add_view_options(parser)


def names_clip(path: str | Path) -> bool:
    """Tell whether a path is one clip, not a dataset of several cameras."""
    from ..clip import is_clip

    return is_clip(path)


def no_views(arguments: argparse.Namespace) -> bool:
    """Tell whether a clip is to be fitted without generated views."""
    return view_options(arguments).provider == "none"


def read_source(
    arguments: argparse.Namespace,
    listener: Listener,
    *,
    holdout: Sequence[str] = (),
    size: int | None = None,
    picture_memory: int | None = None,
) -> Dataset:
    """Read `arguments.dataset`: a dataset's folder, or a clip together with the views asked for.

    `size` is the side of a clip's square pictures where --size was not given; `picture_memory` is
    the main memory in bytes that a dataset's pictures share with what is made of them.

    Raises:
        DS4DError: it cannot be read, or an option does not fit what it is.
    """
    if not names_clip(arguments.dataset):
        return _read_dataset(arguments, listener, holdout, picture_memory)
    from ..clip import load_clip
    from ..views.provider import build_provider

    options = clip_options(arguments)
    provider = build_provider(view_options(arguments))
    if size is not None and arguments.size is None:
        options = replace(options, size=size)
    # A generator sees more in a larger picture than the fit is made at.
    seen = replace(options, size=max(options.size, provider.least_size))
    dataset = provider.views(load_clip(arguments.dataset, seen, listener), listener)
    dataset = dataset if seen == options else dataset.at_most(options.size)
    if not holdout:
        return dataset
    from ..data.dataset import hold_out

    dataset.cameras = hold_out(dataset.cameras, holdout, dataset.name)
    return dataset


def _read_dataset(
    arguments: argparse.Namespace,
    listener: Listener,
    holdout: Sequence[str],
    picture_memory: int | None,
) -> Dataset:
    from ..data import load_dataset

    foreign = given_clip_options(arguments) + given_view_options(arguments)
    if foreign:
        raise ConfigError(
            f"{foreign[0]} is for one clip, but {arguments.dataset} is a dataset of several "
            "cameras; leave it out."
        )
    options = dataset_options(arguments)
    return load_dataset(
        arguments.dataset,
        holdout=holdout,
        picture_memory=picture_memory,
        listener=listener,
        **options,
    )
