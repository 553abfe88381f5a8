# SPDX-License-Identifier: GPL-3.0-or-later
"""Goes along with a fit that somebody watches or steers."""

from __future__ import annotations

from ..control import Control
from .config import FitConfig
from .moment import Moment, Visitor
from .previewer import Previewer
from .scene import Scene
from .start import Start


class Companion(Visitor):
    """Writes previews and makes a paused fit wait; both only where there is somebody for it."""

    def __init__(self, control: Control | None, previewer: Previewer | None) -> None:
        self.control, self.previewer = control, previewer

    def begin(self, scene: Scene, start: Start, config: FitConfig) -> None:
        if self.previewer:
            self.previewer.begin(scene, start, config)

    def visit(self, moment: Moment) -> float:
        if self.control:
            self.control.begun = True
        if self.previewer:
            self.previewer.visit(moment)
        return self.control.wait_while_paused(moment.keep) if self.control else 0.0
