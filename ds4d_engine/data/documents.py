# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON documents written by others: every access that can fail names the file and the key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..seam.errors import DatasetError


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.") from None
    except OSError as error:
        raise DatasetError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path} must hold a JSON object.")
    return content


class Record:
    """One JSON object together with where it stands, for its error messages."""

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, Mapping):
            raise DatasetError(f"{where} must be a JSON object.")
        self.content = content
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def value(self, key: str) -> Any:
        """Return what stands under a key that must exist."""
        if key not in self.content:
            raise DatasetError(f"{self.where} has no {key!r}.")
        return self.content[key]

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self.value(key)
        if not isinstance(value, str) or not value:
            raise DatasetError(f"{key!r} of {self.where} must be a text.")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number; a missing key gives the default, if there is one."""
        if default is not None and key not in self.content:
            return default
        value = self.value(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise DatasetError(f"{key!r} of {self.where} must be a number.")
        return float(value)

    def positive(self, key: str, default: float | None = None) -> float:
        """Return a number above zero."""
        value = self.number(key, default)
        if value <= 0:
            raise DatasetError(f"{key!r} of {self.where} must be above zero, it is {value:g}.")
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a whole number."""
        value = self.number(key, default)
        if value != int(value):
            raise DatasetError(f"{key!r} of {self.where} must be a whole number, it is {value:g}.")
        return int(value)

    def items(self, key: str) -> list[Any]:
        """Return a list that is not empty."""
        value = self.value(key)
        if not isinstance(value, list) or not value:
            raise DatasetError(f"{key!r} of {self.where} must be a list that is not empty.")
        return value

    def array(self, key: str, *shapes: tuple[int, ...]) -> NDArray[np.float64]:
        """Return an array of finite numbers in one of the shapes."""
        try:
            array = np.array(self.value(key), dtype=np.float64)
        except (TypeError, ValueError):
            array = np.array(np.nan)
        if array.shape not in shapes or not np.isfinite(array).all():
            allowed = " or ".join(" x ".join(map(str, shape)) for shape in shapes)
            raise DatasetError(f"{key!r} of {self.where} must hold {allowed} numbers.")
        return array
