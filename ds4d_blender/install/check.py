# SPDX-License-Identifier: GPL-3.0-or-later
"""How the engine is, cheaply: a few looks at the disk, and what was found when it last ran."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from ..engine.location import Engine
from ..seam import errors
from .doctor import Health
from .places import Places, packages_of, python_of
from .record import Record, read_record


class Kind(StrEnum):
    """What can be done with an engine."""

    READY = "READY"
    UNCHECKED = "UNCHECKED"
    """It may work: nobody has looked since it was chosen."""
    MISSING = "MISSING"
    BROKEN = "BROKEN"
    OUTDATED = "OUTDATED"
    """Another version than the add-on's."""
    GONE = "GONE"
    """The Python it was made from is no longer there."""
    INSTALLING = "INSTALLING"
    CHECKING = "CHECKING"


@dataclass(frozen=True)
class EngineState:
    """How the engine is, in one sentence that says what to click."""

    kind: Kind
    sentence: str
    part: float | None = None
    """How far an installation is, 0 to 1."""

    @property
    def usable(self) -> bool:
        """Tell whether a fit may be started."""
        return self.kind in (Kind.READY, Kind.UNCHECKED)


def managed_state(places: Places, version: str) -> EngineState:
    """Look at a managed engine; `version` is the add-on's."""
    if not places.engine.exists():
        return EngineState(Kind.MISSING, "The engine is not installed: press Install.")
    try:
        record = read_record(places.engine)
    except errors.EngineError:
        return EngineState(Kind.BROKEN, "The engine's environment is damaged: press Repair.")
    if not python_of(places.engine).exists() or not os.path.exists(record.base):
        sentence = (
            f"The engine was made with the Python {record.python} of a Blender that is gone: "
            "press Rebuild."
        )
        return EngineState(Kind.GONE, sentence)
    if not all((packages_of(places.engine) / name).is_dir() for name in ("ds4d_engine", "torch")):
        return EngineState(Kind.BROKEN, "A part of the engine is missing: press Repair.")
    if record.engine != version:
        sentence = f"The engine is version {record.engine}, the add-on {version}: press Update."
        return EngineState(Kind.OUTDATED, sentence)
    if os.path.getsize(record.base) != record.base_bytes:
        sentence = "Blender's Python has changed since the engine was made: press Check."
        return EngineState(Kind.UNCHECKED, sentence)
    return EngineState(Kind.READY, f"The engine is ready. {record.summary}")


def existing_state(path: str, found: Found | None, version: str) -> EngineState:
    """Look at a Python that the user chose; `found` is what the last check of it said."""
    if not path:
        sentence = "Choose the Python of an environment that has the engine."
        return EngineState(Kind.MISSING, sentence)
    if not os.path.isfile(path):
        return EngineState(Kind.BROKEN, f"There is no file {path}: choose another Python.")
    return _as_found(found, version, "choose another Python, or repair its environment")


def remote_state(prefix: str, found: Found | None, version: str) -> EngineState:
    """Look at an engine on another machine, without asking it."""
    if not prefix.strip():
        sentence = "Say how the other machine is reached, such as: ssh name@machine"
        return EngineState(Kind.MISSING, sentence)
    return _as_found(found, version, "look at the other machine, then press Check")


@dataclass(frozen=True)
class Found:
    """What a check of an engine said."""

    able: bool
    sentence: str
    engine: str = ""
    """The engine's version, "" if it did not say."""
    reported: bool = True
    """Whether it is the engine's own report; else the sentence says why there is none."""


def found_of(health: Health | None, error: str) -> Found:
    """Return what to remember of a check: the engine's own report, or why there is none."""
    if health is None:
        return Found(False, error, reported=False)
    return Found(health.able, health.sentence, health.engine)


class Memory:
    """What checks of chosen engines said, kept in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def recall(self, engine: Engine) -> Found | None:
        """Return what the last check of this very engine said."""
        content = self._read().get(key_of(engine))
        try:
            return Found(**content) if isinstance(content, Mapping) else None
        except TypeError:
            return None

    def keep(self, engine: Engine, found: Found) -> None:
        """Remember what a check said, atomically."""
        self._write({**self._read(), key_of(engine): asdict(found)})

    def forget(self, engine: Engine) -> None:
        """Forget what a check of this engine said, if there was one."""
        content = self._read()
        if content.pop(key_of(engine), None) is not None:
            self._write(content)

    def _write(self, content: dict[str, object]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(part, self.path)

    def _read(self) -> dict[str, object]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def key_of(engine: Engine) -> str:
    """Name an engine so that another one, or a replaced one, has another name."""
    stamp = ""
    if not engine.is_remote:
        try:
            status = os.stat(engine.python)
            stamp = f"{status.st_size}.{status.st_mtime_ns}"
        except OSError:
            stamp = "missing"
    return " ".join([*engine.prefix, engine.python, stamp])


def stamped_anew(record: Record) -> Record:
    """Return the record of an engine that works with the Python as it is now."""
    values = asdict(record) | {"base_bytes": os.path.getsize(record.base)}
    return Record(**values)


def _as_found(found: Found | None, version: str, remedy: str) -> EngineState:
    if found is None:
        return EngineState(Kind.UNCHECKED, "The engine was not tried yet: press Check.")
    if not found.reported:
        return EngineState(Kind.BROKEN, found.sentence)
    if not found.able:
        reason = found.sentence.rstrip(".")
        return EngineState(Kind.BROKEN, f"The engine does not work ({reason}): {remedy}.")
    if found.engine and found.engine != version:
        sentence = f"The engine is version {found.engine}, the add-on {version}: update it there."
        return EngineState(Kind.OUTDATED, sentence)
    return EngineState(Kind.READY, f"The engine is ready. {found.sentence}")
