# SPDX-License-Identifier: GPL-3.0-or-later
"""The explicit spline motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ds4d_engine.motion import Clip, build_motion
from ds4d_engine.motion.spline import SplineMotion, bspline_basis
from ds4d_engine.seam.errors import ConfigError


def clip(frames: int = 16) -> Clip:
    return Clip(times=np.linspace(0, 1, frames).tolist(), middle=frames // 2)


def random_splats(model: SplineMotion, count: int = 50) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = {name: torch.randn_like(value) for name, value in model.per_gaussian(count).items()}
    return {"means": torch.randn(count, 3), **state}


def test_zero_coefficients_are_the_identity_at_every_time() -> None:
    model = build_motion("spline", clip(), scales=True)
    splats = {"means": torch.randn(7, 3), **model.per_gaussian(7)}
    for time in (0.0, 0.31, 1.0):
        deltas = model(splats, time)
        for delta in (deltas.d_means, deltas.d_quats, deltas.d_scales):
            assert torch.equal(delta, torch.zeros_like(delta))
        assert deltas.d_sh0 is None and deltas.d_opacities is None


def test_every_frame_is_free_the_middle_one_too() -> None:
    model = SplineMotion(clip())
    deltas = model(random_splats(model), clip().middle_time)
    assert deltas.d_means.abs().min() > 0


def test_basis_functions_sum_to_one_and_four_are_non_zero() -> None:
    for time in np.linspace(0, 1, 23):
        basis = bspline_basis(9, float(time))
        assert sum(basis) == pytest.approx(1.0, abs=1e-12)
        assert np.count_nonzero(basis) <= 4


def test_basis_agrees_with_the_textbook_kernel() -> None:
    def kernel(distance: float) -> float:
        u = abs(distance)
        if u < 1:
            return 2 / 3 - u * u + u**3 / 2
        return (2 - u) ** 3 / 6 if u < 2 else 0.0

    for time in (0.0, 0.123, 0.5, 0.77, 1.0):
        expected = [kernel(time * (8 - 3) - (knot - 1)) for knot in range(8)]
        np.testing.assert_allclose(bspline_basis(8, time), expected, atol=1e-12)


def test_motion_is_continuous_and_smooth_in_time() -> None:
    model = SplineMotion(clip())
    splats = random_splats(model)
    times = np.linspace(0, 1, 2001)
    path = torch.stack([model(splats, float(time)).d_means for time in times]).double()
    velocity = path.diff(dim=0) * 2000
    jump = velocity.diff(dim=0).abs().max()
    assert jump < 0.02 * velocity.abs().max()


def test_default_knots_are_one_a_frame_and_at_least_four() -> None:
    assert SplineMotion(clip(32)).knots == 32
    assert SplineMotion(clip(3)).knots == 4
    assert SplineMotion(clip(32), knots=7).knots == 7


def test_scales_stay_fixed_unless_asked_for() -> None:
    assert set(SplineMotion(clip()).per_gaussian(2)) == {"motion_means", "motion_quats"}
    model = SplineMotion(clip(), scales=True)
    assert model(random_splats(model), 0.1).d_scales.abs().max() > 0


def test_learning_rates_name_every_per_gaussian_tensor() -> None:
    model = SplineMotion(clip(), scales=True)
    assert set(model.per_gaussian_lr()) == set(model.per_gaussian(1))


def test_bad_settings_are_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="at least 4 knots"):
        build_motion("spline", clip(), knots=3)
    with pytest.raises(ConfigError, match="no setting 'wobble'"):
        build_motion("spline", clip(), wobble=1)
    with pytest.raises(ConfigError, match="Unknown motion model 'magic'"):
        build_motion("magic", clip())
    with pytest.raises(ConfigError, match="needs image features"):
        build_motion("ds4d-paper", clip())
    with pytest.raises(ConfigError, match="outside the clip"):
        Clip(times=[0.0, 1.0], middle=2)
