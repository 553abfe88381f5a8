# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of gpu.py that fits a clip, and looks at held-out cameras meanwhile."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from gpu_kernels import wait
from moving_splats import moving_splats

from ds4d_engine.data import Dataset
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.fit.moment import Moment, Visitor
from ds4d_engine.fit.scene import Scene, build_scene
from ds4d_engine.fit.splats import activate, composite, render_view

if TYPE_CHECKING:
    from gpu import Plan

DECIBELS = (28.0, 30.0, 32.0)
LOOKS = 60
"""How often held-out cameras are looked at over the fit."""
LOOKED_AT = 12
"""Pictures that a look compares, evenly chosen."""
SYNC_STEPS = 20
"""Steps over which waits for the device are counted."""
WHITE = 1.0
LONG = 10_000_000
"""Steps that no budget of seconds reaches."""


class HeldOut(Visitor):
    """Notes the PSNR on held-out cameras over time, and how often a step waits for the device."""

    def __init__(self, dataset: Dataset, seconds: float, device: torch.device) -> None:
        self.dataset, self.every, self.device = dataset, seconds / LOOKS, device
        self.course: list[tuple[float, float]] = []
        self.first: tuple[int, float] | None = None
        self.last = (0, 0.0)
        self.waits: list[int] = []
        self._caught: Any = None
        self._recorded: list[Any] = []
        self._scene: Scene | None = None
        self._next = 0.0

    def visit(self, moment: Moment) -> float:
        """Look where it is time; what it takes does not count."""
        began, state = time.monotonic(), moment.losses.state
        self._count_waits(moment)
        self.last = (state.step, state.elapsed)
        self.first = self.first or self.last
        if state.elapsed < self._next:
            return 0.0
        wait(self.device)
        self._next = state.elapsed + self.every
        self.course.append((state.elapsed, self._psnr(moment)))
        return time.monotonic() - began

    def _count_waits(self, moment: Moment) -> None:
        """Count torch's warnings of waits over a few steps of the moving fit, between looks."""
        if self.device.type != "cuda" or self.waits or not moment.moving:
            return
        if self._caught is None:
            self._caught = warnings.catch_warnings(record=True)
            self._recorded = self._caught.__enter__()
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            self._until, self._next = moment.losses.state.step + SYNC_STEPS, math.inf
        elif moment.losses.state.step >= self._until:
            torch.cuda.set_sync_debug_mode("default")
            self._caught.__exit__(None, None, None)
            self.waits = [sum("synchroniz" in str(w.message) for w in self._recorded)]
            self._next = 0.0

    @torch.no_grad()
    def _psnr(self, moment: Moment) -> float:
        scene, state = self._held_out(moment), moment.losses.state
        pairs = [(t, v) for t in range(scene.frame_count) for v in range(len(scene.views))]
        chosen = pairs[:: max(1, len(pairs) // LOOKED_AT)]
        total = 0.0
        for frame, view in chosen:
            motion = state.motion if moment.moving else None
            splats = activate(state.parameters, motion, float(scene.times[frame]))
            blend, backend = scene.blend, moment.losses.config.backend
            render = render_view(
                state.parameters, splats, scene.views[view], blend=blend, backend=backend
            )
            target, _ = scene.target(frame, view, WHITE)
            total += float((composite(render, WHITE, blend) - target).square().mean())
        return -10 * math.log10(max(total / len(chosen), 1e-10))

    def _held_out(self, moment: Moment) -> Scene:
        """Return the held-out cameras as training cameras of the fit's own world."""
        if self._scene is None:
            fitted = moment.losses.scene
            swapped = tuple(
                dataclasses.replace(c, split="test" if c.split == "train" else "train")
                for c in self.dataset.cameras
            )
            other = dataclasses.replace(self.dataset, cameras=swapped)
            self._scene = build_scene(
                other, fitted.blend, fitted.center, fitted.radius, fitted.device, fitted.middle
            )
        return self._scene


def fitted(plan: Plan) -> list[dict[str, Any]]:
    """Fit the clip for the plan's seconds."""
    dataset = moving_splats(plan.clip, device=plan.device)
    config = FitConfig(
        backend="gsplat" if plan.device.type == "cuda" else "cpu",
        seconds=plan.fit_seconds,
        iterations=LONG,
        init="random",
        gaussians=plan.gaussians,
        max_gaussians=2 * plan.gaussians,
        checkpoint_seconds=0,
    )
    if plan.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    watch = HeldOut(dataset, plan.fit_seconds, plan.device)
    with tempfile.TemporaryDirectory() as folder:
        result = fit(dataset, config, Path(folder) / "gpu.ds4d", visitor=watch)
    (first, began), (last, ended) = watch.first or (0, 0.0), watch.last
    clip = plan.clip
    row: dict[str, Any] = {
        "what": f"ds4d, {clip.size} px, {clip.frames} frames, {clip.views} views",
        "steps a second": (last - first) / max(ended - began, 1e-9),
        "Gaussians": result.summary["gaussians"],
        "dB at the end": watch.course[-1][1],
    }
    for wanted in DECIBELS:
        reached = next((at for at, psnr in watch.course if psnr >= wanted), None)
        row[f"s to {wanted:g} dB"] = "not reached" if reached is None else round(reached, 1)
    if plan.device.type == "cuda":
        row["peak MiB of the device"] = torch.cuda.max_memory_allocated() / 2**20
        row["waits a step"] = watch.waits[0] / SYNC_STEPS if watch.waits else "not counted"
    return [row]
