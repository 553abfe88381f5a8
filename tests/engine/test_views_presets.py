# SPDX-License-Identifier: GPL-3.0-or-later
"""Where generated views are seen from, and what options say of them."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import pytest

from ds4d_engine.cli.arguments import Parser
from ds4d_engine.cli.view_arguments import add_view_options, view_options
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.seam.errors import ConfigError
from ds4d_engine.views import PRESETS, ViewOptions, build_provider, parse_cameras
from ds4d_engine.views.presets import cameras_of
from tests.engine.view_scenes import disc, single_clip


def parsed(*words: str) -> argparse.Namespace:
    parser = Parser(prog="ds4d fit")
    add_view_options(parser)
    return parser.parse(words)


def test_the_second_view_of_zero123plus_stands_to_the_right_and_below() -> None:
    second = cameras_of(PRESETS["zero123plus-1.1"].angles, 32)[1]
    x, y, z = second.position
    assert x == pytest.approx(2 * math.cos(math.radians(20)))
    assert y == pytest.approx(0, abs=1e-9)
    assert z == pytest.approx(-2 * math.sin(math.radians(20)))


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_shows_as_much_of_the_world_as_the_input_camera(name: str) -> None:
    rim = orbit_camera("input", 100)
    half = rim.width / 2 / rim.K[0, 0] * 2.0
    for camera in cameras_of(PRESETS[name].angles, 100):
        pixels = camera.K @ (camera.viewmat[:3, :3] @ np.zeros(3) + camera.viewmat[:3, 3])
        assert pixels[:2] / pixels[2] == pytest.approx([50, 50])
        assert 50 / camera.K[0, 0] * np.linalg.norm(camera.position) == pytest.approx(half)


def test_a_list_of_angles_takes_radius_and_field_of_view_where_given() -> None:
    first, second = parse_cameras("30,20; -90,-10,3,33.8").angles
    assert (first.azimuth, first.elevation, first.radius, first.fovy) == (30, 20, 2.0, 49.1)
    assert (second.azimuth, second.elevation, second.radius, second.fovy) == (-90, -10, 3, 33.8)
    assert second.name == "az270_el-10"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zero123", "no set of view cameras"),
        ("30", "no view camera"),
        ("30,20,1,2,3", "no view camera"),
        ("30,95", "impossible"),
        ("30,20,0", "radius"),
        ("30,20;390,20", "same angles"),
        (";", "empty"),
    ],
)
def test_impossible_cameras_are_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_cameras(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"provider": "magic"}, "no view provider 'magic'"),
        ({"provider": "folder"}, "--views-folder"),
        ({"folder": Path("somewhere")}, "leave the folder out"),
        ({"provider": "zero123plus", "cameras": "sv4d2"}, "fixed cameras"),
        ({"scale": "0"}, "scale of the views"),
        ({"scale": "large"}, "scale of the views"),
        ({"layout": "pile"}, "no layout of views 'pile'"),
        ({"steps": 0}, "at least one step"),
    ],
)
def test_options_that_contradict_themselves_are_one_sentence(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ViewOptions(**options)


def test_the_preset_decides_whether_the_scale_is_known() -> None:
    assert ViewOptions(cameras="zero123plus-1.1").fixed_scale() == 1.0
    assert ViewOptions(cameras="zero123plus-1.2").fixed_scale() is None
    assert ViewOptions(cameras="zero123plus-1.1", scale="measure").fixed_scale() is None
    assert ViewOptions(cameras="zero123plus-1.2", scale="1.25").fixed_scale() == 1.25


def test_without_views_the_clip_stays_as_it_is() -> None:
    clip = single_clip([disc(16, 0.5, 0.5, 0.3)])
    assert build_provider(ViewOptions()).views(clip) is clip


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not exist"):
        build_provider(ViewOptions(provider="folder", folder=tmp_path / "none"))


def test_a_command_without_view_options_takes_the_defaults() -> None:
    assert view_options(parsed()) == ViewOptions()


def test_a_folder_alone_means_views_from_it() -> None:
    options = view_options(parsed("--views-folder", "made", "--view-cameras", "sv4d2"))
    assert options == ViewOptions(provider="folder", folder=Path("made"), cameras="sv4d2")


def test_options_for_views_that_nobody_asked_for_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--view-cameras says how .*add --views"):
        view_options(parsed("--view-cameras", "sv4d2"))
    assert view_options(parsed("--views", "none")).provider == "none"


def test_every_view_option_of_a_command_arrives() -> None:
    words = (
        "--views zero123plus --view-cameras zero123plus-1.2 --view-scale 1.1 --view-weights w "
        "--view-steps 28 --view-guidance 3 --view-seed 7 --no-view-sharing --view-cache c "
        "--allow-download"
    )
    assert view_options(parsed(*words.split())) == ViewOptions(
        provider="zero123plus",
        cameras="zero123plus-1.2",
        scale="1.1",
        weights=Path("w"),
        allow_download=True,
        steps=28,
        guidance=3.0,
        seed=7,
        share_attention=False,
        cache=Path("c"),
    )
