# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints of a fit as safetensors: everything that the next step depends on, and no pickle."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Parameter

from ..data import Dataset
from ..motion import Motion
from ..motion.knots import KnotAdam
from ..seam.errors import EngineError
from .attention import Attention
from .config import FitConfig
from .densify import Densifier
from .files import part_path
from .reveal import Revealer
from .views import GeneratedViews

FORMAT_NAME = "ds4d-checkpoint"
FORMAT_VERSION = "1"
# settings that may differ when resuming
IRRELEVANT = ("checkpoint_seconds", "picture_memory", "threads")


@dataclasses.dataclass(eq=False)
class FitState:
    """What changes from step to step."""

    parameters: dict[str, Parameter]
    optimizers: dict[str, torch.optim.Optimizer]
    motion: Motion
    network_optimizer: torch.optim.Optimizer | None
    densifier: Densifier
    revealer: Revealer
    rng: np.random.Generator
    views: GeneratedViews
    pose_optimizer: torch.optim.Optimizer | None
    attention: Attention
    step: int = 0
    elapsed: float = 0.0  # seconds of optimisation, earlier runs included
    window: tuple[int, int] | None = None  # frames [low, high) that the fit has reached
    settled: int = 0  # how often small motions were taken away
    refreshed: dict[str, Tensor] = dataclasses.field(default_factory=dict)  # see `refresh_motion`


def dataset_key(dataset: Dataset) -> str:
    """Return a digest of a dataset's cameras and of its middle pictures."""
    digest = hashlib.sha256(f"{dataset.name} {dataset.frame_count} {dataset.fps}".encode())
    for camera, pictures in zip(dataset.cameras, dataset.images, strict=True):
        digest.update(f"{camera.name} {camera.split} {pictures.shape}".encode())
        digest.update(np.ascontiguousarray(camera.viewmat).tobytes())
        digest.update(np.ascontiguousarray(pictures[dataset.frame_count // 2]).tobytes())
    return digest.hexdigest()


def save_checkpoint(path: Path, state: FitState, config: FitConfig, dataset: str) -> None:
    """Write a checkpoint; the old one stays until the new one is whole.

    Raises:
        EngineError: it cannot be written.
    """
    tensors = state_tensors(state)
    metadata = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "config": json.dumps(dataclasses.asdict(config)),
        "dataset": dataset,
        "step": str(state.step),
        "elapsed": repr(state.elapsed),
        "densified": str(state.densifier.done),
        "revealed": str(state.revealer.done),
        "settled": str(state.settled),
        "window": json.dumps(state.window),
        "rng": json.dumps(state.rng.bit_generator.state),
    }
    part = part_path(path)
    stored = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    try:
        save_file(stored, part, metadata)
        os.replace(part, path)
    except (SafetensorError, OSError) as error:
        raise EngineError(f"Cannot write the checkpoint {path} ({error}).") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def state_tensors(state: FitState) -> dict[str, Tensor]:
    """Return every tensor of a state by its name in a checkpoint."""
    tensors: dict[str, Tensor] = {"torch_rng": torch.get_rng_state()}
    tensors |= {f"parameter.{name}": value.detach() for name, value in state.parameters.items()}
    for name, value in state.motion.state_dict().items():
        tensors[f"motion.{name}"] = value
    for name, value in state.views.state_dict().items():
        tensors[f"views.{name}"] = value
    for name, optimizer in all_optimizers(state).items():
        for index, parameter in enumerate(_parameters(optimizer)):
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{name}.{index}.{key}"] = torch.as_tensor(value)
    for key in ("grad2d", "count"):
        if state.densifier.state[key] is not None:
            tensors[f"densify.{key}"] = state.densifier.state[key]
    tensors["frame_errors"] = torch.from_numpy(state.attention.errors)
    tensors |= {f"refreshed.{name}": value for name, value in state.refreshed.items()}
    return tensors


def load_checkpoint(path: Path, state: FitState, config: FitConfig, dataset: str) -> None:
    """Put a checkpoint's values into a freshly built state.

    Raises:
        EngineError: there is no checkpoint, it is damaged, or it belongs to another fit.
    """
    if not path.exists():
        raise EngineError(f"There is no checkpoint {path} to resume from; start without --resume.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise EngineError(
            f"The checkpoint {path} is damaged ({error}); delete it and start without --resume."
        ) from error
    _check_origin(path, metadata, config, dataset)
    device = state.parameters["means"].device
    for name in list(state.parameters):
        value = tensors[f"parameter.{name}"].to(device)
        trained = state.parameters[name].requires_grad
        old, new = state.parameters[name], Parameter(value, requires_grad=trained)
        state.parameters[name] = new
        if name in state.optimizers:
            state.optimizers[name].param_groups[0]["params"] = [new]
            state.optimizers[name].state.pop(old, None)
    for prefix, module in (("motion.", state.motion), ("views.", state.views)):
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    for name, optimizer in all_optimizers(state).items():
        for index, parameter in enumerate(_parameters(optimizer)):
            prefix = f"optimizer.{name}.{index}."
            found = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            if found:
                optimizer.state[parameter] = {
                    k: v.to(_home(optimizer, k, device)) for k, v in found.items()
                }
    for key in ("grad2d", "count"):
        value_or_none = tensors.get(f"densify.{key}")
        state.densifier.state[key] = None if value_or_none is None else value_or_none.to(device)
    state.attention.errors = tensors["frame_errors"].numpy()
    state.densifier.done = int(metadata["densified"])
    state.revealer.done = int(metadata["revealed"])
    state.settled = int(metadata["settled"])
    window = json.loads(metadata["window"])
    state.window = None if window is None else (window[0], window[1])
    state.refreshed = {
        k.removeprefix("refreshed."): v.to(device)
        for k, v in tensors.items()
        if k.startswith("refreshed.")
    }
    state.rng.bit_generator.state = json.loads(metadata["rng"])
    torch.set_rng_state(tensors["torch_rng"])
    state.step, state.elapsed = int(metadata["step"]), float(metadata["elapsed"])


def _check_origin(path: Path, metadata: dict[str, str], config: FitConfig, dataset: str) -> None:
    if metadata.get("format") != FORMAT_NAME or metadata.get("version") != FORMAT_VERSION:
        raise EngineError(
            f"{path} is not a checkpoint of this version; delete it and start without --resume."
        )
    if metadata["dataset"] != dataset:
        raise EngineError(
            f"The checkpoint {path} was made from another dataset or other frames; give those, "
            "or start without --resume."
        )
    saved: dict[str, Any] = json.loads(metadata["config"])
    now = dataclasses.asdict(config)
    changed = [k for k in now if k not in IRRELEVANT and saved.get(k) != now[k]]
    if changed:
        raise EngineError(
            f"The checkpoint {path} was made with other settings ({', '.join(changed)}); "
            "give the same settings, or start without --resume."
        )


def _home(optimizer: torch.optim.Optimizer, key: str, device: torch.device) -> torch.device:
    """Return where a value of an optimiser's state lives: KnotAdam counts steps on the CPU."""
    counts = key == "step" and isinstance(optimizer, KnotAdam)
    return torch.device("cpu") if counts else device


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return an optimiser's parameters in a fixed order."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def all_optimizers(state: FitState) -> dict[str, torch.optim.Optimizer]:
    """Return every optimiser by name, in a fixed order."""
    named = dict(state.optimizers)
    if state.network_optimizer is not None:
        named["network"] = state.network_optimizer
    if state.pose_optimizer is not None:
        named["poses"] = state.pose_optimizer
    return named
