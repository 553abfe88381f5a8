# SPDX-License-Identifier: GPL-3.0-or-later
"""From an artist's settings to the words that the engine is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import pytest

from ds4d_blender.source import chosen, request, sentence
from ds4d_engine.seam import ConfigError, DatasetError

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk.mp4").write_bytes(b"video")
    return tmp_path


def asked(folder: Path, **given: Any) -> Any:
    """Return the request for a clip with settings changed."""
    return request(chosen(bpy.context.scene.ds4d, {"clip": str(folder / "walk.mp4"), **given}))


def test_a_clip_alone_needs_no_more_words_than_its_quality(folder: Path) -> None:
    made = asked(folder)
    assert made.words == ("--preset", "draft")
    assert made.source == str(folder / "walk.mp4") and made.inputs == (made.source,)
    assert made.output == str(folder / "walk.ds4d") and made.name == "walk"
    assert made.one_view and not made.captures


def test_frames_masks_and_advanced_settings_become_words(folder: Path) -> None:
    made = asked(
        folder,
        frame_start=3,
        frame_end=40,
        stride=2,
        mask="GRABCUT",
        preset="HIGH",
        device="CPU",
        minutes=1.5,
        splats=9000,
        pixels=200,
        thickness=0.4,
        back="MIRROR",
    )
    reading = "--start 3 --end 40 --stride 2 --matte grabcut"
    assert " ".join(made.reading) == reading
    assert " ".join(made.words) == (
        f"{reading} --preset high --backend cpu --seconds 90 --max-gaussians 9000 --size 200 "
        "--thickness 0.4 --back mirror"
    )


def test_a_dataset_takes_no_word_that_only_a_clip_has(folder: Path) -> None:
    made = asked(
        folder,
        source="DATASET",
        dataset=str(folder / "walk"),
        mask="PLAIN",
        pixels=100,
        thickness=0.4,
        back="RIM",
    )
    assert made.words == ("--preset", "draft", "--max-side", "100")
    assert not made.one_view


def test_a_folder_of_masks_is_an_input_too(folder: Path) -> None:
    made = asked(folder, mask="FOLDER", masks=str(folder / "walk") + "/")
    assert made.inputs == (str(folder / "walk.mp4"), str(folder / "walk"))
    assert made.reading == ("--masks", str(folder / "walk"))


def test_other_settings_come_from_a_file(folder: Path) -> None:
    config = folder / "more.toml"
    config.write_text(
        "knots = 12\ngate = false\nlr_means = 1e-3\n[options]\nsource_fps = 30\nno_gate = true\n"
    )
    words = asked(folder, config=str(config)).words[2:]
    assert " ".join(words) == (
        "--set knots=12 --set gate=false --set lr_means=0.001 --source-fps 30 --no-gate"
    )


def test_an_output_of_its_own_is_found_where_none_is_given(folder: Path) -> None:
    (folder / "walk.ds4d").write_text("an older one")
    settings = chosen(bpy.context.scene.ds4d, {"clip": str(folder / "walk.mp4")})
    made = request(settings, taken=[str(folder / "walk-2.ds4d")])
    assert made.output == str(folder / "walk-3.ds4d")


def test_an_output_gets_the_ending_it_needs(folder: Path) -> None:
    assert asked(folder, output=str(folder / "hero.v2")).output == str(folder / "hero.v2.ds4d")


def test_a_scene_is_captured_beside_its_output(folder: Path) -> None:
    made = asked(folder, source="SCENE", output=str(folder / "hero.ds4d"))
    assert made.captures and made.source == str(folder / "hero.capture")
    assert made.words == ("--preset", "draft")


@pytest.mark.parametrize(
    ("given", "kind", "part"),
    [
        ({"clip": ""}, DatasetError, "Choose a video"),
        ({"clip": "/nowhere/x.mp4"}, DatasetError, "/nowhere/x.mp4"),
        ({"source": "DATASET"}, DatasetError, "several cameras"),
        ({"frame_start": 9, "frame_end": 4}, ConfigError, "(4) before they begin (9)"),
        ({"mask": "FOLDER"}, DatasetError, "mask pictures"),
        ({"output": "/nowhere/x.ds4d"}, ConfigError, "/nowhere"),
        ({"source": "SCENE", "subject": "OBJECT"}, DatasetError, "object to capture"),
        ({"source": "SCENE", "subject": "COLLECTION"}, DatasetError, "collection to capture"),
        ({"source": "SCENE"}, ConfigError, "save the file first"),
        ({"config": "/nowhere/x.toml"}, ConfigError, "cannot be read"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    folder: Path, given: dict[str, Any], kind: type[Exception], part: str
) -> None:
    with pytest.raises(kind) as raised:
        asked(folder, **given)
    message = str(raised.value)
    assert part in message and message.endswith(".") and "\n" not in message


def test_a_file_of_settings_that_is_no_toml_is_named(folder: Path) -> None:
    (folder / "bad.toml").write_text("knots 12")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        asked(folder, config=str(folder / "bad.toml"))


def test_what_will_happen_is_said_plainly() -> None:
    settings = bpy.context.scene.ds4d
    assert "back is invented" in sentence(settings)
    settings.source = "SCENE"
    assert "12 cameras" in sentence(settings)
