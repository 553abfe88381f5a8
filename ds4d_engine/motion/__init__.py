# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of how Gaussians move over time, behind one interface.

Every model maps the canonical Gaussians and a time to deltas that are added to the raw means,
quaternions and log-scales. The canonical frame is the middle frame of the clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import Tensor, nn

from ds4d_engine.seam.errors import ConfigError
from ds4d_engine.seam.events import Listener, silent

if TYPE_CHECKING:
    from ds4d_engine.features import ClipFeatures

MOTIONS = ("spline", "hexplane", "ds4d-paper", "ds4d", "nodes")
"""Names that `build_motion` knows."""

FEATURE_MOTIONS = ("ds4d-paper", "ds4d", "nodes")
"""The models that read image features, so that `Clip.features` must be given."""


class Deltas(NamedTuple):
    """What motion adds to the canonical Gaussians at one time."""

    d_means: Tensor
    """[N, 3] in world units."""
    d_quats: Tensor
    """[N, 4], added to the raw (not normalised) wxyz quaternion."""
    d_scales: Tensor
    """[N, 3], added to the raw log-scale."""
    d_sh0: Tensor | None = None
    """[N, 1, 3], added to the degree-0 colour; None: colours stay."""
    d_opacities: Tensor | None = None
    """[N], added to the opacity logit; None: opacities stay."""


@dataclass(frozen=True, eq=False)
class Clip:
    """What a motion model may know of the clip it describes."""

    times: Sequence[float]
    """[T] times of the frames, increasing, 0..1."""
    middle: int
    """Index of the canonical frame."""
    features: ClipFeatures | None = None
    """Tokens of the training views; only feature-driven models need them."""

    def __post_init__(self) -> None:
        if not 0 <= self.middle < len(self.times):
            raise ConfigError(
                f"The middle frame {self.middle} is outside the clip of {len(self.times)} frames; "
                "choose one of its frames."
            )

    @property
    def frame_count(self) -> int:
        """Number of frames T."""
        return len(self.times)

    @property
    def middle_time(self) -> float:
        """Time of the canonical frame."""
        return float(self.times[self.middle])


class Motion(nn.Module):
    """A model of motion; subclasses implement `forward` and whatever state they keep.

    Per-Gaussian state does not live in the module: it rides in the splat dictionary under names
    that start with `motion_`, so that densification clones, splits and prunes it with the rest.
    """

    name: ClassVar[str]

    knot_names: tuple[str, ...] = ()
    """Tensors of `per_gaussian` that `knots.contract` reads, for `knots.KnotAdam` to optimise."""
    refresh_interval: int = 0
    """Iterations after which the model wants `refresh`; 0: it never needs one."""
    clones_keep_features: bool = False
    """Whether `refresh` after densification does without `visible`."""
    knot_damping: Mapping[str, float] = {}
    """`KnotAdam`'s damping of those, where it has any."""
    adam_epsilons: Mapping[str, float] = {}
    """Adam's epsilon by tensor, where it is not negligible: smaller gradients then hardly count."""
    needs_visibility: bool = False
    """Whether `refresh` reads `visible`; where False, None may be passed."""

    def per_gaussian(self, count: int) -> dict[str, Tensor]:
        """Create the initial state of `count` Gaussians: tensors [count, ...] named `motion_*`."""
        return {}

    def per_gaussian_lr(self) -> dict[str, float]:
        """Give the learning rate of each tensor of `per_gaussian`."""
        return {}

    def network_groups(self) -> list[dict[str, Any]]:
        """Give the Adam groups (`params`, `lr`, `name`) of the module's own parameters."""
        return []

    def forward(self, splats: Mapping[str, Tensor], time: float) -> Deltas:
        """Evaluate the motion of raw splats at a time in 0..1, between frames too."""
        raise NotImplementedError

    def refresh(self, splats: Mapping[str, Tensor], visible: Tensor | None) -> None:
        """Renew what is cached per Gaussian; `visible` is bool [V, N].

        Call it before the first `forward`, every `refresh_interval` iterations, and after the
        number or order of the Gaussians has changed.
        """

    def regularisation(self, splats: Mapping[str, Tensor], fade: float = 1.0) -> Tensor:
        """Return the weighted penalty of the motion last evaluated, a scalar.

        `fade` goes from 1 to almost 0 over a fit: it weighs what helps to find the motion but
        would blur it in the end.
        """
        return splats["means"].new_zeros(())

    def extend(self, parameters: Mapping[str, Tensor], first: float, last: float) -> None:
        """Prepare for a time window that has grown to `first`..`last`, times in 0..1."""

    def start(self, parameters: Mapping[str, Tensor], listener: Listener = silent) -> None:
        """Set up per-Gaussian state that depends on the first `refresh`."""

    def constrain(self, parameters: Mapping[str, Tensor]) -> None:
        """Bring the Gaussians back to what the model allows, after every step."""

    def settle(self, parameters: Mapping[str, Tensor], pixels_per_unit: float) -> None:
        """Take motion away from Gaussians that turned out not to move."""

    def densify_weights(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Return a factor [N] on the gradients by which densification ranks, or None."""
        return None


def build_motion(name: str, clip: Clip, **settings: Any) -> Motion:
    """Build the motion model called `name`; `settings` are its keyword arguments.

    Raises ConfigError for an unknown name, an unknown setting, or missing features.
    """
    if name not in MOTIONS:
        raise ConfigError(f"Unknown motion model '{name}'; choose one of {', '.join(MOTIONS)}.")
    if name in FEATURE_MOTIONS and clip.features is None:
        raise ConfigError(
            f"Motion model '{name}' needs image features; extract them from the training views "
            "and pass them in the clip, or choose 'spline'."
        )
    model = _model_class(name)
    try:
        return model(clip, **settings)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        setting = str(error).rsplit("'", 2)[-2]
        raise ConfigError(
            f"Motion model '{name}' has no setting '{setting}'; docs/method.md lists its settings."
        ) from error


def _model_class(name: str) -> type[Motion]:
    # Imported late: the models import this module for their base class.
    if name == "spline":
        from ds4d_engine.motion.spline import SplineMotion

        return SplineMotion
    if name == "hexplane":
        from ds4d_engine.motion.hexplane import HexPlaneMotion

        return HexPlaneMotion
    if name == "ds4d-paper":
        from ds4d_engine.motion.paper import PaperMotion

        return PaperMotion
    if name == "nodes":
        from ds4d_engine.motion.nodes import NodeMotion

        return NodeMotion
    from ds4d_engine.motion.ds4d import DS4DMotion

    return DS4DMotion


__all__ = ["FEATURE_MOTIONS", "MOTIONS", "Clip", "Deltas", "Motion", "build_motion"]
