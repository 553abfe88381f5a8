# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring how large generated views show the object."""

from __future__ import annotations

import numpy as np
import pytest

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.seam.errors import DatasetError
from ds4d_engine.seam.events import Progress
from ds4d_engine.views.assemble import GeneratedViews, join, zoom
from ds4d_engine.views.calibrate import measure_scale
from ds4d_engine.views.presets import PRESETS, cameras_of
from tests.engine.view_scenes import QUADRUPED, silhouette, single_clip

SIDE = 128
BOX = (((0.0, 0.0, 0.0), (0.35, 0.55, 0.5)),)


def seen(preset: str, parts: object, factor: float) -> tuple[list, list]:
    """Nominal cameras, the input first, and alphas [1,S,S] whose views are `factor` larger."""
    cameras = [orbit_camera("input", SIDE), *cameras_of(PRESETS[preset].angles, SIDE)]
    taken = [cameras[0], *(zoom(camera, factor) for camera in cameras[1:])]
    return cameras, [silhouette(camera, parts, 0.8)[None] for camera in taken]


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("factor", [0.75, 1.3])
def test_the_scale_of_a_quadruped_is_found_within_five_percent(preset: str, factor: float) -> None:
    cameras, alphas = seen(preset, QUADRUPED, factor)
    found = measure_scale(cameras, alphas, np.ones((1, len(cameras)), bool))
    assert found.factor == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_views_that_do_not_quite_agree_are_measured_within_ten_percent(seed: int) -> None:
    """As generated views: each of another size (7 %), its parts moved (0.04) and resized (15 %)."""
    rng = np.random.default_rng(seed)
    cameras, alphas = seen("zero123plus-1.2", QUADRUPED, 1.0)
    for v, camera in enumerate(cameras[1:], 1):
        parts = [
            (np.array(centre) + rng.normal(size=3) * 0.04, axes * rng.uniform(0.85, 1.15, 3))
            for centre, axes in QUADRUPED
        ]
        taken = zoom(camera, 1.2 * rng.uniform(0.93, 1.07))
        alphas[v] = silhouette(taken, parts, 0.8)[None]
    found = measure_scale(cameras, alphas, np.ones((1, len(cameras)), bool))
    assert found.factor == pytest.approx(1.2, rel=0.1)


def test_one_bad_frame_does_not_decide() -> None:
    cameras, alphas = seen("zero123plus-1.2", BOX, 1.2)
    _, wrong = seen("zero123plus-1.2", BOX, 0.9)
    alphas = [np.concatenate([a, b, a]) for a, b in zip(alphas, wrong, strict=True)]
    found = measure_scale(cameras, alphas, np.ones((3, len(cameras)), bool))
    assert found.votes == 18
    assert found.factor == pytest.approx(1.2, rel=0.05)


def test_views_of_another_size_each_are_refused() -> None:
    cameras, alphas = seen("zero123plus-1.2", BOX, 1.0)
    for v, factor in enumerate((0.5, 0.6, 0.75, 1.0, 1.2, 1.4), 1):
        alphas[v] = silhouette(zoom(cameras[v], factor), BOX, 0.8)[None]
    with pytest.raises(DatasetError, match=r"contradict each other in size.*as a number"):
        measure_scale(cameras, alphas, np.ones((1, len(cameras)), bool))


def test_joining_measures_the_scale_and_says_it() -> None:
    cameras, alphas = seen("zero123plus-1.2", BOX, 1.25)
    clip = single_clip([alphas[0][0]])
    pictures = [np.dstack([np.repeat(a[0][..., None], 3, 2), a[0]])[None] for a in alphas[1:]]
    made = GeneratedViews(PRESETS["zero123plus-1.2"].angles, pictures, np.ones((1, 6), bool))
    said: list[Progress] = []
    result = join(clip, made, None, said.append)
    ratio = result.cameras[1].K[0, 0] / cameras[1].K[0, 0]
    assert ratio == pytest.approx(1.25, rel=0.05)
    assert said[-1].values["scale"] == pytest.approx(ratio)
    assert "times as large as the input camera" in said[-1].message


def test_views_of_nothing_cannot_be_measured() -> None:
    cameras, alphas = seen("sv4d2", BOX, 1.0)
    empty = [alphas[0], *(np.zeros_like(a) for a in alphas[1:])]
    with pytest.raises(DatasetError, match=r"give it as a number"):
        measure_scale(cameras, empty, np.ones((1, len(cameras)), bool))
