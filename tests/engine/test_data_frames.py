# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures beyond a budget of main memory are kept in a file, and nothing else changes."""

from __future__ import annotations

import dataclasses
import gc
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ds4d_engine.data import frames as kept
from ds4d_engine.data.frames import FramesInFile, empty_pictures
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.seam.asset import read_asset
from ds4d_engine.seam.errors import DatasetError
from tests.engine.moving_blob import moving_blob

SHAPE = (5, 40, 30, 4)


def random_pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)


def test_pictures_take_at_most_half_of_the_budget_in_main_memory(tmp_path: Path) -> None:
    size = int(np.prod(SHAPE))
    (inside,) = empty_pictures([SHAPE], size, 2 * size, tmp_path)
    (outside,) = empty_pictures([SHAPE], size, 2 * size - 1, tmp_path)
    (unlimited,) = empty_pictures([SHAPE], size, None, tmp_path)
    assert type(inside) is type(unlimited) is np.ndarray
    assert type(outside) is FramesInFile
    assert not outside.any()


def test_pictures_in_a_file_read_as_they_were_written(tmp_path: Path) -> None:
    pictures, stored = random_pictures(), FramesInFile(SHAPE, tmp_path)
    for t, picture in enumerate(pictures):
        stored[t] = picture
    assert type(stored[2]) is np.ndarray  # what is taken out of it is an array like any other
    np.testing.assert_array_equal(stored, pictures)
    np.testing.assert_array_equal(np.stack(list(stored)), pictures)
    np.testing.assert_array_equal(stored[1:3, ..., 3], pictures[1:3, ..., 3])


def test_a_frame_keeps_its_values_while_others_are_looked_at(tmp_path: Path) -> None:
    pictures, stored = random_pictures(), FramesInFile(SHAPE, tmp_path)
    stored[:] = pictures
    first, second = stored[0], stored[1]
    np.testing.assert_array_equal(first, pictures[0])
    np.testing.assert_array_equal(second, pictures[1])


def test_the_file_goes_with_its_last_user(tmp_path: Path) -> None:
    stored = FramesInFile(SHAPE, tmp_path)
    frame = stored[0]
    del stored, frame
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_pictures_that_fit_nowhere_are_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(DatasetError, match=r"Pictures of 3.0 GB .* only 1.0 GB are free"):
        empty_pictures([SHAPE], 3 * 10**9, 10**9, tmp_path)


LARGE = """
import resource, sys
from pathlib import Path
from ds4d_engine.data.frames import FramesInFile
stored = FramesInFile((64, 1024, 1024, 4), Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for t in range(64):
    stored[t] = t
assert [int(frame[9, 9, 0]) for frame in stored] == list(range(64))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for its peak in KiB")
def test_of_256_mib_in_a_file_a_few_frames_lie_in_main_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LARGE, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(run.stdout) <= 16


def test_a_fit_from_a_file_is_the_same_fit(tmp_path: Path) -> None:
    dataset = moving_blob()
    config = FitConfig(
        iterations=60, gaussians=150, max_gaussians=180, densify_times=2, threads=1, backend="cpu"
    )
    fit(dataset, config, tmp_path / "memory.ds4d")
    stored = [FramesInFile(pictures.shape, tmp_path) for pictures in dataset.images]
    for there, pictures in zip(stored, dataset.images, strict=True):
        there[:] = pictures
    other = dataclasses.replace(dataset, images=stored)
    fit(other, config.replace(picture_memory=0), tmp_path / "file.ds4d")
    one, two = (read_asset(tmp_path / f"{name}.ds4d") for name in ("memory", "file"))
    np.testing.assert_array_equal(one.dynamic.means, two.dynamic.means)
    np.testing.assert_array_equal(one.motion.means, two.motion.means)
    np.testing.assert_array_equal(one.static.sh0, two.static.sh0)
