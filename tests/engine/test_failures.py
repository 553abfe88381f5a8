# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a run may end badly is one sentence that a person understands."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from ds4d_engine.failures import failure_of
from ds4d_engine.seam import AssetError, ConfigError, EngineError, write_asset
from tests.engine.tiny_clip import tiny_asset


def _raised(work) -> BaseException:  # type: ignore[no-untyped-def]
    with pytest.raises(BaseException) as caught:
        work()
    return caught.value


def test_a_foreseen_error_is_told_as_it_is() -> None:
    failure = failure_of(ConfigError("Turn it off."), resumable=True)
    assert (failure.message, failure.error, failure.resumable) == (
        "Turn it off.",
        "ConfigError",
        True,
    )


def test_memory_that_runs_out_is_named_whoever_asked_for_it() -> None:
    for work in (
        lambda: torch.empty(1 << 48),
        lambda: np.empty(1 << 60, np.uint8),
        lambda: bytearray(1 << 62),
    ):
        failure = failure_of(_raised(work))
        assert failure.error == "OutOfMemory" and "memory ran out" in failure.message


def test_a_gpus_memory_is_named() -> None:
    failure = failure_of(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate"))
    assert failure.error == "OutOfMemory" and "GPU" in failure.message


def test_a_lost_gpu_is_named() -> None:
    error = RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with")
    failure = failure_of(error)
    assert failure.error == "CudaLost" and "\n" not in failure.message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_although_the_writer_hides_it(tmp_path: Path) -> None:
    (tmp_path / "a.ds4d.part").symlink_to("/dev/full")
    error = _raised(lambda: write_asset(tmp_path / "a.ds4d", tiny_asset()))
    assert isinstance(error, AssetError)
    failure = failure_of(error)
    assert failure.error == "DiskFull" and "free some space" in failure.message
    assert str(tmp_path / "a.ds4d") in failure.message, "which disk, the path says"


def test_a_full_disk_is_found_under_an_engine_error() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise EngineError("Cannot write the checkpoint.") from error
    except EngineError as error:
        assert failure_of(error).error == "DiskFull"


def test_anything_unforeseen_names_itself_and_the_log() -> None:
    failure = failure_of(TypeError("an int is no str\nat all"))
    assert failure.error == "Crash"
    assert failure.message == (
        "The engine stopped unexpectedly (TypeError: an int is no str); the log says more."
    )
