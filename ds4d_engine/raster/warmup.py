# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile the CPU kernels before they are needed, and say how far that is."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ds4d_engine.raster.interface import choose_backend, rasterize
from ds4d_engine.seam.events import Listener, Stage

STAGE = "compile"


def warm_up(listener: Listener) -> float:
    """Compile the kernels of the CPU back end and of the photometric loss; return seconds.

    The first time takes about 15 seconds; later the compiled kernels come from the folder
    that `NUMBA_CACHE_DIR` names, or from beside the sources. Does nothing without Numba.
    """
    started = time.monotonic()
    if choose_backend(torch.device("cpu")) != "cpu":
        return 0.0
    steps: list[tuple[str, Callable[[], None]]] = [
        ("Compiling the rasteriser", lambda: _rasterize(False)),
        ("Compiling the rasteriser's gradients", lambda: _rasterize(True)),
        ("Compiling the colour curves", _transfer),
        ("Compiling the loss", _compare),
    ]
    stage = Stage(listener, STAGE, len(steps))
    for done, (message, step) in enumerate(steps):
        stage.update(done, message)
        step()
    stage.update(len(steps))
    return time.monotonic() - started


def _rasterize(gradients: bool) -> None:
    means = torch.tensor([[0.0, 0.0, 2.0]]).requires_grad_(gradients)
    quats = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    camera = torch.eye(4), torch.tensor([[8.0, 0.0, 4.0], [0.0, 8.0, 4.0], [0.0, 0.0, 1.0]])
    render = rasterize(
        means, quats, torch.full((1, 3), 0.1), torch.ones(1), torch.ones(1, 3), *camera, 8, 8,
        backend="cpu",
    )  # fmt: skip
    if gradients:
        render.colors.sum().backward()


def _transfer() -> None:
    from ds4d_engine.photometric import decode_srgb, encode_srgb

    for transfer in (encode_srgb, decode_srgb):
        transfer(torch.ones(1, requires_grad=True)).sum().backward()


def _compare() -> None:
    from ds4d_engine.photometric import photometric_loss

    image = torch.zeros(11, 11, 3, requires_grad=True)
    photometric_loss(image, torch.zeros(11, 11), torch.zeros(11, 11, 3), 0.0).backward()
