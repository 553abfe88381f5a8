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

BETAS = (0.9, 0.999)
EPSILON = 1e-15


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
            chosen = coefficients.detach()[:, torch.as_tensor(knots, device=coefficients.device)]
            return torch.einsum("nkc,k->nc", chosen, chosen.new_tensor(weights))
        out = torch.empty(len(coefficients), coefficients.shape[2])
        sum_knots(coefficients.detach().numpy(), knots, weights, out.numpy())
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

    Each knot counts its own steps for Adam's bias correction.
    """

    def __init__(self, params: Sequence[Tensor], lr: float) -> None:
        """Optimise `params` with learning rate `lr`."""
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step from the gradients that `contract` left."""
        for group in self.param_groups:
            for parameter in group["params"]:
                pending = getattr(parameter, "knot_gradients", [])
                if pending:
                    self._move(parameter, pending, float(group["lr"]))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients that `contract` left."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.knot_gradients = []

    def _move(self, parameter: Tensor, pending: list, rate: float) -> None:
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
        if parameter.device.type == "cpu":
            move_knots(
                parameter.detach().numpy(),
                state["exp_avg"].numpy(),
                state["exp_avg_sq"].numpy(),
                knots,
                weights,
                gradients.numpy(),
                rates,
                corrections,
            )
        else:
            _move_on_device(parameter, state, knots, weights, gradients, rates, corrections)


def _move_on_device(
    parameter: Tensor,
    state: dict[str, Tensor],
    knots: np.ndarray,
    weights: np.ndarray,
    gradients: Tensor,
    rates: np.ndarray,
    corrections: np.ndarray,
) -> None:
    index = torch.as_tensor(knots, device=parameter.device)
    gradient = torch.einsum("enc,ek->nkc", gradients, gradients.new_tensor(weights))
    first = state["exp_avg"][:, index].lerp_(gradient, 1 - BETAS[0])
    second = state["exp_avg_sq"][:, index].lerp_(gradient.square(), 1 - BETAS[1])
    state["exp_avg"][:, index], state["exp_avg_sq"][:, index] = first, second
    scale = second.sqrt() * gradients.new_tensor(corrections)[:, None] + EPSILON
    parameter[:, index] -= gradients.new_tensor(rates)[:, None] * first / scale


@kernel
def sum_knots(coefficients, knots, weights, out):  # type: ignore[no-untyped-def]
    """out[n, c] = sum over a of weights[a] * coefficients[n, knots[a], c]."""
    for n in range(out.shape[0]):
        for c in range(out.shape[1]):
            total = np.float32(0)
            for a in range(knots.shape[0]):
                total += weights[a] * coefficients[n, knots[a], c]
            out[n, c] = total


@kernel
def move_knots(values, first, second, knots, weights, gradients, rates, corrections):  # type: ignore[no-untyped-def]
    """One Adam step on the given knots of values [N, K, C]; gradients [E, N, C]."""
    keep1, keep2 = np.float32(BETAS[0]), np.float32(BETAS[1])
    new1, new2 = np.float32(1 - BETAS[0]), np.float32(1 - BETAS[1])
    for n in range(values.shape[0]):
        for a in range(knots.shape[0]):
            k = knots[a]
            for c in range(values.shape[2]):
                g = np.float32(0)
                for e in range(gradients.shape[0]):
                    g += weights[e, a] * gradients[e, n, c]
                m = keep1 * first[n, k, c] + new1 * g
                v = keep2 * second[n, k, c] + new2 * g * g
                first[n, k, c] = m
                second[n, k, c] = v
                scale = np.sqrt(v) * corrections[a] + np.float32(EPSILON)
                values[n, k, c] -= rates[a] * m / scale
