# SPDX-License-Identifier: GPL-3.0-or-later
"""Make command-line options of a config dataclass's fields, and read values for them."""

from __future__ import annotations

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from ..seam.errors import ConfigError
from .arguments import near_names

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def add_options(
    parser: argparse.ArgumentParser, config: type[Any], *, skip: Sequence[str] = ()
) -> None:
    """Add one option per field, in order; its help is the field's `help` metadata and default."""
    group = parser.add_argument_group("settings", "A preset may start from other values.")
    kinds = field_types(config)
    for field in dataclasses.fields(config):
        if field.name in skip:
            continue
        choices = field.metadata.get("choices")
        text = field.metadata.get("help", field.name.replace("_", " ")).replace("%", "%%")
        options: dict[str, Any] = {
            "dest": _destination(field.name),
            "help": f"{text} (default: {_shown(field.default)})",
        }
        if kinds[field.name] is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["metavar"] = "|".join(choices) if choices else _kind_name(kinds[field.name])
        group.add_argument(f"--{field.name.replace('_', '-')}", **options)


def given(
    arguments: argparse.Namespace, config: type[Any], *, skip: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the settings given as options or by `--set`, converted to their fields' types.

    Raises:
        ConfigError: a name is unknown or given twice with different values, or a value does not
            fit its field.
    """
    kinds = {name: kind for name, kind in field_types(config).items() if name not in skip}
    values: dict[str, Any] = {}
    for name, kind in kinds.items():
        value = getattr(arguments, _destination(name))
        if value is not None:
            values[name] = value if isinstance(value, bool) else convert(name, value, kind)
    for word in arguments.set:
        name, value = _read_assignment(word, kinds)
        if values.setdefault(name, value) != value:
            raise ConfigError(f"{name} is given twice, as {values[name]} and as {value}; drop one.")
    return values


def field_types(config: type[Any]) -> dict[str, Any]:
    """Return the type of every field of a dataclass, by name."""
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config)}


def convert(name: str, text: str, kind: Any) -> Any:
    """Return text as a value of a field's type.

    Raises:
        ConfigError: it is none.
    """
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        return None if text.lower() == "none" else convert(name, text, members[0])
    if origin is typing.Literal:
        return text  # the dataclass itself refuses what is not among its choices
    if origin is tuple:
        member = typing.get_args(kind)[0]
        return tuple(convert(name, part, member) for part in text.split(",") if part)
    try:
        return _scalar(text, kind)
    except ValueError:
        raise ConfigError(f"{name} must be {_kind_phrase(kind)}, not {text!r}.") from None


def _scalar(text: str, kind: Any) -> Any:
    if kind is bool:
        lowered = text.lower()
        if lowered not in _TRUE + _FALSE:
            raise ValueError(text)
        return lowered in _TRUE
    if kind is int:
        number = float(text)
        if not number.is_integer():
            raise ValueError(text)
        return int(number)
    if kind is float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    return kind(text)


def _read_assignment(word: str, kinds: Mapping[str, Any]) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    name = key.strip().replace("-", "_")
    if not equals:
        raise ConfigError(f"--set takes KEY=VALUE, not {word!r}.")
    if name not in kinds:
        raise ConfigError(f"There is no setting {key!r}; {near_names(name, [*kinds], 'ds4d fit')}")
    return name, convert(name, text.strip(), kinds[name])


def _destination(name: str) -> str:
    # The command has arguments of its own, which a setting of the same name must not overwrite.
    return f"setting_{name}"


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:g}" if isinstance(default, float) else str(default) or "none"


def _kind_name(kind: Any) -> str:
    return {int: "N", float: "X"}.get(kind, "VALUE")


def _kind_phrase(kind: Any) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, str(kind))
