# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ds4d_engine.seam import (
    Command,
    Do,
    EngineError,
    command_from_json_line,
    command_to_json_line,
    common_version,
)


@pytest.mark.parametrize("do", list(Do))
def test_every_command_survives_its_json_line(do: Do) -> None:
    line = command_to_json_line(Command(do))
    assert "\n" not in line
    assert command_from_json_line(line) == Command(do)


@pytest.mark.parametrize("line", ["", "3", "{}", '{"do": "dance", "ds4d_command": 1}'])
def test_what_is_no_command_is_an_engine_error(line: str) -> None:
    with pytest.raises(EngineError, match="told something unknown"):
        command_from_json_line(line)


def test_the_version_agreed_on_is_one_that_was_offered() -> None:
    assert common_version((7, 1)) == 1
    assert common_version((7,)) is None
