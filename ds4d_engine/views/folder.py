# SPDX-License-Identifier: GPL-3.0-or-later
"""Views that were generated elsewhere, read from a folder."""

from __future__ import annotations

from pathlib import Path

from ..data import Dataset
from ..data.dataset import Pixels
from ..seam.errors import ConfigError, DatasetError
from ..seam.events import Listener, Stage, silent
from .assemble import join, require_single_clip, stack_views
from .cutout import cut_out
from .layouts import Wanted, detect_layout, read_views
from .presets import parse_cameras
from .provider import ViewOptions


class FolderViews:
    """Reads pictures or videos of views; see docs/views.md for how they may lie."""

    name = "folder"
    least_size = 1

    def __init__(self, options: ViewOptions) -> None:
        """Take the options; raise ConfigError if the folder does not exist."""
        if options.folder is None or not options.folder.is_dir():
            raise ConfigError(f"The folder of views {options.folder} does not exist.")
        self.options = options
        self.folder: Path = options.folder

    def views(self, clip: Dataset, listener: Listener = silent) -> Dataset:
        """Return the clip with the folder's views; raise DatasetError where they do not fit."""
        require_single_clip(clip)
        angles = parse_cameras(self.options.cameras).angles
        wanted = Wanted(self.folder, clip.frame_count, tuple(angle.name for angle in angles))
        layout = self.options.layout
        if layout == "auto":
            layout = detect_layout(wanted)
        stage = Stage(listener, "read views", clip.frame_count * len(angles))
        frames: list[list[Pixels | None]] = []
        for row in read_views(wanted, layout):
            cut: list[Pixels | None] = []
            for name, rgba in row:
                picture = cut_out(rgba)
                if picture is None:
                    raise DatasetError(
                        f"{name} has neither alpha nor a plain background; cut the object out."
                    )
                cut.append(picture)
                stage.update(len(frames) * len(angles) + len(cut))
            frames.append(cut)
        return join(clip, stack_views(angles, frames), self.options.fixed_scale(), listener)
