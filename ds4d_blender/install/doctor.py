# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine's `doctor --json` found, as one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LACKS = "also needs the CUDA toolkit and a C++ compiler"


@dataclass(frozen=True)
class Health:
    """Whether an engine can work, and one sentence about it."""

    able: bool
    sentence: str
    engine: str = ""
    """The engine's version, "" where it does not say."""


def understand(report: Any) -> Health:
    """Read a report; anything that is none raises ValueError."""
    try:
        checks = [_Check(**_known(check)) for check in report["checks"]]
        able, engine = bool(report["able"]), str(report.get("engine", ""))
    except (KeyError, TypeError, AttributeError):
        raise ValueError("no report of `doctor`") from None
    if not able:
        lacks = [f"{check.name}: {check.detail}" for check in checks if check.lacks]
        return Health(False, f"{lacks[0] if lacks else 'something is missing'}.", engine)
    found = {check.name: check for check in checks}
    gpu, card = found.get("draw: gsplat"), found.get("CUDA")
    sentence = "Fits run on the processor."
    if card is not None and card.ok and gpu is not None:
        name = card.detail.split(",")[0]
        sentence = f"Fits can use {name}." if gpu.ok else f"{sentence[:-1]}: {name} {LACKS}."
    without = [name for name in ("ffmpeg", "H.264 decoder") if name in found and not found[name].ok]
    return Health(True, sentence + (" Videos cannot be read." if without else ""), engine)


@dataclass(frozen=True)
class _Check:
    name: str
    ok: bool
    detail: str
    needed: bool = True

    @property
    def lacks(self) -> bool:
        return self.needed and not self.ok


def _known(check: Mapping[str, Any]) -> dict[str, Any]:
    return {key: check[key] for key in ("name", "ok", "detail", "needed") if key in check}
