# SPDX-License-Identifier: GPL-3.0-or-later
"""Files to another machine and back: a tar stream through its shell, each whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from ..seam import errors
from . import family
from .location import Engine, quoted

CHUNK = 1 << 18
STAMP = ".sent"
SAID = "DS4D:"  # begins what a line of shell says to us; a login may print more
BEGIN = f"{SAID}begin"
_REFUSED = "The files could not be {what} {host}: {why}."

Moved = Callable[[int], None]
"""Told the bytes that have gone so far; may raise to stop."""


class Link:
    """Runs lines of shell on the engine's machine; every process of it can be ended at once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.closed = False
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()

    def close(self) -> None:
        """End what runs and refuse what would begin."""
        with self._lock:
            self.closed = True
            for child in self._children:
                family.end(child, "kill")

    @contextmanager
    def running(self, line: str, what: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a line and give its process; its end is waited for.

        Raises:
            EngineError: it cannot be run, it fails, or the link was closed.
        """
        with tempfile.TemporaryFile() as log:
            child = self._begin(line, what, log)
            try:
                yield child
                _close(child.stdin)
                if child.stdout is not None:
                    child.stdout.read()  # it ends by itself; nobody may hang up on it
            except (OSError, tarfile.TarError) as error:
                family.end(child, "kill")
                raise self._refusal(what, log, str(error)) from error
            except BaseException:
                family.end(child, "kill")
                raise
            finally:
                self._finish(child)
            if child.returncode:
                raise self._refusal(what, log, f"exit code {child.returncode}")

    def ask(self, line: str) -> list[str]:
        """Run a line and return what it said after `SAID`, one word of it per line.

        Raises:
            EngineError: it fails.
        """
        with self.running(line, "copied to") as child:
            assert child.stdin is not None and child.stdout is not None
            _close(child.stdin)
            said = child.stdout.read().decode("utf-8", "replace").splitlines()
        return [text.removeprefix(SAID) for text in said if text.startswith(SAID)]

    def _begin(self, line: str, what: str, log: BinaryIO) -> subprocess.Popen[bytes]:
        try:
            with self._lock:
                if self.closed:
                    raise errors.EngineError("Cancelled.")
                child = family.launch(self.engine.shell(line), self.engine.variables(), log)
                self._children.add(child)
        except OSError as error:
            raise self._refusal(what, log, f"{self.engine.prefix[0]}: {error.strerror}") from error
        return child

    def _finish(self, child: subprocess.Popen[bytes]) -> None:
        _close(child.stdin)
        _close(child.stdout)
        child.wait()
        with self._lock:
            self._children.discard(child)

    def _refusal(self, what: str, log: BinaryIO, why: str) -> errors.EngineError:
        if self.closed:
            return errors.EngineError("Cancelled.")
        log.seek(0)
        said = log.read(4096).decode("utf-8", "replace").strip().splitlines()
        reason = (said[-1] if said else why).rstrip(".")
        return errors.EngineError(_REFUSED.format(what=what, host=self.engine.host, why=reason))


def place_of(index: int, path: str) -> str:
    """Return where an input lies within the folder of inputs."""
    return f"{index}/{Path(path).name}"


def signature(paths: Sequence[str]) -> str:
    """Return a digest of the names, sizes and times of files and folders."""
    digest = hashlib.sha256()
    for path in paths:
        for file in _files(Path(path)):
            state = file.stat()
            digest.update(f"{file} {state.st_size} {state.st_mtime_ns}\n".encode())
        digest.update(b"\n")
    return digest.hexdigest()


def size_of(paths: Sequence[str]) -> int:
    """Return the bytes of files and folders."""
    return sum(file.stat().st_size for path in paths for file in _files(Path(path)))


def send(link: Link, paths: Sequence[str], folder: str, moved: Moved) -> None:
    """Copy files and folders to a folder of the other machine, which appears when it is whole.

    Raises:
        EngineError: they cannot be read or copied.
    """
    target = quoted(folder)
    line = (
        f"rm -rf {target}.part && mkdir -p {target}.part && tar -xf - -C {target}.part "
        f"&& rm -rf {target} && mv {target}.part {target}"
    )
    with link.running(line, "copied to") as child:
        assert child.stdin is not None
        pipe = _Counting(child.stdin, moved)
        with tarfile.open(fileobj=pipe, mode="w|", dereference=True) as archive:
            for index, path in enumerate(paths):
                archive.add(path, place_of(index, path))
            with tempfile.NamedTemporaryFile() as stamp:
                stamp.write(signature(paths).encode())
                stamp.flush()
                archive.add(stamp.name, STAMP)


def fetch(
    link: Link, folder: str, targets: dict[str, Path], moved: Moved, *, changing: bool = False
) -> list[str]:
    """Copy files of a folder of the other machine here; return the names of those that exist.

    ``targets`` is the path here of each name there. ``changing`` allows that one is replaced there
    meanwhile.

    Raises:
        EngineError: they cannot be copied or written.
    """
    names = " ".join(shlex.quote(name) for name in targets)
    line = (
        f"echo {BEGIN}; cd {quoted(folder)} || exit 3; set --; for name in {names}; do "
        '[ -f "$name" ] && set -- "$@" "$name"; done; [ $# -eq 0 ] || tar -cf - "$@"'
    )
    if changing:
        line += "; [ $? -le 1 ]"  # 1: a file changed while it was read; the open one is whole
    found = []
    with link.running(line, "copied from") as child:
        assert child.stdout is not None
        _close(child.stdin)
        while (said := child.stdout.readline(CHUNK)) and said.strip() != BEGIN.encode():
            pass
        pipe = _Counting(child.stdout, moved)
        if not child.stdout.peek(1):  # type: ignore[attr-defined]
            return found
        with tarfile.open(fileobj=pipe, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if member.name in targets and content is not None:
                    _write(targets[member.name], content)
                    found.append(member.name)
    return found


def _write(target: Path, content: BinaryIO) -> None:
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        with open(part, "wb") as file:
            while chunk := content.read(CHUNK):
                file.write(chunk)
        os.replace(part, target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _close(pipe: IO[bytes] | None) -> None:
    with suppress(OSError):
        if pipe is not None:
            pipe.close()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


class _Counting:
    """A pipe that tells how many bytes went through."""

    def __init__(self, pipe: BinaryIO, moved: Moved) -> None:
        self.pipe, self.moved, self.count = pipe, moved, 0

    def write(self, data: bytes) -> int:
        self.pipe.write(data)
        self._add(len(data))
        return len(data)

    def read(self, size: int = -1) -> bytes:
        data = self.pipe.read(size)
        self._add(len(data))
        return data

    def _add(self, count: int) -> None:
        self.count += count
        self.moved(self.count)
