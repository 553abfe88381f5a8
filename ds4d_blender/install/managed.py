# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the engine's environment: whole and checked, or not at all.

Everything happens in a folder beside the environment in use, which is replaced at the very end.
Nothing here runs in Blender: `worker` calls it in a process of its own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..seam import errors, events
from . import child, places, shipped, torch_build
from .amounts import megabytes
from .claim import claim
from .doctor import understand
from .environment import make_environment
from .pip import Package, Pip
from .record import Record, write_record
from .renew import checksum, copy_environment, renewable, version_of
from .short_name import short_name
from .taking import Taking

# How much more than was agreed may be downloaded: indexes change a little from day to day.
TOLERANCE = 1.25
SPARE_BYTES = 500_000_000


@dataclass(frozen=True)
class Order:
    """What to install, and where.

    Args:
        root: the folder in which everything happens.
        wheel, constraints: the engine, and the versions of what it needs.
        wish: which build of torch, see `torch_build.choose_build`.
        wheels: a folder of wheels to take instead of the network, or "".
        renew: exchange the engine alone, see `renew.renewable`; nothing is downloaded.
        online: whether the network may be used.
        agreed_bytes: how large a download was agreed to; 0: what the build is said to take.
        python: the Python to make the environment from.
    """

    root: str
    wheel: str
    constraints: str
    wish: str = torch_build.AUTOMATIC
    wheels: str = ""
    renew: bool = False
    online: bool = False
    agreed_bytes: int = 0
    python: str = sys.executable


def install(
    order: Order, listener: events.Listener, cancelled: Callable[[], bool] = lambda: False
) -> Record:
    """Make the environment, check it, and put it in the place of the one in use.

    Raises:
        EngineError: one sentence; what was in use still is, and nothing else is left.
        child.Cancelled: the same, because `cancelled` said so.
    """
    where = places.Places(Path(order.root))
    refuse_without_consent(wheels=order.wheels, online=order.online, renew=order.renew)
    where.root.mkdir(parents=True, exist_ok=True)
    places.recover(where)
    claim(where)
    where.log.write_bytes(b"")
    try:
        make = _renew if order.renew else _build
        record = make(order, where, listener, cancelled)
        write_record(where.part, record)
        places.swap_in(where)
        return record
    except OSError as error:
        raise errors.EngineError(f"The engine cannot be installed: {error}.") from error
    finally:
        places.clear(where.part)


def refuse_without_consent(*, wheels: str, online: bool, renew: bool) -> None:
    """Raise EngineError where the network is needed and may not be used."""
    if renew:
        return
    if wheels:
        if not any(Path(wheels).glob("*.whl")):
            raise errors.EngineError(f"There are no packages in {wheels}: choose their folder.")
    elif not online:
        raise errors.EngineError(
            "Blender may not use the network: turn on “Allow Online Access” in Preferences > "
            "System, or choose a folder of packages."
        )


def _build(
    order: Order, where: places.Places, listener: events.Listener, cancelled: Callable[[], bool]
) -> Record:
    gpu = torch_build.find_gpu()
    build = torch_build.choose_build(order.wish, gpu)
    _refuse_full_disk(where, build)
    stage = events.Stage(listener, "environment", 1)
    stage.update(0, build.reason)
    make_environment(order.python, where.part, where.log, cancelled)
    stage.update(1)
    with short_name(where.part) as folder:
        wheels = Path(order.wheels) if order.wheels else None
        pip = Pip(folder, wheels, where.log, cancelled)
        packages = _fill(order, build, pip, listener)
        shutil.rmtree(pip.temporary, ignore_errors=True)
    return _record(order, build, packages, _doctor(where, listener, cancelled))


def _fill(
    order: Order, build: torch_build.TorchBuild, pip: Pip, listener: events.Listener
) -> list[Package]:
    """Find out what is needed, and install it if it is what was agreed to; return what it is."""
    constraints = Path(order.constraints)
    stage = events.Stage(listener, "lookup", 1)
    stage.update(0, "Looking up what is needed.")
    requirements, index = [order.wheel], ""
    if pip.wheels is None and build.index and not pip.has_own_sources():
        index = build.index
        requirements.append(f"torch=={shipped.torch_version(constraints)}{build.local}")

    def look(_printed: bytes) -> None:
        _refuse_more_than_agreed(order, build, pip.downloaded(), whole=False)

    packages = pip.resolve(requirements, constraints, index, look)
    total = _total(build, packages)
    stage.update(1, f"{megabytes(total)} to download.", download_bytes=total)
    _refuse_more_than_agreed(order, build, total)
    taking = Taking(pip, packages, total, build.disk_bytes, listener)
    pip.install(packages, index, taking.look)
    taking.finish()
    return packages


def _renew(
    order: Order, where: places.Places, listener: events.Listener, cancelled: Callable[[], bool]
) -> Record:
    wheel = Path(order.wheel)
    record = renewable(where, wheel, Path(order.constraints))
    if record is None:
        raise errors.EngineError("The engine cannot be updated alone: install it again.")
    stage = events.Stage(listener, "environment", 1)
    stage.update(0, "Updating the engine.")
    copy_environment(where)
    stage.update(1)
    pip = Pip(where.part, None, where.log, cancelled)
    pip.replace(wheel)
    shutil.rmtree(pip.temporary, ignore_errors=True)
    summary = _doctor(where, listener, cancelled)
    return dataclasses.replace(record, engine=version_of(wheel), summary=summary)


def _refuse_full_disk(where: places.Places, build: torch_build.TorchBuild) -> None:
    needed = build.download_bytes + build.disk_bytes + SPARE_BYTES
    free = shutil.disk_usage(where.root).free
    if free < needed:
        raise errors.EngineError(
            f"The engine needs {megabytes(needed)} of room on the disk while it is installed, and "
            f"{megabytes(free)} are free: make room, then install again."
        )


def _total(build: torch_build.TorchBuild, packages: list[Package]) -> int:
    """Return the bytes to download."""
    known = sum(max(package.bytes, 0) for package in packages)
    unknown = any(package.bytes < 0 for package in packages)
    return max(known, build.download_bytes) if unknown else known


def _refuse_more_than_agreed(
    order: Order, build: torch_build.TorchBuild, count: int, *, whole: bool = True
) -> None:
    """Raise EngineError where more would be downloaded than was agreed to.

    `whole` says that `count` is all that there is to download, not what came until now.
    """
    agreed = order.agreed_bytes or build.download_bytes
    if order.wheels or count <= agreed * TOLERANCE:
        return
    remedy = "install again to agree to that" if whole else "choose the build for graphics cards"
    raise errors.EngineError(
        f"The download would be {'' if whole else 'more than '}{megabytes(count)}, and "
        f"{megabytes(agreed)} were agreed to: {remedy}, or choose a folder of packages."
    )


def _doctor(where: places.Places, listener: events.Listener, cancelled: Callable[[], bool]) -> str:
    """Have the new engine look at itself; return its summary, raise EngineError if it is unfit."""
    stage = events.Stage(listener, "check", 1)
    stage.update(0, "Trying the new engine.")
    engine = where.managed()
    command = [str(places.python_of(where.part)), "-I", "-m", "ds4d_engine", "doctor", "--json"]
    _, said = child.run(command, engine.variables(), where.log, cancelled=cancelled)
    try:
        health = understand(json.loads(said))
    except ValueError:
        raise errors.EngineError("The new engine does not start: look at the log.") from None
    if not health.able:
        raise errors.EngineError(f"The new engine cannot work here: {health.sentence}")
    stage.update(1)
    return health.sentence


def _record(
    order: Order, build: torch_build.TorchBuild, packages: list[Package], summary: str
) -> Record:
    versions = {package.name: package.version for package in packages}
    base = os.path.realpath(order.python)
    return Record(
        engine=versions["ds4d"],
        torch=versions["torch"],
        build=build.name,
        python=".".join(map(str, sys.version_info[:3])),
        base=base,
        base_bytes=os.path.getsize(base),
        constraints=checksum(Path(order.constraints)),
        summary=summary,
    )
