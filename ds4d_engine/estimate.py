# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fit will take: time, memory and disk, from a few frames and a few steps of it.

The model:

- Frames are counted from the clip's header. A few are read and cut out as the fit does it; the
  time per frame counts for all of them.
- Steps are timed on this machine (`fit.rehearsal`), at the number of Gaussians that the fit has on
  average. A dataset's fit grows to `max_gaussians`. One clip's begins with what its outline gives,
  and every revealed key frame adds up to an eighth of that, as long as there is room; it costs as
  much as `REVEAL_STEPS` steps.
- Before the loop comes what the rehearsal needed as well (libraries, kernels, the first Gaussians),
  measured there; then a clip's subject is followed through every frame, once for real and once
  (`LIFTED_FRAMES` frames' worth) to lift its tracks into space. What follows the loop takes
  `EXPORT_SECONDS`, and `STRAY_SECONDS` for one clip, per Gaussian and frame.
- Memory is what this process took for the rehearsal, plus pictures, targets and Gaussians of the
  whole fit. An asset holds every Gaussian in every frame: less, where many stand still.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .data import Dataset
from .data.frames import SHARE
from .fit.config import FitConfig
from .fit.enough import with_enough
from .fit.rehearsal import Rehearsal, rehearse

REHEARSED_SECONDS = 0.6
GROWTH_PER_REVEAL = 0.125
"""Of a clip's first Gaussians, that one revealed key frame adds: a quarter of its front."""
LIFTED_FRAMES = 36
"""Lifting tracks takes as long as following the subject through so many frames."""
EXPORT_SECONDS = 2.5e-6
"""Per Gaussian and frame, to look at the result, bake and write it."""
STRAY_SECONDS = 6.6e-6
STRAY_FRAMES = 16
"""At most so many are searched for strays."""
REVEAL_STEPS = 7
BAKED_COPIES = 4.25
"""Of an asset, that lie in memory while it is baked and written."""
ADAM_COPIES = 2
"""A trained value lies in memory beside the checkpoint's three: its gradient, and a temporary."""
LIBRARY_BYTES = 500_000_000
"""Memory of the engine's libraries, where the system does not tell what a process took."""
STATIC_BYTES = 64
"""Of an asset's Gaussian, beside its motion."""


@dataclass(frozen=True)
class Outlook:
    """What is known of a fit before anything but a sample of its source is read."""

    sample: Dataset
    frame_count: int
    read_seconds: float  # per frame, every camera
    read_bytes: int  # per frame, while it is read


@dataclass(frozen=True)
class Estimate:
    """What a fit will take; bytes of files and of memory, seconds of everything."""

    seconds: float
    step_seconds: float
    steps: int
    memory_bytes: int
    asset_bytes: int
    checkpoint_bytes: int
    frames: int
    views: int
    width: int
    height: int
    gaussians: int
    memory_free_bytes: int | None = None
    disk_free_bytes: int | None = None


def estimate(
    outlook: Outlook, config: FitConfig, output: Path | None = None, *, began: float = 0.0
) -> Estimate:
    """Return what a fit with these settings takes on this machine; takes a few seconds itself.

    What this process has done since its processor time was `began`, loading libraries for example,
    counts as a part of the fit.

    Raises:
        DS4DError: the fit could not begin.
    """
    is_clip = outlook.sample.source == "clip"
    config = with_enough(config, outlook.sample)
    first = config.gaussians if config.motion == "nodes" else _mean_of_growth(config)
    costs = rehearse(
        outlook.sample,
        outlook.frame_count,
        config,
        gaussians=first,
        seconds=REHEARSED_SECONDS,
    )
    mean, last = _growth(config, costs.gaussians)
    step = costs.step_seconds + costs.step_seconds_per_gaussian * (mean - costs.gaussians)
    fitting = config.seconds or step * config.iterations
    frames = outlook.frame_count
    seconds = costs.set_up_at - began + fitting + frames * outlook.read_seconds
    seconds += EXPORT_SECONDS * last * frames
    if config.motion == "nodes":
        seconds += costs.track_seconds * (frames + LIFTED_FRAMES)
        seconds += REVEAL_STEPS * config.reveal_times * step * (not config.seconds)
        seconds += STRAY_SECONDS * last * min(frames, STRAY_FRAMES)
    camera = outlook.sample.cameras[outlook.sample.train[0]]
    return Estimate(
        seconds=seconds,
        step_seconds=step,
        steps=math.ceil(config.seconds / step) if config.seconds else config.iterations,
        memory_bytes=_memory_bytes(outlook, config, costs, last),
        asset_bytes=last * (STATIC_BYTES + 4 * costs.baked_floats * frames),
        checkpoint_bytes=last * costs.bytes_per_gaussian + costs.bytes_beside,
        frames=frames,
        views=len(outlook.sample.train) if not is_clip else 1,
        width=camera.width,
        height=camera.height,
        gaussians=last,
        memory_free_bytes=_memory_free(),
        disk_free_bytes=None if output is None else _disk_free(output),
    )


def timed_per_frame(read: Callable[[], Dataset]) -> tuple[Dataset, float]:
    """Read a sample and return it with the seconds that each of its frames took."""
    started = time.perf_counter()
    sample = read()
    return sample, (time.perf_counter() - started) / sample.frame_count


def _mean_of_growth(config: FitConfig) -> int:
    """Return how many Gaussians a fit that densifies has on average.

    `fit.densify` fills the room in front-loaded portions: over that stretch 0.43 of it is free.
    """
    if not config.densify_times:
        return config.gaussians
    room = config.max_gaussians - config.gaussians
    stretch = config.densify_stop - config.densify_start
    return config.max_gaussians - round(room * (config.densify_start + 0.43 * stretch))


def _growth(config: FitConfig, first: int) -> tuple[float, int]:
    """Return how many Gaussians a fit has on average, and in the end."""
    if config.motion != "nodes":
        last = config.max_gaussians if config.densify_times else first
        return first, last
    room = max(config.max_gaussians - first, 0)
    added = min(room, round(GROWTH_PER_REVEAL * config.reveal_times * first))
    # key frames are added evenly over 0.12 to 0.7 of the fit
    return first + 0.59 * added, first + added


def _memory_bytes(outlook: Outlook, config: FitConfig, costs: Rehearsal, last: int) -> int:
    """Return the largest amount of memory that the fit holds at once."""
    sample, frames = outlook.sample, outlook.frame_count
    pixels = sum(images.shape[1] * images.shape[2] for images in sample.images) * frames
    trained = sum(sample.images[v].shape[1] * sample.images[v].shape[2] for v in sample.train)
    backgrounds = 2 if sample.has_alpha else 1
    looks = frames * len(sample.train) * backgrounds
    visited = 1 - math.exp(-config.iterations / looks)
    budget = config.picture_memory << 20
    targets = min(16 * trained * frames * backgrounds * visited, budget * (1 - SHARE))
    gaussians = (last - costs.gaussians) * costs.bytes_per_gaussian * (1 + ADAM_COPIES / 3)
    baked = BAKED_COPIES * 4 * costs.baked_floats * last * frames
    while_fitting = targets + gaussians + baked
    while_reading = outlook.read_bytes * frames
    pictures = 0 if 4 * pixels > budget * SHARE else 4 * pixels  # kept in a file
    return round(_peak_bytes() + pictures + max(while_fitting, while_reading))


def _peak_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return LIBRARY_BYTES
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def _memory_free() -> int | None:
    """Return how much memory is free; None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _disk_free(output: Path) -> int | None:
    try:
        return shutil.disk_usage(output.parent).free
    except OSError:
        return None


def as_dict(result: Estimate) -> dict[str, float | int | None]:
    """Return an estimate for a program."""
    return dataclasses.asdict(result)
