# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way a file can be wrong gives one AssetError of one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ds4d_engine.seam import AssetError, read_asset
from ds4d_engine.seam.storage import read_header, write_arrays


def sentence(path: Path) -> str:
    with pytest.raises(AssetError) as caught:
        read_asset(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


def rewrite_header(path: Path, old: bytes, new: bytes) -> None:
    assert len(old) == len(new)
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "There is no asset at" in sentence(tmp_path / "none.ds4d")


def test_a_folder_is_no_asset(tmp_path: Path) -> None:
    assert "Cannot read" in sentence(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"ply\n", b"\x89PNG\r\n\x1a\n" + bytes(100), b"\x08" + bytes(40)]
)
def test_a_foreign_file_is_recognised(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.ds4d"
    path.write_bytes(content)
    assert "is not a DS4D asset" in sentence(path)


def test_another_safetensors_file_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "weights.ds4d"
    write_arrays(path, {"weight": np.zeros(3, np.float32)}, {})
    assert "safetensors file but not a DS4D asset" in sentence(path)


def test_a_file_of_a_newer_version_asks_for_an_update(asset_file: Path) -> None:
    rewrite_header(asset_file, b'"version":"1"', b'"version":"7"')
    assert "newer DS4D (asset version 7, this one reads up to 2); update" in sentence(asset_file)


def test_truncation_anywhere_is_found(asset_file: Path) -> None:
    content = asset_file.read_bytes()
    data_start = read_header(asset_file).data_start
    for size in (20, data_start - 1, data_start, data_start + 100, len(content) - 1):
        asset_file.write_bytes(content[:size])
        assert "truncated" in sentence(asset_file)


def test_one_flipped_bit_is_found_in_every_part_of_the_file(asset_file: Path) -> None:
    content = asset_file.read_bytes()
    data_start = read_header(asset_file).data_start
    padding = content[:data_start].rstrip(b" ")
    places = [*range(8, len(padding), 13), *range(data_start, len(content), 37)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1
        asset_file.write_bytes(bytes(damaged))
        assert sentence(asset_file)


def test_damaged_data_names_the_array(asset_file: Path) -> None:
    entry = read_header(asset_file).entries["motion.scales"]
    content = bytearray(asset_file.read_bytes())
    content[read_header(asset_file).data_start + entry["data_offsets"][0]] ^= 0x10
    asset_file.write_bytes(bytes(content))
    assert "array motion.scales fails its checksum" in sentence(asset_file)
    assert read_asset(asset_file, verify=False).frame_count == 4


def test_a_changed_setting_in_the_header_is_found(asset_file: Path) -> None:
    rewrite_header(asset_file, b'"fps":"23.976"', b'"fps":"29.970"')
    assert "its header fails its checksum" in sentence(asset_file)


def test_bytes_after_the_last_array_are_found(asset_file: Path) -> None:
    asset_file.write_bytes(asset_file.read_bytes() + b"x")
    assert "bytes follow the last array" in sentence(asset_file)


@pytest.mark.parametrize("lost", ["motion.means", "cameras.Ks", "times"])
def test_a_missing_array_is_named(asset_file: Path, lost: str) -> None:
    from ds4d_engine.seam.storage import map_arrays

    header = read_header(asset_file)
    arrays = {n: a.copy() for n, a in map_arrays(asset_file, header).items() if n != lost}
    write_arrays(asset_file, arrays, header.metadata)
    assert lost in sentence(asset_file)


@pytest.mark.parametrize("lost", ["fps", "camera_names", "provenance", "version", "axes"])
def test_a_missing_metadata_key_is_found(asset_file: Path, lost: str) -> None:
    from ds4d_engine.seam.storage import map_arrays

    header = read_header(asset_file)
    arrays = {n: a.copy() for n, a in map_arrays(asset_file, header).items()}
    metadata = {key: value for key, value in header.metadata.items() if key != lost}
    write_arrays(asset_file, arrays, metadata)
    assert lost in sentence(asset_file)


def test_a_header_that_is_not_an_object_of_arrays_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "bad.ds4d"
    metadata = {"format": "ds4d", "version": "1"}
    for entry in ({"dtype": "F32"}, 3, {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}):
        text = json.dumps({"__metadata__": metadata, "times": entry}).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
        assert "array times" in sentence(path)
