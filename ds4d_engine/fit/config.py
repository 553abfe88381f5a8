# SPDX-License-Identifier: GPL-3.0-or-later
"""Every setting of a fit, in one frozen dataclass that is saved with the result."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from ..seam.errors import ConfigError

LEAST_TURN, MOST_TURN = 90, 3600  # degrees


def _setting(default: Any, help: str, choices: tuple[str, ...] | None = None) -> Any:
    metadata: dict[str, Any] = {"help": help}
    if choices:
        metadata["choices"] = choices
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class FitConfig:
    """Settings of one fit; lengths are in units of the scene's radius unless said otherwise."""

    preset: str = _setting("standard", "name of the preset these settings started from")
    seed: int = _setting(0, "seed of every random choice; same seed, same CPU result")
    backend: str = _setting("auto", "rasteriser", ("auto", "cpu", "gsplat", "torch"))
    threads: int = _setting(0, "CPU threads; 0 takes every core")
    blend: Literal["linear", "srgb"] = _setting(
        "linear", "light in which splats blend", ("linear", "srgb")
    )

    # length of the fit
    iterations: int = _setting(15_000, "optimisation steps (unless seconds is given)")
    seconds: float = _setting(0.0, "wall-clock budget of the optimisation; 0 counts iterations")
    static_part: float = _setting(0.06, "part of the fit spent without motion, on static_frames")
    static_frames: Literal["middle", "all"] = _setting(
        "middle", "what static_part looks at: the middle frame, or all alike", ("middle", "all")
    )
    window_part: float = _setting(0.3, "part of the fit at which the time window spans the clip")
    frontier: float = _setting(
        0.3, "chance that a step looks at the outermost frames while the window grows"
    )
    worst_frames: bool = _setting(
        False, "look more often at frames that the fit shows worse, once the window spans the clip"
    )
    checkpoint_seconds: float = _setting(60.0, "time between checkpoints; 0 writes only the last")
    picture_memory: int = _setting(
        4096,
        "main memory, in MiB, for pictures and what is made of them: beyond half of it pictures "
        "are kept in a file",
    )

    # Gaussians
    init: str = _setting("auto", "auto, hull, random, or a .ply/.obj/.glb file to start from")
    gaussians: int = _setting(6_000, "Gaussians at the start")
    max_gaussians: int = _setting(12_000, "Gaussians that densification may reach")
    gaussians_per_side: float = _setting(
        0.0,
        "Gaussians there may be for each pixel along a square as large as the subject in all "
        "cameras' pictures of a moment (presets: 24); 0, or gaussians or max_gaussians given, or "
        "one camera: whatever the pictures show",
    )
    sh_degree: int = _setting(0, "degree of view-dependent colour, 0 to 3")
    densify_start: float = _setting(0.08, "part of the fit at which densification starts")
    densify_stop: float = _setting(0.6, "part of the fit at which densification stops")
    densify_times: int = _setting(30, "how often densification grows and prunes")
    prune_opacity: float = _setting(0.02, "Gaussians less opaque than this are removed")

    # motion
    motion: str = _setting(
        "ds4d", "motion model", ("ds4d", "spline", "hexplane", "ds4d-paper", "nodes")
    )
    knots: int = _setting(0, "spline knots over the clip; 0 takes one a frame")
    damping: float = _setting(
        1.0, "how much steps of motion are held to the mean gradient of all Gaussians (ds4d)"
    )
    rigidity: float = _setting(1.0, "weight of local rigidity (ds4d)")
    stillness: float = _setting(
        2.0, "weight that keeps Gaussians of low dynamic score in their place (ds4d)"
    )
    gate: bool = _setting(True, "keep Gaussians that DSFD finds still without motion (ds4d)")
    gate_score: float = _setting(0.02, "dynamic score under which a Gaussian starts still (ds4d)")
    gate_pixels: float = _setting(
        0.15, "largest image motion, in pixels, of a still Gaussian (ds4d)"
    )
    growth_score: float = _setting(
        0.0, "how much the dynamic score raises a Gaussian's rank in densification (ds4d)"
    )
    network: Literal["light", "4dgs", "stag4d"] = _setting(
        "light",
        "sizes and rates of the deformation network (hexplane, ds4d-paper)",
        ("light", "4dgs", "stag4d"),
    )
    search: bool = _setting(
        True, "start from where features of what moves are found again at all times (ds4d)"
    )
    appearance: bool = _setting(True, "let what moves change its colour and opacity too (ds4d)")
    nodes: int = _setting(400, "points that carry the motion of a single view (nodes)")
    color_knots: int = _setting(
        0,
        "control points of colours and opacities over the clip; 0: a quarter of the frames (nodes)",
    )
    reveal_times: int = _setting(
        0, "how often Gaussians are added where a frame shows what the others do not (nodes)"
    )
    thickness: float = _setting(
        0.0,
        "depth of a shape guessed from its outline, against its width; 0 decides by the outline: "
        "0.6 for what is seen from its side, else 1.2 (inflate)",
    )
    back: Literal["auto", "rim", "mirror"] = _setting(
        "auto", "colours of a side that no camera sees (inflate)", ("auto", "rim", "mirror")
    )
    turn: str = _setting(
        "auto",
        "by how many degrees the subject turns about an upright axis, either way: auto finds out, "
        "off looks for nothing (nodes)",
    )
    likeness: float = _setting(
        0.5, "weight of features against distance among rigid neighbours (ds4d)"
    )

    # views that a model generated of one clip
    input_share: float = _setting(
        0.0, "chance that a step looks at the clip, not at a view; 0: as often as at each view"
    )
    view_confidence: bool = _setting(False, "trust generated views less that the others contradict")
    view_robust: bool = _setting(
        False, "disregard pixels of generated views that differ far more than the rest"
    )
    camera_correction: bool = _setting(False, "correct the cameras of generated views a little")

    # features (DSFD, TSSF)
    features: str = _setting(
        "builtin",
        "what describes pictures; dinov2-* needs weights",
        ("builtin", "dinov2-small", "dinov2-base", "dinov2-large"),
    )
    feature_weights: str = _setting("", "folder of the DINOv2 model; without, the hub's cache")
    feature_views: int = _setting(6, "training cameras whose frames give features")
    decouple: bool = _setting(True, "split features by DSFD; off only for ds4d-paper")
    reference: Literal["both", "middle", "mean", "gram-schmidt"] = _setting(
        "both", "DSFD's reference feature", ("both", "middle", "mean", "gram-schmidt")
    )
    fuse: Literal["ga", "da", "mean", "off"] = _setting(
        "da", "TSSF's fusion over views; ga only for ds4d-paper", ("ga", "da", "mean", "off")
    )

    # losses
    ssim_weight: float = _setting(0.2, "weight of 1 - SSIM against L1")
    alpha_weight: float = _setting(0.1, "weight of the coverage loss, against alpha or opaque")
    opacity_weight: float = _setting(0.0, "weight that pulls opacities down")
    scale_weight: float = _setting(0.0, "weight that pulls scales down")
    lpips_weight: float = _setting(0.0, "weight of LPIPS between renders and generated views")
    lpips_weights: str = _setting("", "file or folder of LPIPS's weights (docs/priors.md)")
    sds_weight: float = _setting(0.0, "weight of score distillation from Zero123 (one clip)")
    sds_weights: str = _setting("", "folder of the Zero123 model; without, the hub's cache")

    # learning rates, all decaying to lr_final of their start
    lr_means: float = _setting(1e-3, "centres")
    lr_scales: float = _setting(8e-3, "log scales")
    lr_quats: float = _setting(3e-3, "quaternions")
    lr_opacities: float = _setting(3e-2, "opacity logits")
    lr_colors: float = _setting(1e-2, "colours, in units of 0..1")
    lr_motion: float = _setting(6e-3, "spline coefficients")
    prior_final: float = _setting(
        0.001, "motion priors at the end, as a part of those at the start"
    )
    lr_final: float = _setting(0.03, "learning rates at the end, as a part of those at the start")

    def __post_init__(self) -> None:
        """Refuse contradictions.

        Raises:
            ConfigError: a value lies outside its range, or two settings contradict each other.
        """
        for setting in dataclasses.fields(self):
            choices = setting.metadata.get("choices")
            value = getattr(self, setting.name)
            if choices and value not in choices:
                raise ConfigError(
                    f"{setting.name} cannot be {value!r}; choose one of {', '.join(choices)}."
                )
            if isinstance(value, (int, float)) and value < 0:
                raise ConfigError(f"{setting.name} cannot be negative (it is {value}).")
        if self.iterations < 1:
            raise ConfigError("iterations must be at least 1.")
        if self.gaussians < 1:
            raise ConfigError("gaussians must be at least 1.")
        if self.max_gaussians < self.gaussians:
            raise ConfigError(
                f"max_gaussians ({self.max_gaussians}) is below gaussians ({self.gaussians}); "
                "raise it."
            )
        if not 0 <= self.static_part <= self.window_part <= 1:
            raise ConfigError("static_part, window_part and 1 must ascend; change one of them.")
        if not 0 <= self.densify_start <= self.densify_stop <= 1:
            raise ConfigError("densify_start, densify_stop and 1 must ascend; change one of them.")
        if self.motion == "nodes" and self.backend == "gsplat":
            raise ConfigError(
                "A clip of one camera is fitted on the CPU (motion=nodes); use backend auto or cpu."
            )
        if not self.decouple and self.motion != "ds4d-paper":
            raise ConfigError(
                f"Only motion=ds4d-paper can do without DSFD, not {self.motion}; leave decouple on."
            )
        if self.sh_degree > 3:
            raise ConfigError(f"sh_degree must be 0 to 3 (it is {self.sh_degree}).")
        for name in ("lr_final", "prior_final"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie in (0, 1].")
        if self.input_share >= 1:
            raise ConfigError("input_share must be below 1; leave views out to see the clip alone.")
        self._check_priors()
        self._check_turn()

    def _check_priors(self) -> None:
        """Refuse weights that nothing uses, and losses that need weights and have none."""
        if self.feature_weights and self.features == "builtin":
            raise ConfigError(
                "feature_weights are given, but the built-in features use none; add "
                "features=dinov2-base (or -small, -large) or leave them out."
            )
        for name in ("lpips", "sds"):
            if getattr(self, f"{name}_weights") and not getattr(self, f"{name}_weight"):
                raise ConfigError(
                    f"{name}_weights are given, but {name}_weight is 0; raise it or leave them out."
                )
        if self.lpips_weight and not self.lpips_weights:
            raise ConfigError(
                "lpips_weight needs lpips_weights: the file that docs/priors.md says how to make."
            )

    @property
    def looks_change(self) -> bool:
        """Whether the motion model changes colours and opacities over time."""
        return self.motion == "nodes" or (self.motion == "ds4d" and self.appearance)

    @property
    def turn_degrees(self) -> float | None:
        """By how much the subject is said to turn; None: nobody knows."""
        return None if self.turn in ("auto", "off") else float(self.turn)

    def _check_turn(self) -> None:
        try:
            degrees = self.turn_degrees
        except ValueError:
            degrees = math.nan
        if degrees is None:
            return
        if not LEAST_TURN <= degrees <= MOST_TURN:
            raise ConfigError(
                f"turn must be auto, off, or {LEAST_TURN} to {MOST_TURN} degrees, not {self.turn}."
            )
        if self.motion != "nodes":
            raise ConfigError(f"turn={self.turn} is for a clip of one camera; leave it out.")

    @classmethod
    def preset_named(cls, name: str, source: str = "dataset") -> Self:
        """Return the settings of a preset for a source of `SOURCES`.

        Raises:
            ConfigError: no preset has this name.
        """
        if name not in PRESETS:
            raise ConfigError(f"There is no preset {name!r}; choose one of {', '.join(PRESETS)}.")
        return cls(preset=name, **PRESETS[name] | SOURCES[source].get(name, {}))

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed, checked again.

        Numbers of Gaussians given here are meant, whatever the pictures show.
        """
        if changes.keys() & {"gaussians", "max_gaussians"}:
            changes.setdefault("gaussians_per_side", 0.0)
        return dataclasses.replace(self, **changes)


ENOUGH_PER_SIDE = 24.0
"""`gaussians_per_side`: about where more stop to show more of what moves, in clips of 7 and of 12
cameras at 128 to 512 px (docs/benchmarks.md)."""

PRESETS: dict[str, dict[str, Any]] = {
    # the more steps, the shorter those of motion: what none of them has to say adds up
    "draft": {
        "iterations": 4_000,
        "gaussians": 4_000,
        "max_gaussians": 6_000,
        "gaussians_per_side": ENOUGH_PER_SIDE,
        "lr_motion": 1e-2,
    },
    "standard": {"gaussians_per_side": ENOUGH_PER_SIDE},
    "high": {
        "iterations": 60_000,
        "gaussians": 12_000,
        "max_gaussians": 60_000,
        "gaussians_per_side": ENOUGH_PER_SIDE,
        "lr_motion": 4e-3,
    },
    # 4DGaussians as published for D-NeRF: 3,000 coarse and 20,000 fine steps, 2,000 random points,
    # growth every 100 steps up to 15,000 of the fine ones, L1 alone. Rates of centres are times
    # the cameras' extent, as in motion/networks.py. docs/method.md says what does not transfer.
    "4dgs": {
        "motion": "hexplane",
        "network": "4dgs",
        "iterations": 23_000,
        "static_part": 3 / 23,
        "static_frames": "all",
        "window_part": 3 / 23,
        "init": "random",
        "gaussians": 2_000,
        "densify_start": 0.5 / 23,
        "densify_stop": 18 / 23,
        "densify_times": 175,
        "prune_opacity": 0.005,
        "ssim_weight": 0.0,
        "alpha_weight": 0.0,
        "lr_means": 8e-4,
        "lr_scales": 5e-3,
        "lr_quats": 1e-3,
        "lr_opacities": 5e-2,
        "lr_colors": 7e-4,  # 2.5e-3 of an SH coefficient
        "lr_final": 0.01,
    },
}

CLIP_SIZES = {"draft": 128, "standard": 256, "high": 384, "4dgs": 256}
"""Side in pixels of the square that is cut out of a single clip."""

_CLIP = {
    "motion": "nodes",
    "densify_times": 0,
    "reveal_times": 14,
    "static_part": 0.02,
    "window_part": 0.35,
    "worst_frames": True,
    "alpha_weight": 0.5,
    "lr_motion": 4e-3,
    "lr_means": 4e-4,
    "lr_opacities": 2e-2,
    "lr_final": 0.05,
}

_VIEWS = {
    "input_share": 0.3,
    "view_confidence": True,
    "view_robust": True,
    "camera_correction": True,
}

SOURCES: dict[str, dict[str, dict[str, Any]]] = {
    "dataset": {},
    "clip": {
        "draft": _CLIP | {"iterations": 6_000, "gaussians": 10_000, "max_gaussians": 14_000},
        "standard": _CLIP | {"iterations": 8_000, "gaussians": 40_000, "max_gaussians": 50_000},
        "high": _CLIP | {"iterations": 15_000, "gaussians": 80_000, "max_gaussians": 100_000},
    },
    "views": {
        "draft": _VIEWS | {"iterations": 5_000},
        "standard": _VIEWS,
        "high": _VIEWS,
    },
}
"""What presets change for one clip, and for one clip with generated views."""
