# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of gpu.py that need no fit: parity, milliseconds, and what may make a step cheaper."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from raster import shell
from torch import Tensor

from ds4d_engine.motion.hexplane import DeformationField
from ds4d_engine.photometric import photometric_loss
from ds4d_engine.raster import rasterize

if TYPE_CHECKING:
    from gpu import Plan

NAMES = ("means", "quats", "scales", "opacities", "colors")
CLOSE = 1e-4
"""Of pixels: beyond it a splat has flipped at a threshold, as float arithmetic differs."""
WARM_UPS = 3
Rows = list[dict[str, Any]]
Work = Callable[[], object]


def scene(count: int, pixels: int, device: torch.device) -> tuple[list[Tensor], tuple]:
    """Return splats on a device, with a gradient, and the camera that looks at them."""
    splats, (viewmat, K, width, height) = shell(count, pixels)
    there = [value.detach().to(device).requires_grad_() for value in splats]
    return there, (viewmat.to(device), K.to(device), width, height)


def drawn(plan: Plan, count: int, device: torch.device, backend: str) -> list[Tensor]:
    """Return colours, alphas and the gradients of all parameters, in main memory."""
    splats, camera = scene(count, plan.pixels, device)
    rng = torch.Generator().manual_seed(1)
    shape = plan.pixels, plan.pixels
    slopes = [torch.rand(*shape, 3, generator=rng), torch.rand(shape, generator=rng)]
    render = rasterize(*splats, *camera, backend=backend)
    torch.autograd.backward([render.colors, render.alphas], [s.to(device) for s in slopes])
    return [x.detach().cpu() for x in (render.colors, render.alphas, *(s.grad for s in splats))]


def parity(plan: Plan) -> Rows:
    """Compare the back end's pictures and gradients with those of the CPU back end."""
    rows = []
    for count in plan.splats:
        there = drawn(plan, count, plan.device, plan.backend)
        here = drawn(plan, count, torch.device("cpu"), "cpu")
        apart = (there[0] - here[0]).abs().amax(-1)
        row: dict[str, Any] = {
            "what": f"{count:,} splats, {plan.pixels} px",
            "pixels within 1e-4": float((apart <= CLOSE).double().mean()),
            "largest difference": float(apart.max()),
        }
        for name, a, b in zip(NAMES, there[2:], here[2:], strict=True):
            row[f"gradient of {name}, relative"] = float((a - b).norm() / b.norm())
        rows.append(row)
    return rows


def wait(device: torch.device) -> None:
    """Wait until a device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def milliseconds(work: Work, plan: Plan) -> float:
    """Return the median time of some work, the device's included."""
    times = []
    for run in range(WARM_UPS + plan.repeats):
        wait(plan.device)
        began = time.perf_counter()
        work()
        wait(plan.device)
        if run >= WARM_UPS:
            times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def by_turns(plain: Work, other: Work, plan: Plan) -> dict[str, Any]:
    """Time two kinds of work by turns: medians in ms, and the median of the ratios."""
    pairs = [
        (milliseconds(plain, once), milliseconds(other, once))
        for once in [_once(plan)] * max(3, plan.repeats // 10)
    ]
    return {
        "plain ms": statistics.median(a for a, _ in pairs),
        "with it ms": statistics.median(b for _, b in pairs),
        "plain / with it": statistics.median(a / b for a, b in pairs),
    }


def _once(plan: Plan) -> Plan:
    from dataclasses import replace

    return replace(plan, repeats=max(1, plan.repeats // 5))


def speed(plan: Plan) -> Rows:
    """Time the back end and the CPU back end, forward and with gradients."""
    rows = []
    for count in plan.splats:
        row: dict[str, Any] = {"what": f"{count:,} splats, {plan.pixels} px"}
        for backend, device in ((plan.backend, plan.device), ("cpu", torch.device("cpu"))):
            splats, camera = scene(count, plan.pixels, device)

            def both(splats: list = splats, camera: tuple = camera, name: str = backend) -> None:
                render = rasterize(*splats, *camera, backend=name)
                (render.colors.sum() + render.alphas.sum()).backward()

            def forward(splats: list = splats, camera: tuple = camera, name: str = backend) -> None:
                with torch.no_grad():
                    rasterize(*splats, *camera, backend=name)

            row[f"{backend} forward ms"] = milliseconds(forward, plan)
            row[f"{backend} forward+backward ms"] = milliseconds(both, plan)
        rows.append(row)
    return rows


def low_precision(plan: Plan) -> Rows:
    """Time the deformation network in bfloat16: splats and their pictures need all 24 bits."""
    field = DeformationField().to(plan.device)
    means = scene(plan.gaussians, plan.pixels, plan.device)[0][0].detach()

    def step(low: bool) -> Tensor:
        with torch.autocast(plan.device.type, torch.bfloat16, enabled=low):
            deltas = field(means, 0.3)
        total = deltas.d_means.float().square().sum() + deltas.d_quats.float().square().sum()
        total.backward()
        return deltas.d_means.detach().float()

    for head in field.heads.values():  # they start at zero, where nothing could differ
        torch.nn.init.normal_(head[-1].weight, std=0.05)
    error = (step(True) - step(False)).norm() / step(False).norm()
    found = by_turns(lambda: step(False), lambda: step(True), plan)
    what = f"deformation network, {plan.gaussians:,} points"
    return [{"what": what} | found | {"relative error": float(error)}]


class Losses:
    """The photometric loss of one picture, forward and backward."""

    def __init__(self, plan: Plan) -> None:
        rng = torch.Generator().manual_seed(2)
        shape = plan.pixels, plan.pixels
        values = [torch.rand(*shape, 3, generator=rng) for _ in range(2)]
        values.insert(1, torch.rand(shape, generator=rng))
        # on the CPU the loss in float64 is the one that a device computes, of torch's operations
        dtype = torch.float32 if plan.device.type == "cuda" else torch.float64
        self.colors, self.alphas, self.target = (v.to(plan.device, dtype) for v in values)
        self.colors.requires_grad_()
        self.alphas.requires_grad_()

    @staticmethod
    def value(colors: Tensor, alphas: Tensor, target: Tensor) -> Tensor:
        """Return the loss over white."""
        return photometric_loss(colors, alphas, target, 1.0)

    def step(self, loss: Callable[..., Tensor]) -> Tensor:
        """Return the gradient of the colours."""
        loss(self.colors, self.alphas, self.target).backward()
        gradient, self.colors.grad, self.alphas.grad = self.colors.grad, None, None
        assert gradient is not None
        return gradient.clone()


def merged_kernels(plan: Plan) -> Rows:
    """Time the loss compiled by torch: its many small kernels become a few."""
    losses = Losses(plan)
    backend = "inductor" if plan.device.type == "cuda" else "eager"
    compiled = torch.compile(losses.value, backend=backend)
    return [_of_loss(plan, losses, compiled, f"loss, {plan.pixels} px, {backend}")]


def graphs(plan: Plan) -> Rows:
    """Time the loss captured as a CUDA graph: one launch in place of many."""
    losses = Losses(plan)
    captured: Callable[..., Tensor] = losses.value
    if plan.device.type == "cuda":
        sample = (losses.colors, losses.alphas, losses.target)
        captured = torch.cuda.make_graphed_callables(losses.value, sample)
    return [_of_loss(plan, losses, captured, f"loss, {plan.pixels} px")]


def _of_loss(plan: Plan, losses: Losses, other: Callable[..., Tensor], what: str) -> dict[str, Any]:
    plain, mine = losses.step(losses.value), losses.step(other)
    found = by_turns(lambda: losses.step(losses.value), lambda: losses.step(other), plan)
    return {"what": what} | found | {"relative error": float((plain - mine).norm() / plain.norm())}
