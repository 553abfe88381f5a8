# SPDX-License-Identifier: GPL-3.0-or-later
"""What stopped the engine, as one sentence for a person."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from .seam.errors import DS4DError
from .seam.events import Failure

OUT_OF_MEMORY = "OutOfMemory"
CUDA_LOST = "CudaLost"
DISK_FULL = "DiskFull"
CRASH = "Crash"
INTERRUPTED = "Interrupted"
MACHINE_ERRORS = (OUT_OF_MEMORY, CUDA_LOST, DISK_FULL, CRASH)
"""Names of the failures that are not the input's fault: what was kept is worth going on from."""

_SMALLER = "choose a smaller picture size, fewer frames or fewer Gaussians"
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def failure_of(error: BaseException, *, resumable: bool = False) -> Failure:
    """Return what to tell of an error that ended a run."""
    # A full disk shows itself as any error of whatever was being written.
    if any(_is_full(cause) for cause in _causes(error)):
        detail = str(error).strip().rstrip(".")
        message = f"The disk is full; free some space on it, then go on ({detail})."
        return Failure(message, DISK_FULL, resumable)
    if isinstance(error, DS4DError):
        return Failure(str(error), type(error).__name__, resumable)
    # Torch raises plain RuntimeErrors, or its own kinds of them, told apart by their text.
    text = str(error)
    if "CUDA out of memory" in text or type(error).__name__ == "OutOfMemoryError":
        message = f"The GPU ran out of memory; {_SMALLER}."
        return Failure(message, OUT_OF_MEMORY, resumable)
    if isinstance(error, MemoryError) or _is_allocation(text):
        message = f"The memory ran out; close other programs, or {_SMALLER}."
        return Failure(message, OUT_OF_MEMORY, resumable)
    if "CUDA error" in text or "CUDA driver" in text or "cuDNN error" in text:
        message = (
            f"The GPU stopped answering ({_first_line(error)}); start again, and restart the "
            "computer if that does not help."
        )
        return Failure(message, CUDA_LOST, resumable)
    if isinstance(error, KeyboardInterrupt):
        return Failure("The engine was interrupted.", INTERRUPTED, resumable)
    message = f"The engine stopped unexpectedly ({_first_line(error)}); the log says more."
    return Failure(message, CRASH, resumable)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, also where that is not shown."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    # Libraries that write by themselves keep the text alone.
    return "No space left on device" in str(error)


def _is_allocation(text: str) -> bool:
    return "DefaultCPUAllocator" in text or "not enough memory" in text


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {lines[0][:120]}" if lines else name
