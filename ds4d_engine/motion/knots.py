# SPDX-License-Identifier: GPL-3.0-or-later
"""Spline coefficients whose cost does not grow with the length of the clip.

At one time only a few knots matter. `contract` reads just those, and instead of a dense gradient
[N, K, C], almost all zeros, it leaves on the parameter what the gradient is made of; `KnotAdam`
moves only the knots that took part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..raster.jit import kernel
from ..raster.threads import run_pieces
from ..sending import sent

BETAS = (0.9, 0.999)
EPSILON = 1e-15
LEAST_BLOCKS = 4  # with fewer, handing work to another thread costs more than it saves
BLOCK = 4096  # values that a kernel works through at once: they stay in the nearest cache


def contract(coefficients: Tensor, weights: Sequence[float]) -> Tensor:
    """Sum `coefficients` [N, K, C] over K with `weights` [K] -> [N, C].

    The backward pass appends (knots, weights, gradient [N, C]) to `coefficients.knot_gradients`;
    `coefficients.grad` stays None.
    """
    knots = np.flatnonzero(weights)
    active = np.asarray(weights, dtype=np.float32)[knots]
    out: Tensor = _Contract.apply(coefficients, knots, active)
    return out


class _Contract(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, knots: np.ndarray, weights: np.ndarray) -> Tensor:
        ctx.coefficients, ctx.knots, ctx.weights = coefficients, knots, weights
        if coefficients.device.type != "cpu" or coefficients.dtype != torch.float32:
            chosen = coefficients.detach()[:, sent(knots, coefficients)]
            return torch.einsum("nkc,k->nc", chosen, sent(weights, chosen))
        out = torch.empty(len(coefficients), coefficients.shape[2])
        planes, flat = _planes(knot_major(coefficients)), out.numpy().reshape(-1)
        blocks = -(-len(flat) // BLOCK)
        run_pieces(sum_knots, blocks, LEAST_BLOCKS, planes, knots, weights, flat)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, None]:
        parameter = ctx.coefficients
        if not hasattr(parameter, "knot_gradients"):
            parameter.knot_gradients = []
        parameter.knot_gradients.append((ctx.knots, ctx.weights, grads[0].contiguous()))
        return None, None, None


class KnotAdam(torch.optim.Optimizer):
    """Adam over coefficients [N, K, C] that moves only the knots with a gradient.

    Each knot counts its own steps for Adam's bias correction. With `damping`, what steps are
    divided by grows by the root of `damping` times the mean square over all of the knot's values.
    Without, Adam takes as large steps where gradients are little but noise as anywhere else: what
    lies on a surface without texture would wander off along it.
    """

    def __init__(self, params: Sequence[Tensor], lr: float, damping: float = 0.0) -> None:
        """Optimise `params` with learning rate `lr`."""
        super().__init__(params, {"lr": lr, "damping": damping})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step from the gradients that `contract` left."""
        for group in self.param_groups:
            for parameter in group["params"]:
                pending = getattr(parameter, "knot_gradients", [])
                if pending:
                    self._move(parameter, pending, float(group["lr"]), float(group["damping"]))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients that `contract` left."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.knot_gradients = []

    def _move(self, parameter: Tensor, pending: list, rate: float, damping: float) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(parameter.shape[1])
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        knots = np.unique(np.concatenate([entry[0] for entry in pending]))
        weights = np.zeros((len(pending), len(knots)), np.float32)
        for row, (used, values, _) in enumerate(pending):
            weights[row, np.searchsorted(knots, used)] = values
        state["step"][torch.as_tensor(knots)] += 1
        steps = state["step"].numpy()[knots].astype(np.float64)
        rates = (rate / (1 - BETAS[0] ** steps)).astype(np.float32)
        corrections = (1 / np.sqrt(1 - BETAS[1] ** steps)).astype(np.float32)
        gradients = torch.stack([entry[2] for entry in pending])  # [E, N, C]
        if on_cpu(parameter):
            parameter.data = knot_major(parameter.data)
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = knot_major(state[key])
            values, squares = _planes(parameter), _planes(state["exp_avg_sq"])
            flat = gradients.flatten(1).numpy()
            mean = _mean_squares(squares[knots], weights, flat) if damping else np.zeros(len(knots))
            run_pieces(
                move_knots,
                -(-values.shape[1] // BLOCK),
                LEAST_BLOCKS,
                values,
                _planes(state["exp_avg"]),
                squares,
                knots,
                weights,
                flat,
                rates,
                corrections,
                (np.sqrt(damping * mean) * corrections + EPSILON).astype(np.float32),
            )
        else:
            _move_on_device(
                parameter, state, knots, weights, gradients, rates, corrections, damping
            )


def on_cpu(parameter: Tensor) -> bool:
    """Tell whether the kernels can move a parameter."""
    return parameter.device.type == "cpu"


def _mean_squares(squares: np.ndarray, weights: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return the mean [A] of Adam's squares [A, M] after gradients [E, M] weighted [E, A] came in.

    The mean of a weighted sum's square is found from the gradients' products, which are summed
    in one order whatever the number of threads: BLAS would not.
    """
    products = (gradients[:, None] * gradients).mean(2)
    fresh = np.einsum("ea,ef,fa->a", weights, products, weights).clip(0)
    mean: np.ndarray = BETAS[1] * squares.mean(1) + (1 - BETAS[1]) * fresh
    return mean


def _move_on_device(
    parameter: Tensor,
    state: dict[str, Tensor],
    knots: np.ndarray,
    weights: np.ndarray,
    gradients: Tensor,
    rates: np.ndarray,
    corrections: np.ndarray,
    damping: float,
) -> None:
    index = sent(knots, parameter)
    gradient = torch.einsum("enc,ek->nkc", gradients, sent(weights, gradients))
    first = state["exp_avg"][:, index].lerp_(gradient, 1 - BETAS[0])
    second = state["exp_avg_sq"][:, index].lerp_(gradient.square(), 1 - BETAS[1])
    around = (damping * second.mean((0, 2))).sqrt()[:, None]
    state["exp_avg"][:, index], state["exp_avg_sq"][:, index] = first, second
    scale = (second.sqrt() + around) * sent(corrections, gradients)[:, None] + EPSILON
    parameter[:, index] -= sent(rates, gradients)[:, None] * first / scale


def knot_major(coefficients: Tensor) -> Tensor:
    """Return [N, K, C] with each knot's values side by side in memory, copied only if needed.

    A step touches a few knots of every Gaussian: in the usual order that is one cache line in
    many, and on long clips the optimiser would spend its time waiting for memory.
    """
    return coefficients.permute(1, 0, 2).contiguous().permute(1, 0, 2)


def _planes(coefficients: Tensor) -> np.ndarray:
    """View knot-major [N, K, C] as [K, N * C]."""
    planes = coefficients.detach().permute(1, 0, 2).numpy()
    return planes.reshape(planes.shape[0], -1)


@kernel
def sum_knots(start, stop, planes, knots, weights, out):  # type: ignore[no-untyped-def]
    """Blocks start..stop-1 of out[m] = sum over a of weights[a] * planes[knots[a], m]."""
    for block in range(start, stop):
        low = block * BLOCK
        high = min(low + BLOCK, out.shape[0])
        for m in range(low, high):
            out[m] = np.float32(0)
        for a in range(knots.shape[0]):
            weight, plane = weights[a], planes[knots[a]]
            for m in range(low, high):
                out[m] += weight * plane[m]


@kernel
def move_knots(  # type: ignore[no-untyped-def]
    start, stop, values, first, second, knots, weights, gradients, rates, corrections, least
):
    """Blocks start..stop-1 of one Adam step on some knots of values [K, M]; gradients [E, M]."""
    keep1, keep2 = np.float32(BETAS[0]), np.float32(BETAS[1])
    new1, new2 = np.float32(1 - BETAS[0]), np.float32(1 - BETAS[1])
    total = np.empty(BLOCK, np.float32)
    for block in range(start, stop):
        low = block * BLOCK
        size = min(BLOCK, values.shape[1] - low)
        for a in range(knots.shape[0]):
            for m in range(size):
                total[m] = np.float32(0)
            for e in range(gradients.shape[0]):
                weight, gradient = weights[e, a], gradients[e, low : low + size]
                for m in range(size):
                    total[m] += weight * gradient[m]
            value = values[knots[a], low : low + size]
            mean = first[knots[a], low : low + size]
            square = second[knots[a], low : low + size]
            rate, correction = rates[a], corrections[a]
            for m in range(size):
                g = total[m]
                mean[m] = keep1 * mean[m] + new1 * g
                square[m] = keep2 * square[m] + new2 * g * g
                value[m] -= rate * mean[m] / (np.sqrt(square[m]) * correction + least[a])
