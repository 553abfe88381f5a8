# SPDX-License-Identifier: GPL-3.0-or-later
"""What gives a single clip more views: the interface, its options, and the choice among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..data import Dataset
from ..seam.errors import ConfigError
from ..seam.events import Listener, silent
from .presets import parse_cameras

PROVIDERS = ("none", "folder", "zero123plus")
LAYOUTS = ("auto", "frames", "grids", "videos")
DEFAULT_CAMERAS = "zero123plus-1.1"


class ViewProvider(Protocol):
    """Adds generated views to a clip seen by one camera."""

    name: str
    least_size: int
    """Side in pixels that the clip's pictures should have at least, whatever the fit's size."""

    def views(self, clip: Dataset, listener: Listener = silent) -> Dataset:
        """Return the clip with more cameras.

        `clip` has the one camera "input" (`orbit_camera("input", S)`) and pictures uint8
        [T,S,S,4], straight alpha. In the result camera 0 is that camera with its pictures; the
        others, split "train", are the generated views. Frames that a view lacks are False in
        `present`.
        """
        ...


@dataclass(frozen=True)
class ViewOptions:
    """Say where more views come from; each field is explained in docs/views.md."""

    provider: str = "none"
    folder: Path | None = None
    """For "folder": pictures or videos that were generated elsewhere."""
    layout: str = "auto"
    """For "folder": how they lie there."""
    cameras: str = DEFAULT_CAMERAS
    """A preset or a list of angles; for "zero123plus" also the model's version."""
    scale: str = "preset"
    """"preset", "measure", or a number: how much larger the views show the object than the input
    camera would."""
    weights: Path | None = None
    """For "zero123plus": the folder of the model."""
    allow_download: bool = False
    steps: int = 75
    guidance: float = 4.0
    seed: int = 0
    share_attention: bool = True
    """Let every frame's views attend to the first frame's, for consistency in time."""
    cache: Path | None = None
    """Folder of generated pictures; None is the user's cache."""
    device: str = "auto"

    def __post_init__(self) -> None:
        _known("view provider", self.provider, PROVIDERS)
        _known("layout of views", self.layout, LAYOUTS)
        parse_cameras(self.cameras)
        self.fixed_scale()
        if self.provider == "folder" and self.folder is None:
            raise ConfigError("Views from a folder need the folder; give --views-folder DIR.")
        if self.provider != "folder" and self.folder is not None:
            raise ConfigError(
                f"A folder of views was given, but views are taken from {self.provider!r}; "
                "choose 'folder' or leave the folder out."
            )
        if self.provider == "zero123plus" and not self.cameras.startswith("zero123plus-"):
            raise ConfigError(
                f"Zero123++ has fixed cameras; use zero123plus-1.1 or zero123plus-1.2, not "
                f"{self.cameras!r}."
            )
        if self.steps < 1 or self.guidance <= 0:
            raise ConfigError(
                f"Views need at least one step and a guidance above zero, not {self.steps} and "
                f"{self.guidance:g}."
            )

    def fixed_scale(self) -> float | None:
        """Return the scale where it is a number or the preset's is known; None: to be measured."""
        if self.scale == "measure":
            return None
        if self.scale == "preset":
            return 1.0 if parse_cameras(self.cameras).follows_input else None
        try:
            value = float(self.scale)
        except ValueError:
            value = 0.0
        if not 0.05 <= value <= 20:
            raise ConfigError(
                f"The scale of the views is {self.scale!r}; use 'preset', 'measure' or a number "
                "between 0.05 and 20."
            )
        return value


class NoViews:
    """Leaves the clip as it is."""

    name = "none"
    least_size = 1

    def views(self, clip: Dataset, listener: Listener = silent) -> Dataset:
        """Return the clip."""
        return clip


def build_provider(options: ViewOptions) -> ViewProvider:
    """Return what the options ask for; raise ConfigError where it cannot be had here."""
    if options.provider == "none":
        return NoViews()
    if options.provider == "folder":
        from .folder import FolderViews

        return FolderViews(options)
    from .zero123plus import build_zero123plus

    return build_zero123plus(options)


def _known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"There is no {what} {value!r}; use {', '.join(known)}.")
