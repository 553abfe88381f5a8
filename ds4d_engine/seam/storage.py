# SPDX-License-Identifier: GPL-3.0-or-later
"""The container under an asset: a checksummed safetensors file, written atomically, memory-mapped.

Layout: 8 bytes little-endian header length, a JSON header padded with spaces to a multiple of
8 bytes, then the raw arrays without holes (docs/asset-format.md).
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import AssetError

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
}
MAX_HEADER_BYTES = 100_000_000  # the safetensors format's own limit


@dataclass(frozen=True)
class Header:
    """The parsed header: text metadata, the raw array entries, and where the data starts."""

    metadata: dict[str, str]
    entries: dict[str, dict[str, Any]]
    data_start: int


def write_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write arrays and metadata to a file that either appears whole or not at all.

    Adds the metadata entries ``checksums`` and ``header_checksum``.
    """
    arrays = {name: _storable(name, array) for name, array in arrays.items()}
    # Wide types first keeps every array aligned without holes, as safetensors demands.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    metadata = dict(metadata)
    metadata["checksums"] = json.dumps({name: _crc(arrays[name]) for name in order})
    header: dict[str, Any] = {}
    offset = 0
    for name in order:
        array = arrays[name]
        end = offset + array.nbytes
        header[name] = {
            "dtype": _dtype_name(array.dtype),
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    metadata["header_checksum"] = _header_crc(metadata, header)
    text = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    _write_atomically(path, [len(text).to_bytes(8, "little"), text, *(arrays[n] for n in order)])


def read_header(path: Path) -> Header:
    """Read the header only; raise AssetError when this is no whole safetensors header."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
            length = int.from_bytes(start[:8], "little")
            looks_right = len(start) == 9 and start[8:] == b"{" and length <= MAX_HEADER_BYTES
            text = start[8:] + file.read(length - 1) if looks_right else b""
    except FileNotFoundError:
        raise AssetError(f"There is no asset at {path}; check the path.") from None
    except OSError as error:
        raise AssetError(f"Cannot read {path}: {error.strerror or error}.") from None
    if not looks_right:
        raise AssetError(f"{path} is not a DS4D asset; choose a .ds4d file written by DS4D.")
    if 8 + length > size:
        raise AssetError(f"{path} is truncated inside its header; copy or export it again.")
    try:
        entries = json.loads(text)
        metadata = entries.pop("__metadata__", {})
    except (ValueError, AttributeError, RecursionError):
        raise _corrupt(path, "its header is not valid JSON") from None
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _corrupt(path, "its metadata is not text")
    return Header(metadata, entries, 8 + length)


def map_arrays(path: Path, header: Header) -> dict[str, NDArray[Any]]:
    """Memory-map every array read-only; nothing is read from disk before it is used."""
    layout = {name: _layout(path, name, entry) for name, entry in header.entries.items()}
    end = 0
    for name, (_, _, begin, stop) in sorted(layout.items(), key=lambda item: item[1][2:]):
        if begin != end:
            raise _corrupt(path, f"array {name} does not start where the one before it ends")
        end = stop
    size = path.stat().st_size
    if size < header.data_start + end:
        missing = header.data_start + end - size
        raise AssetError(f"{path} is truncated, {missing} bytes are missing; copy it again.")
    if size > header.data_start + end:
        raise _corrupt(path, "bytes follow the last array")
    try:
        raw = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    except OSError as error:
        raise AssetError(f"Cannot map {path} into memory: {error.strerror or error}.") from None
    data = raw[header.data_start :]
    return {
        name: data[begin:stop].view(dtype).reshape(shape)
        for name, (dtype, shape, begin, stop) in layout.items()
    }


def verify_arrays(path: Path, header: Header, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Compare header and arrays with their checksums; raise AssetError naming the first damage."""
    if header.metadata.get("header_checksum") != _header_crc(header.metadata, header.entries):
        raise _corrupt(path, "its header fails its checksum")
    try:
        checksums = dict(json.loads(header.metadata["checksums"]))
    except (KeyError, TypeError, ValueError):
        raise _corrupt(path, "its checksums are unreadable") from None
    for name, array in arrays.items():
        if checksums.get(name) != _crc(array):
            raise _corrupt(path, f"array {name} fails its checksum")


def _storable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    if array.dtype not in DTYPES.values():
        raise AssetError(f"Array {name} has type {array.dtype}, which an asset cannot hold.")
    return array


def _dtype_name(dtype: np.dtype[Any]) -> str:
    return next(name for name, known in DTYPES.items() if known == dtype)


def _crc(array: NDArray[Any]) -> str:
    return f"{zlib.crc32(array.reshape(-1).view(np.uint8).data):08x}"


def _header_crc(metadata: Mapping[str, str], entries: Mapping[str, Any]) -> str:
    """Checksum what the header says, not how its JSON is spelled or where arrays lie."""
    kept = {key: value for key, value in metadata.items() if key != "header_checksum"}
    arrays = {name: [entry["dtype"], entry["shape"]] for name, entry in entries.items()}
    text = json.dumps([kept, arrays], sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(text.encode()):08x}"


def _layout(path: Path, name: str, entry: Any) -> tuple[np.dtype[Any], list[int], int, int]:
    try:
        dtype: np.dtype[Any] = DTYPES[entry["dtype"]]
        shape = [int(side) for side in entry["shape"]]
        begin, stop = (int(offset) for offset in entry["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise _corrupt(path, f"the header entry of array {name} is malformed") from None
    if min([begin, *shape]) < 0 or stop - begin != math.prod(shape) * dtype.itemsize:
        raise _corrupt(path, f"array {name} does not fill its place")
    return dtype, shape, begin, stop


def _corrupt(path: Path, why: str) -> AssetError:
    return AssetError(f"{path} is corrupt: {why}; copy or export it again.")


def _write_atomically(path: Path, chunks: list[Any]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            for chunk in chunks:
                file.write(chunk if isinstance(chunk, bytes) else chunk.reshape(-1).view(np.uint8))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise AssetError(f"Cannot write {path}: {error.strerror or error}.") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; Windows has no such call."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
