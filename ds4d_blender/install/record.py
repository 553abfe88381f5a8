# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written down about an installed engine, beside it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..seam import errors

NAME = "engine.json"


@dataclass(frozen=True)
class Record:
    """How an engine's environment was made."""

    engine: str
    """The engine's version, which is that of the add-on that installed it."""
    torch: str
    build: str
    """The build of torch that was chosen: "cpu", "cu130", ..."""
    python: str
    """Version of the Python that the environment was made from."""
    base: str
    """Path of that Python."""
    base_bytes: int
    """Its size, to notice when it was replaced."""
    constraints: str
    """Checksum of the versions that were asked for."""
    summary: str
    """What `doctor` found, as one sentence."""


def write_record(folder: Path, record: Record) -> None:
    """Write the record into an environment's folder, atomically."""
    part = folder / f"{NAME}.part"
    part.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    os.replace(part, folder / NAME)


def read_record(folder: Path) -> Record:
    """Read the record of an environment; raise EngineError when there is none to read."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        known = {field.name: content[field.name] for field in fields(Record)}
        record = Record(**known)
    except (OSError, ValueError, KeyError, TypeError):
        raise errors.EngineError("The engine's environment is incomplete: install it.") from None
    for field in fields(Record):
        if not isinstance(getattr(record, field.name), int if field.type == "int" else str):
            raise errors.EngineError("The engine's environment is incomplete: install it.")
    return record
