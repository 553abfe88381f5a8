# SPDX-License-Identifier: GPL-3.0-or-later
"""`ds4d sheet`: what stands in which cell, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from ds4d_engine.cli import main
from ds4d_engine.cli.sheet import HEADER, contact_sheet, turned_cameras
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.render import asset_bounds, render_asset, to_uint8
from ds4d_engine.seam import write_asset
from tests.engine.tiny_clip import SIZE, picture, tiny_asset, tiny_dataset, write_transforms


def _cell(sheet: np.ndarray, row: int, column: int, size: int) -> np.ndarray:
    top, left = HEADER + row * size, column * size
    return sheet[top : top + size, left : left + size]


def test_azimuth_zero_is_what_the_assets_camera_sees_from_first_to_last_frame() -> None:
    asset = tiny_asset()
    sheet = contact_sheet(asset, azimuths=(-30.0, 0.0), times=2, size=SIZE, camera="top")
    assert sheet.shape == (HEADER + 2 * SIZE, 2 * SIZE, 3)
    for row, frame in enumerate((0.0, 3.0)):
        expected = to_uint8(render_asset(asset, asset.cameras[2], frame))
        difference = _cell(sheet, row, 1, SIZE).astype(int) - expected.astype(int)
        assert np.abs(difference).max() <= 1
    assert not np.array_equal(_cell(sheet, 0, 0, SIZE), _cell(sheet, 0, 1, SIZE))


def test_other_azimuths_turn_the_camera_as_the_orbit_does_about_the_assets_middle() -> None:
    asset = tiny_asset()
    asset.cameras = (orbit_camera("input", 40),)
    turned = turned_cameras(asset, (0.0, 30.0, 180.0), 40)
    expected = [orbit_camera("", 40, azimuth_degrees=azimuth) for azimuth in (0.0, 30.0, 180.0)]
    middle = np.array([0.0, asset_bounds(asset).center[1], 0.0, 1.0])  # on the first one's axis
    for camera, orbit in zip(turned, expected, strict=True):
        np.testing.assert_allclose(camera.viewmat[:3, :3], orbit.viewmat[:3, :3], atol=1e-12)
        np.testing.assert_allclose((camera.viewmat @ middle)[:2], 0.0, atol=1e-12)
    np.testing.assert_allclose(turned[0].viewmat, expected[0].viewmat, atol=1e-12)


def test_first_column_is_the_source_on_white_in_the_light_of_the_asset() -> None:
    asset = tiny_asset()
    source = tiny_dataset(asset)
    sheet = contact_sheet(asset, azimuths=(0.0,), times=2, size=SIZE, source=source)
    # The source's 8 bits of straight colour and alpha round twice, the render once.
    difference = _cell(sheet, 1, 0, SIZE).astype(int) - _cell(sheet, 1, 1, SIZE).astype(int)
    assert np.abs(difference).max() <= 2
    assert _cell(sheet, 1, 0, SIZE).min() < 200 and picture(asset, asset.cameras[0], 3).any()


def test_the_command_writes_the_sheet_with_and_without_a_source(tmp_path: Path) -> None:
    asset = tiny_asset()
    path = tmp_path / "tiny.ds4d"
    write_asset(path, asset)
    source = write_transforms(asset, tmp_path / "clip")
    words = ["sheet", str(path), "--azimuths", "-20", "0", "20", "--times", "3", "--cell", "24"]
    quiet = ["--progress", "none", "-o"]
    assert main([*words, *quiet, str(tmp_path / "a.png")]) == 0
    assert iio.imread(tmp_path / "a.png").shape == (HEADER + 3 * 24, 3 * 24, 3)
    assert main([*words, "--source", str(source), *quiet, str(tmp_path / "b.png")]) == 0
    with_source = iio.imread(tmp_path / "b.png")
    assert with_source.shape == (HEADER + 3 * 24, 4 * 24, 3)
    np.testing.assert_array_equal(
        with_source[HEADER:, 24:], iio.imread(tmp_path / "a.png")[HEADER:]
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "sheet.jpg"], "must end in .png"),
        (["-o", "sheet.png", "--camera", "nobody"], "no camera 'nobody'"),
        (["-o", "sheet.png", "--times", "0"], "not above zero"),
        (["-o", "sheet.png", "--source", "nowhere"], "nowhere"),
        (["-o", "sheet.png", "--crop", "off"], "add --source"),
        (["-o", "sheet.png", "--stride", "2"], "add --source"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_asset("tiny.ds4d", tiny_asset())
    assert main(["sheet", "tiny.ds4d", *words, "--progress", "none"]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error and len(error.splitlines()) == 1
    assert not Path("sheet.png").exists()
