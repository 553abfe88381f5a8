# SPDX-License-Identifier: GPL-3.0-or-later
"""What was observed is told by `info`; a colour that moves is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ds4d_engine.cli import main
from ds4d_engine.seam import Asset, write_asset
from tests.engine.tiny_clip import picture, tiny_asset


def coloured() -> Asset:
    """Two moving Gaussians that turn from their own colours to black's."""
    asset = tiny_asset()
    black = np.full((2, 1, 3), -0.5 / 0.28209479177387814)
    fade = np.linspace(0, 1, 4)[:, None, None, None]
    asset.motion.sh0 = (asset.dynamic.sh0 * (1 - fade) + black * fade).astype(np.float32)
    return asset


@pytest.mark.parametrize("frame", [0.0, 1.5, 3.0])
def test_a_moving_colour_is_drawn_as_a_still_one_of_the_same_value(frame: float) -> None:
    moving, still = coloured(), tiny_asset()
    still.dynamic.sh0 = moving.at(frame).sh0[3:]
    view = still.cameras[0]
    drawn, expected = picture(moving, view, frame), picture(still, view, frame)
    np.testing.assert_array_equal(drawn, expected)
    original = picture(tiny_asset(), view, frame)
    assert (drawn != original).any() == (frame > 0)


def test_info_counts_what_was_observed_and_what_is_invented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = coloured()
    asset.static.observed = np.array([0.0, 0.49, 1.0], np.float32)
    write_asset(tmp_path / "a.ds4d", asset)
    assert main(["info", str(tmp_path / "a.ds4d")]) == 0
    shown = capsys.readouterr().out
    assert "3 seen by a source picture, 2 invented" in shown
    assert "linear light, moving over time" in shown
    assert main(["info", str(tmp_path / "a.ds4d"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["observed_gaussians"], facts["invented_gaussians"]) == (3, 2)
    assert facts["moving_colour"] and not facts["moving_opacity"]
    assert facts["motion_bytes_per_frame"] == 2 * (3 + 4 + 3 + 3) * 4
