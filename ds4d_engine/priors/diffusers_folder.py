# SPDX-License-Identifier: GPL-3.0-or-later
"""A model in diffusers' folder layout: one subfolder per component, safetensors only.

Components are loaded one by one with their library's own class. The pipeline's class, which for
published multi-view models is code from the hub, is never loaded.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..seam.errors import ConfigError

STEMS = ("diffusion_pytorch_model", "model")
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
HALF = "fp16"
DIGEST_BLOCKS = 64
DIGEST_BLOCK_BYTES = 2**16


@dataclass(frozen=True)
class DiffusersFolder:
    """A folder with model_index.json; `model` is its name for messages, `url` where it is from."""

    path: Path
    model: str
    url: str

    def index(self) -> dict[str, Any]:
        """Read model_index.json."""
        if not (self.path / "model_index.json").is_file():
            raise ConfigError(
                f"{self.path} has no model_index.json, so it is no folder of {self.model}; give "
                f"the folder into which {self.url} was downloaded."
            )
        return self.settings("model_index.json")

    def settings(self, name: str) -> dict[str, Any]:
        """Read one of the folder's JSON files."""
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(
                f"{self.path} has no {name}, so it is no folder of {self.model}; give the folder "
                f"into which {self.url} was downloaded."
            ) from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} cannot be read ({error}); download it again.") from None
        if not isinstance(content, dict):
            raise ConfigError(f"{path} holds no settings; download it again.")
        return content

    def require(self, components: Sequence[str]) -> None:
        """Check that components are there with weights that can be loaded safely."""
        for component in components:
            self.settings(f"{component}/config.json")
            weights_variant(self.path / component, half=False)

    def digest(self) -> str:
        """Hash what the model is: its settings, and samples of its weights.

        Samples (the head and evenly spaced blocks of each file, and its size) tell two models
        apart without reading gigabytes.
        """
        digest = hashlib.sha256()
        for path in sorted(self.path.rglob("*")):
            if path.suffix in (".json", ".txt", ".safetensors") and path.is_file():
                digest.update(path.relative_to(self.path).as_posix().encode())
                _digest_file(digest, path)
        return digest.hexdigest()

    def load(self, component: str, kind: Any, device: torch.device, half: bool) -> Any:
        """Load a component by its library's class `kind`, for inference, in 16 or 32 bits.

        Raises:
            ConfigError: the files are damaged or belong to another architecture.
        """
        variant = weights_variant(self.path / component, half)
        try:
            with quiet_libraries():
                network, report = kind.from_pretrained(
                    self.path / component,
                    local_files_only=True,
                    use_safetensors=True,
                    variant=variant,
                    output_loading_info=True,
                )
        # A damaged file fails in one of several libraries, each with errors of its own.
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")[:200]
            raise ConfigError(
                f"The {component} in {self.path} cannot be loaded as one of {self.model} "
                f"({reason}); download it again."
            ) from error
        lacking = sorted([*report["missing_keys"], *map(str, report["mismatched_keys"])])
        if lacking:
            raise ConfigError(
                f"The {component} in {self.path} lacks {len(lacking)} tensors of {self.model}, "
                f"{lacking[0]} among them; download it again."
            )
        dtype = torch.float16 if half else torch.float32
        with quiet_libraries():
            return network.to(device=device, dtype=dtype).eval().requires_grad_(False)


def weights_variant(folder: Path, half: bool) -> str | None:
    """Choose between a component's full and 16-bit files: None or "fp16".

    Raises:
        ConfigError: there are no safetensors weights; says how to convert a pickle.
    """
    names = [path.name for path in folder.glob("*.safetensors*")]
    full = any(name.startswith(f"{stem}.safetensors") for stem in STEMS for name in names)
    full |= any(name.startswith(f"{stem}-0") for stem in STEMS for name in names)
    halved = any(name.startswith(f"{stem}.{HALF}") for stem in STEMS for name in names)
    if halved and (half or not full):
        return HALF
    if full:
        return None
    pickles = sorted(path for path in folder.glob("*") if path.suffix in PICKLES)
    if not pickles:
        raise ConfigError(f"{folder} holds no weights (*.safetensors); download it again.")
    stem = STEMS[0] if pickles[0].name.startswith(STEMS[0]) else STEMS[1]
    raise ConfigError(
        f"{folder} holds its weights only as a pickle, which is never loaded; convert it with: "
        f"python -c \"import torch, safetensors.torch as s; w = torch.load('{pickles[0]}', "
        "map_location='cpu', weights_only=True); s.save_file({k: v.contiguous() for k, v in "
        f"w.items()}}, '{folder / (stem + '.safetensors')}', {{'format': 'pt'}})\""
    )


@dataclass(frozen=True)
class PictureInput:
    """How a network wants square pictures: from a preprocessor_config.json.

    Done here rather than by the library's class, which needs torchvision in some versions and
    refuses the single number that Zero123++ gives as its mean.
    """

    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    resample: int

    @staticmethod
    def read(folder: DiffusersFolder, component: str) -> PictureInput:
        """Read a component's settings; raise ConfigError where they say no size."""
        settings = folder.settings(f"{component}/preprocessor_config.json")
        size = settings.get("size")
        if isinstance(size, dict):
            size = size.get("shortest_edge", size.get("height"))
        if not isinstance(size, int) or size < 1:
            raise ConfigError(
                f"{folder.path / component} does not say to which size pictures are scaled; "
                "download it again."
            )
        return PictureInput(
            size,
            _three(settings.get("image_mean", 0.5)),
            _three(settings.get("image_std", 0.5)),
            int(settings.get("resample", 3)),
        )

    def __call__(self, rgb: NDArray[np.uint8]) -> Tensor:
        """Scale and normalise a square picture uint8 [H,H,3] -> float32 [1,3,size,size]."""
        from PIL import Image

        resample = Image.Resampling(self.resample)
        scaled = np.asarray(Image.fromarray(rgb).resize((self.size, self.size), resample))
        values = torch.from_numpy(scaled.astype(np.float32) / 255).permute(2, 0, 1)
        mean, deviation = (torch.tensor(of)[:, None, None] for of in (self.mean, self.deviation))
        return ((values - mean) / deviation)[None]


def device_of(name: str) -> torch.device:
    """Return the device named "auto" (the GPU where there is one), "cpu", "cuda", "cuda:1"."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"The device {name!r} cannot be used here: {reason}.") from None
    return device


def require_libraries(model: str) -> None:
    """Raise ConfigError where diffusers or transformers is not installed."""
    try:
        import diffusers  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"{model} needs the library {error.name}; run pip install 'ds4d[priors]'."
        ) from None


def _three(value: Any) -> tuple[float, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(float(item) for item in value)
    return (float(value),) * 3


def _digest_file(digest: Any, path: Path) -> None:
    try:
        size = path.stat().st_size
        digest.update(str(size).encode())
        with path.open("rb") as file:
            for start in np.linspace(0, max(size - DIGEST_BLOCK_BYTES, 0), DIGEST_BLOCKS):
                file.seek(int(start))
                digest.update(file.read(DIGEST_BLOCK_BYTES))
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror or error}.") from None


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the libraries from drawing into the engine's own progress, and from warning of them."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    diffusers_verbosity = diffusers_logging.get_verbosity()
    logging.disable_progress_bar()
    # What is missing is an error of ours; what is superfluous (old position ids) is nobody's.
    logging.set_verbosity_error()
    diffusers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            # diffusers turns tensors into arrays in a way that numpy 2 will drop.
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        diffusers_logging.set_verbosity(diffusers_verbosity)
        if shown:
            logging.enable_progress_bar()
