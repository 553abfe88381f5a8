# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from ds4d_engine.seam import Asset, AssetError, Gaussians, Motion, read_asset, write_asset
from ds4d_engine.seam.quaternions import normalize
from ds4d_engine.seam.storage import read_header

MakeAsset = Callable[..., Asset]


def assert_same_rotations(a: np.ndarray, b: np.ndarray) -> None:
    dots = np.abs((normalize(a) * normalize(b)).sum(-1))
    np.testing.assert_allclose(dots, 1.0, atol=1e-6)


def test_a_written_asset_is_read_back_unchanged(asset: Asset, asset_file: Path) -> None:
    found = read_asset(asset_file)
    for part in ("static", "dynamic", "motion"):
        before, after = getattr(asset, part), getattr(found, part)
        for field in fields(before):
            if field.name == "quats":
                assert_same_rotations(before.quats, after.quats)
            else:
                np.testing.assert_array_equal(
                    getattr(before, field.name), getattr(after, field.name)
                )
    np.testing.assert_array_equal(found.times, asset.times)
    for name in ("fps", "frame_start", "blend", "provenance", "units"):
        assert getattr(found, name) == getattr(asset, name)
    for a, b in zip(asset.cameras, found.cameras, strict=True):
        assert (a.name, a.split, a.width, a.height) == (b.name, b.split, b.width, b.height)
        np.testing.assert_array_equal(a.K, b.K)
        np.testing.assert_array_equal(a.viewmat, b.viewmat)


@pytest.mark.parametrize(
    ("static", "dynamic", "frames"), [(0, 3, 2), (4, 0, 2), (0, 0, 1), (2, 2, 1)]
)
def test_empty_parts_and_single_frames_survive(
    make_asset: MakeAsset, tmp_path: Path, static: int, dynamic: int, frames: int
) -> None:
    path = tmp_path / "small.ds4d"
    write_asset(path, make_asset(static, dynamic, frames))
    found = read_asset(path)
    assert (len(found.static), len(found.dynamic), found.frame_count) == (static, dynamic, frames)
    assert len(found.frame(frames - 1)) == static + dynamic


def test_absent_moving_opacities_stay_absent_and_the_canonical_ones_hold(
    make_asset: MakeAsset, tmp_path: Path
) -> None:
    asset = make_asset()
    asset.motion.opacities = None
    write_asset(tmp_path / "a.ds4d", asset)
    found = read_asset(tmp_path / "a.ds4d")
    assert found.motion.opacities is None
    np.testing.assert_array_equal(found.frame(2).opacities[7:], asset.dynamic.opacities)


@pytest.mark.parametrize("name", ["quats", "scales"])
def test_what_keeps_its_canonical_value_is_stored_once(
    make_asset: MakeAsset, tmp_path: Path, name: str
) -> None:
    asset = make_asset()
    setattr(asset.motion, name, None)
    write_asset(tmp_path / "a.ds4d", asset)
    header = read_header(tmp_path / "a.ds4d")
    assert f"motion.{name}" not in header.entries and header.metadata["version"] == "2"
    found = read_asset(tmp_path / "a.ds4d")
    for frame in (0.0, 1.25, 3.0):
        held = getattr(found.at(frame), name)[7:]
        np.testing.assert_array_equal(held, getattr(found.dynamic, name))


def test_a_file_without_observed_was_seen_whole(make_asset: MakeAsset, tmp_path: Path) -> None:
    asset = make_asset()
    for part in (asset.static, asset.dynamic):
        part.observed = np.ones(len(part), np.float32)
    write_asset(tmp_path / "a.ds4d", asset)
    assert not [n for n in read_header(tmp_path / "a.ds4d").entries if "observed" in n]
    found = read_asset(tmp_path / "a.ds4d")
    np.testing.assert_array_equal(found.frame(1).observed, np.ones(12))


def test_gaussians_built_without_observed_count_as_seen() -> None:
    values = {
        "means": np.zeros((3, 3)),
        "quats": np.ones((3, 4)),
        "scales": np.ones((3, 3)),
        "opacities": np.ones(3),
        "sh0": np.zeros((3, 1, 3)),
        "shN": np.zeros((3, 0, 3)),
        "dynamic_scores": np.zeros(3),
    }
    seen = Gaussians(**values)
    np.testing.assert_array_equal(seen.observed, np.ones(3, np.float32))
    invented = Gaussians(**values, observed=np.zeros(3))
    joined = Gaussians.concatenate(seen, invented)
    np.testing.assert_array_equal(joined.observed, [1, 1, 1, 0, 0, 0])
    with pytest.raises(AssetError, match=r"Gaussians\.observed has shape \[2\], expected \[3\]"):
        Gaussians(**values, observed=np.zeros(2))


def test_a_moving_colour_is_stored_and_mixed_between_frames(
    make_asset: MakeAsset, tmp_path: Path
) -> None:
    asset = make_asset()
    colours = np.random.default_rng(1).normal(size=(4, 5, 1, 3)).astype(np.float32)
    asset.motion.sh0 = colours
    write_asset(tmp_path / "a.ds4d", asset)
    found = read_asset(tmp_path / "a.ds4d")
    np.testing.assert_array_equal(found.motion.sh0, colours)
    np.testing.assert_array_equal(found.frame(3).sh0[7:], colours[3])
    np.testing.assert_array_equal(found.at(1.25).sh0[:7], asset.static.sh0)
    mixed = colours[1] * 0.75 + colours[2] * 0.25
    np.testing.assert_allclose(found.at(1.25).sh0[7:], mixed, atol=1e-6)


def test_only_what_an_older_reader_would_show_wrong_raises_the_version(
    make_asset: MakeAsset, tmp_path: Path
) -> None:
    asset = make_asset()
    assert (asset.static.observed < 1).any()
    write_asset(tmp_path / "seen.ds4d", asset)
    asset.motion.sh0 = np.zeros((4, 5, 1, 3), np.float32)
    write_asset(tmp_path / "coloured.ds4d", asset)
    versions = [
        read_header(tmp_path / f"{name}.ds4d").metadata["version"] for name in ("seen", "coloured")
    ]
    assert versions == ["1", "2"]


def test_a_moving_colour_of_another_shape_is_refused() -> None:
    means, quats = np.zeros((4, 2, 3)), np.ones((4, 2, 4))
    with pytest.raises(AssetError, match=r"Motion\.sh0 has shape"):
        Motion(means, quats, np.ones((4, 2, 3)), sh0=np.zeros((4, 2, 3)))


def test_a_frame_is_the_static_part_then_the_dynamic_part_at_that_frame(asset_file: Path) -> None:
    asset = read_asset(asset_file)
    frame = asset.frame(2)
    np.testing.assert_array_equal(frame.means[:7], asset.static.means)
    np.testing.assert_array_equal(frame.means[7:], asset.motion.means[2])
    np.testing.assert_array_equal(frame.quats[7:], asset.motion.quats[2])
    np.testing.assert_array_equal(frame.opacities[7:], asset.motion.opacities[2])
    np.testing.assert_array_equal(frame.sh0[7:], asset.dynamic.sh0)
    parts = (asset.static.observed, asset.dynamic.observed)
    np.testing.assert_array_equal(frame.observed, np.concatenate(parts))


def test_between_frames_positions_mix_and_rotations_turn_evenly(make_asset: MakeAsset) -> None:
    asset = make_asset(dynamic=1, frames=2)
    quarter = np.array([np.cos(np.pi / 4), 0, 0, np.sin(np.pi / 4)])
    asset.motion.quats = np.array([[[1, 0, 0, 0]], [-quarter]], np.float32)
    third = asset.at(1 / 3)
    expected = asset.motion.means[0] * 2 / 3 + asset.motion.means[1] / 3
    np.testing.assert_allclose(third.means[7:], expected, atol=1e-6)
    angle = np.pi / 12  # half of a third of ninety degrees
    np.testing.assert_allclose(third.quats[7], [np.cos(angle), 0, 0, np.sin(angle)], atol=1e-6)


@pytest.mark.parametrize("frame", [-0.01, 3.01, float("nan")])
def test_a_frame_outside_the_clip_is_refused(asset: Asset, frame: float) -> None:
    with pytest.raises(AssetError, match=r"outside 0\.\.3"):
        asset.at(frame)


def test_rotations_are_stored_unit_length_with_signs_continuous_over_time(
    make_asset: MakeAsset, tmp_path: Path
) -> None:
    asset = make_asset(dynamic=1, frames=32)
    angles = np.linspace(0, 6 * np.pi, 32)
    signs = np.random.default_rng(0).choice([-2.0, 2.0], (32, 1))
    turning = np.stack([np.cos(angles / 2), angles * 0, angles * 0, np.sin(angles / 2)], -1)
    asset.motion.quats = (turning * signs)[:, None].astype(np.float32)
    write_asset(tmp_path / "a.ds4d", asset)
    quats = read_asset(tmp_path / "a.ds4d").motion.quats
    np.testing.assert_allclose(np.linalg.norm(quats, axis=-1), 1, atol=1e-6)
    assert ((quats[1:] * quats[:-1]).sum(-1) > 0).all()
    assert_same_rotations(quats[:, 0], turning)


def test_arrays_are_read_only_views_of_the_mapped_file(asset_file: Path) -> None:
    means = read_asset(asset_file, verify=False).motion.means
    base = means
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)
    assert base.filename == str(asset_file) or Path(base.filename) == asset_file
    with pytest.raises(ValueError, match="read-only"):
        means[0] = 0


def test_an_asset_can_replace_the_file_it_is_mapped_from(asset_file: Path) -> None:
    asset = read_asset(asset_file)
    means = asset.motion.means.copy()
    write_asset(asset_file, asset)
    np.testing.assert_array_equal(read_asset(asset_file).motion.means, means)


def test_a_failed_write_keeps_the_old_file_and_leaves_no_part(
    make_asset: MakeAsset, asset_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = asset_file.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(AssetError, match="No space left on device"):
        write_asset(asset_file, make_asset(static=1))
    assert asset_file.read_bytes() == before
    assert [path.name for path in asset_file.parent.iterdir()] == [asset_file.name]


def test_the_official_safetensors_library_reads_the_same_arrays(asset_file: Path) -> None:
    numpy_loader = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    asset = read_asset(asset_file)
    arrays = numpy_loader.load_file(asset_file)
    np.testing.assert_array_equal(arrays["motion.means"], asset.motion.means)
    np.testing.assert_array_equal(arrays["static.shN"], asset.static.shN)
    assert arrays["cameras.sizes"].tolist() == [[64, 48], [64, 48]]


def test_a_file_saved_again_by_the_official_library_stays_valid(
    asset_file: Path, tmp_path: Path
) -> None:
    safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed")
    numpy_saver = pytest.importorskip("safetensors.numpy")
    with safetensors.safe_open(asset_file, "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    numpy_saver.save_file(arrays, tmp_path / "again.ds4d", metadata)
    found = read_asset(tmp_path / "again.ds4d")
    np.testing.assert_array_equal(found.motion.means, arrays["motion.means"])


def test_the_documented_numpy_reader_reads_every_array(asset: Asset, asset_file: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "asset-format.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    namespace: dict = {}
    exec(code, namespace)
    metadata, arrays = namespace["read"](asset_file)
    assert metadata["format"] == "ds4d"
    np.testing.assert_array_equal(arrays["motion.means"], asset.motion.means)
    np.testing.assert_array_equal(arrays["cameras.Ks"][0], asset.cameras[0].K)


def test_the_format_page_names_every_array_and_metadata_key(
    make_asset: MakeAsset, tmp_path: Path
) -> None:
    asset = make_asset()
    asset.motion.sh0 = np.zeros((4, 5, 1, 3), np.float32)
    asset_file = tmp_path / "a.ds4d"
    write_asset(asset_file, asset)
    page = (Path(__file__).parents[2] / "docs" / "asset-format.md").read_text(encoding="utf-8")
    header = read_header(asset_file)
    names = [name for name in header.entries if not name.startswith("dynamic.")]
    assert [name for name in [*names, *header.metadata] if f"`{name}`" not in page] == []


def test_a_value_that_is_not_finite_is_refused(asset: Asset, tmp_path: Path) -> None:
    asset.motion.means[1, 0, 0] = np.nan
    with pytest.raises(AssetError, match=r"motion\.means holds a value that is not finite"):
        write_asset(tmp_path / "a.ds4d", asset)
    assert not list(tmp_path.iterdir())


def test_a_provenance_that_is_not_json_is_refused(make_asset: MakeAsset, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="provenance"):
        write_asset(tmp_path / "a.ds4d", make_asset(provenance={"a": object()}))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"times": np.linspace(0, 1, 3)}, "4 frames but there are 3 times"),
        ({"times": np.array([0, 0.5, 0.6, 1])}, "evenly"),
        ({"fps": 0.0}, "frame rate"),
        ({"blend": "cmyk"}, "cmyk"),
        (
            {"motion": Motion(np.zeros((4, 2, 3)), np.ones((4, 2, 4)), np.ones((4, 2, 3)))},
            "moves 2",
        ),
    ],
)
def test_contradicting_parts_are_refused(
    make_asset: MakeAsset, overrides: dict, message: str
) -> None:
    with pytest.raises(AssetError, match=message):
        make_asset(**overrides)


def test_gaussians_with_disagreeing_shapes_are_refused() -> None:
    with pytest.raises(
        AssetError, match=r"Gaussians\.scales has shape \[2, 3\], expected \[1, 3\]"
    ):
        Gaussians(
            means=np.zeros((1, 3)),
            quats=np.ones((1, 4)),
            scales=np.ones((2, 3)),
            opacities=np.ones(1),
            sh0=np.zeros((1, 1, 3)),
            shN=np.zeros((1, 0, 3)),
            dynamic_scores=np.zeros(1),
        )
