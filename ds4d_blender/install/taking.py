# SPDX-License-Identifier: GPL-3.0-or-later
"""How far pip is, from what it leaves on the disk: no two versions of it say it alike."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from ..seam import events
from .pip import Package, Pip


class Taking:
    """Report two stages, "download" and "install", both in bytes to download.

    While pip downloads, the bytes that it has count. Then the packages that are whole count, each
    by its size; and within a large one, how much room on the disk has gone.
    """

    def __init__(
        self,
        pip: Pip,
        packages: Sequence[Package],
        total: int,
        disk_bytes: int,
        listener: events.Listener,
    ) -> None:
        self.pip, self.total, self.disk_bytes = pip, max(total, 1), disk_bytes
        self.weights = {(p.name, p.version): max(p.bytes, 1) for p in packages}
        self.download = events.Stage(listener, "download", self.total)
        self.listener = listener
        self.install: events.Stage | None = None
        self.free = 0
        self.part = 0.0

    def look(self, printed: bytes) -> None:
        """Look how far it is; `printed` is what pip has said."""
        if self.install is None and b"Installing collected" not in printed:
            self.download.update(min(self.pip.downloaded(), self.total - 1))
            return
        if self.install is None:
            self.download.update(self.total)
            self.install = events.Stage(self.listener, "install", self.total)
            self.free = self._free()
        whole = sum(self.weights[p] for p in self.pip.installed() & self.weights.keys())
        parts = (whole / sum(self.weights.values()), (self.free - self._free()) / self.disk_bytes)
        # Others use the disk too: it may never go back, nor to the end before the end.
        self.part = min(max(self.part, *parts), 0.99)
        self.install.update(self.part * self.total)

    def finish(self) -> None:
        """Say that all is there."""
        self.download.update(self.total)
        stage = self.install or events.Stage(self.listener, "install", self.total)
        stage.update(self.total)

    def _free(self) -> int:
        return shutil.disk_usage(self.pip.folder).free
