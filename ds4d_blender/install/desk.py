# SPDX-License-Identifier: GPL-3.0-or-later
"""What this Blender knows of its engine, and what it is doing about it.

One installation and one check may go on; `step`, called by a timer, follows them.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import bpy

from ..engine.location import Engine
from ..seam import errors
from . import check, places, shipped, torch_build
from .check import EngineState, Kind
from .choice import engine, folder, settings
from .claim import clear_up
from .managed import Order, refuse_without_consent
from .ongoing import Checking, Installation
from .record import read_record, write_record
from .renew import renewable

STEP_SECONDS = 0.25
LOOK_AGAIN_SECONDS = 1.0
IN_USE = "A fit runs on this engine: let it end, or cancel it."


@dataclass
class _Desk:
    """What goes on, and what was last seen."""

    installation: Installation | None = None
    checking: Checking | None = None
    failure: str = ""
    """Why the last installation failed; "" after a success, a new start, or another choice."""
    measured: dict[str, int] = field(default_factory=dict)
    """Bytes to download by wish, where an installation found out."""
    gpu: torch_build.Gpu | None = None
    gpu_known: bool = False
    seen: EngineState | None = None
    seen_of: object = None
    seen_at: float = 0.0


_desk = _Desk()


def chosen_engine() -> Engine:
    """Return the engine to fit with; raise EngineError, one sentence, where it is of no use."""
    state = engine_state()
    if state.usable:
        return engine()
    raise errors.EngineError(state.sentence)


def engine_state() -> EngineState:
    """Tell how the chosen engine is; cheap, it looks at the disk once a second at most."""
    installation = _desk.installation
    chosen = settings()
    if installation is not None and chosen.kind == "MANAGED":
        return EngineState(Kind.INSTALLING, f"{installation.message}.", installation.part)
    if _desk.checking is not None:
        return EngineState(Kind.CHECKING, "The engine is being tried.")
    now = time.monotonic()
    choice = (chosen.kind, chosen.python, chosen.remote_prefix, chosen.remote_python)
    if _desk.seen is None or _desk.seen_of != choice or now - _desk.seen_at > LOOK_AGAIN_SECONDS:
        _desk.seen, _desk.seen_of, _desk.seen_at = _look(chosen), choice, now
    return _desk.seen


def _look(chosen: Any) -> EngineState:
    try:
        where, version = folder(), shipped.version()
    except errors.EngineError as error:
        return EngineState(Kind.BROKEN, str(error))
    try:
        found = check.Memory(where.checks).recall(engine())
    except ValueError:  # quotes that do not close
        return EngineState(Kind.BROKEN, "The way to the other machine has a quote too few.")
    if chosen.kind == "MANAGED":
        state = check.managed_state(where, version)
        if state.usable and found is not None and not found.able:
            reason = found.sentence.rstrip(".")
            state = EngineState(Kind.BROKEN, f"The engine does not work ({reason}): press Repair.")
        failed = bool(_desk.failure) and state.kind is not Kind.READY
        return EngineState(state.kind, _desk.failure) if failed else state
    if chosen.kind == "EXISTING":
        return check.existing_state(bpy.path.abspath(chosen.python), found, version)
    return check.remote_state(chosen.remote_prefix, found, version)


def installing() -> bool:
    """Tell whether an installation goes on."""
    return _desk.installation is not None


def look_for_gpu() -> None:
    """Have a thread look for a graphics card, once."""

    def look() -> None:
        _desk.gpu, _desk.gpu_known = torch_build.find_gpu(), True

    if not _desk.gpu_known:
        threading.Thread(target=look, name="ds4d-gpu", daemon=True).start()


def build_for(wish: str) -> torch_build.TorchBuild:
    """Return the build of torch that would be installed, as far as the card is known."""
    return torch_build.choose_build(wish, _desk.gpu)


def renews(wish: str) -> bool:
    """Tell whether exchanging the engine alone is enough: nothing is downloaded then."""
    if _desk.failure or engine_state().kind is not Kind.OUTDATED:
        return False
    record = renewable(folder(), shipped.wheel(), shipped.constraints())
    return record is not None and record.build == build_for(wish).name


def reason_for(wish: str) -> str:
    """Say why that build, as far as the card is known."""
    if wish != torch_build.PROCESSOR and not _desk.gpu_known:
        return "Looking for a graphics card..."
    return build_for(wish).reason


def download_bytes(wish: str) -> int:
    """Return what the installation will download: as measured before, or as is said of it."""
    return _desk.measured.get(wish, build_for(wish).download_bytes)


def why_not_install() -> str:
    """Return why an installation cannot begin now, "" where it can."""
    if installing():
        return "The engine is being installed."
    if _in_use():
        return IN_USE
    return ""


def lacks_network() -> bool:
    """Tell whether an installation with the preferences as they are may not use the network."""
    chosen = settings()
    return not (bpy.app.online_access or chosen.wheels or renews(chosen.build))


def _in_use() -> bool:
    """Tell whether a job runs on the managed engine."""
    from .. import session  # which needs the engine this module chooses

    begun = session.begun()
    return settings().kind == "MANAGED" and begun is not None and begun.queue.current is not None


def begin_installation(wish: str, wheels: str = "") -> None:
    """Start to install the managed engine; raise EngineError where that may not or cannot be."""
    if installing():
        raise errors.EngineError("The engine is being installed: wait until that is done.")
    where, renew = folder(), renews(wish)
    refuse_without_consent(wheels=wheels, online=bpy.app.online_access, renew=renew)
    order = Order(
        root=str(where.root),
        wheel=str(shipped.wheel()),
        constraints=str(shipped.constraints()),
        wish=wish,
        wheels=wheels,
        renew=renew,
        online=bpy.app.online_access,
        agreed_bytes=download_bytes(wish),
    )
    _desk.failure = ""
    _desk.installation = Installation(order, where.worker_log)
    _follow()


def cancel_installation() -> None:
    """Give up the installation that goes on."""
    if _desk.installation is not None:
        _desk.installation.cancel()


def why_not_check() -> str:
    """Return why the engine cannot be checked now, "" where it can."""
    state = engine_state()
    if state.kind in (Kind.INSTALLING, Kind.CHECKING, Kind.MISSING, Kind.GONE):
        return state.sentence
    if settings().kind == "EXISTING" and not os.path.isfile(engine().python):
        return state.sentence
    return ""


def begin_check() -> None:
    """Have the chosen engine try itself."""
    _desk.checking = Checking(engine())
    _follow()


def why_not_remove() -> str:
    """Return why there is nothing to remove now, "" where there is."""
    if installing():
        return "The engine is being installed."
    if _in_use():
        return IN_USE
    where = folder()
    return "" if where.engine.exists() or where.part.exists() else "No engine is installed."


def remove_engine() -> None:
    """Delete the managed engine; raise EngineError where something of it stays."""
    places.remove(folder())
    _desk.failure = ""
    _desk.seen = None


def step() -> bool:
    """Follow what goes on; return whether anything a person sees has changed. Never waits."""
    changed = False
    installation = _desk.installation
    if installation is not None:
        changed = installation.poll()
        if installation.measured_bytes:
            _desk.measured[installation.order.wish] = installation.measured_bytes
        if installation.done:
            _desk.failure = "" if installation.cancelled else installation.error
            _desk.installation = _desk.seen = None
            if not installation.error:
                check.Memory(folder().checks).forget(folder().managed())
            else:  # mostly nothing is left, but it may have been killed
                threading.Thread(target=clear_up, args=(folder(),), daemon=True).start()
    checking = _desk.checking
    if checking is not None:
        found = checking.poll()
        if found is not None:
            _keep(checking.engine, found)
            _desk.checking = _desk.seen = None
            changed = True
    return changed


def stop() -> None:
    """Let go of everything that goes on: it ends by itself."""
    global _desk
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if _desk.installation is not None:
        _desk.installation.release()
    if _desk.checking is not None:
        _desk.checking.cancel()
    _desk = _Desk()


def _keep(checked: Engine, found: check.Found) -> None:
    """Remember what a check said of an engine."""
    where = folder()
    check.Memory(where.checks).keep(checked, found)
    if checked == where.managed():
        _desk.failure = ""
        if found.able:
            write_record(where.engine, check.stamped_anew(read_record(where.engine)))


def _follow() -> None:
    _desk.seen = None
    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=STEP_SECONDS, persistent=True)


def _tick() -> float | None:
    if step():
        _redraw()
    busy = _desk.installation is not None or _desk.checking is not None
    return STEP_SECONDS if busy else None


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("PREFERENCES", "VIEW_3D"):
                area.tag_redraw()
