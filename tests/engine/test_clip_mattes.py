# SPDX-License-Identifier: GPL-3.0-or-later
"""The clip's own alpha, masks that are given, real backgrounds, and a model that the user has."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from ds4d_engine.clip import ClipOptions, load_clip
from ds4d_engine.clip.steady import steadied
from ds4d_engine.seam import DatasetError, EngineError, Progress
from tests.engine.clip_footage import (
    COUNT,
    HEIGHT,
    RED,
    WIDTH,
    Pixels,
    disc_alpha,
    moving_alphas,
    over,
    overlap,
    with_alpha,
    write_mp4,
    write_pictures,
)
from tests.engine.test_clip_plain import found

WHITE = (255, 255, 255)


def kept_background(alpha: Pixels) -> Pixels:
    """A picture whose background is still there under alpha 0, and mixed into the edge."""
    rng = np.random.default_rng(3)
    room = cv2.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), (WIDTH, HEIGHT))
    room[..., 1] = 255  # green, so that a fringe shows
    return np.dstack([over(alpha, RED, room), np.where(alpha >= 128, 255, 0).astype(np.uint8)])


def test_background_kept_under_alpha_never_shows(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "f", [kept_background(a) for a in moving_alphas()])
    images = load_clip(folder, ClipOptions(size=64)).images[0]
    visible = images[images[..., 3] > 0].astype(int)
    assert np.abs(visible[:, :3] - RED).max() <= 3
    assert (images[images[..., 3] == 0] == 0).all()


def test_clean_edges_keep_their_own_colours(tmp_path: Path) -> None:
    alphas = moving_alphas(radius=40, step=1)
    frames = []
    for t, alpha in enumerate(alphas):
        picture = with_alpha(alpha, (10, 10, 200))
        picture[disc_alpha((55 + t, 60), 36) == 255, :3] = RED
        frames.append(picture)
    images = load_clip(write_pictures(tmp_path / "f", frames), ClipOptions(size=64)).images[0]
    edge = images[(images[..., 3] > 40) & (images[..., 3] < 200)].astype(int)
    assert (edge[:, 2] > 120).mean() > 0.9  # blue, as the file says


def test_an_alpha_whose_top_is_253_becomes_opaque(tmp_path: Path) -> None:
    alphas = [np.where(a >= 128, 253, 0).astype(np.uint8) for a in moving_alphas()]
    folder = write_pictures(tmp_path / "f", [with_alpha(a) for a in alphas])
    matte, footage = found(folder)
    assert matte.name == "alpha"
    assert matte.masks.max() == 255
    assert {int(v) for _, a, _ in matte.cutouts(footage) for v in np.unique(a)} == {0, 255}


def test_translucent_objects_stay_translucent(tmp_path: Path) -> None:
    frames = [with_alpha((a // 2).astype(np.uint8)) for a in moving_alphas()]
    images = load_clip(write_pictures(tmp_path / "f", frames), ClipOptions(size=64)).images[0]
    assert abs(int(images[..., 3].max()) - 127) <= 2


def test_an_alpha_that_is_opaque_everywhere_is_no_mask(tmp_path: Path) -> None:
    frames = [
        np.dstack([over(a, RED, WHITE), np.full(a.shape, 255, np.uint8)]) for a in moving_alphas()
    ]
    folder = write_pictures(tmp_path / "f", frames)
    assert found(folder)[0].name == "plain"
    with pytest.raises(DatasetError, match="opaque everywhere"):
        found(folder, ClipOptions(matte="alpha"))


def test_a_clip_that_is_transparent_everywhere_is_refused(tmp_path: Path) -> None:
    frames = [with_alpha(np.zeros((HEIGHT, WIDTH), np.uint8))] * 3
    with pytest.raises(DatasetError, match="transparent everywhere"):
        found(write_pictures(tmp_path / "f", frames))


def test_an_object_may_appear_late_where_alpha_says_so(tmp_path: Path) -> None:
    frames = [with_alpha(np.zeros((HEIGHT, WIDTH), np.uint8))]
    frames += [with_alpha(a) for a in moving_alphas()]
    dataset = load_clip(write_pictures(tmp_path / "f", frames), ClipOptions(size=64))
    assert (dataset.images[0][..., 3].max(axis=(1, 2)) > 0).tolist() == [False] + [True] * COUNT


def given_masks(tmp_path: Path, kind: str, alphas: list[Pixels]) -> Path:
    if kind == "video":
        return write_mp4(tmp_path / "m.mp4", [np.repeat(a[..., None], 3, 2) for a in alphas])
    if kind == "labels":
        return write_pictures(tmp_path / "m", [(a >= 128).astype(np.uint8) for a in alphas])
    return write_pictures(tmp_path / "m", alphas)


@pytest.mark.parametrize("kind", ["pictures", "video", "labels"])
def test_given_masks_win_over_what_could_be_found(kind: str, tmp_path: Path) -> None:
    alphas = moving_alphas()
    frames = [over(disc_alpha((80, 60), 55), (0, 80, 0), WHITE) for _ in alphas]
    folder = write_pictures(tmp_path / "f", frames)
    masks = given_masks(tmp_path, kind, alphas)
    matte, footage = found(folder, ClipOptions(masks=masks, start=1, stride=2))
    assert matte.name == "masks" and footage.indices == [1, 3, 5]
    for (_, alpha, _), expected in zip(matte.cutouts(footage), alphas[1::2], strict=True):
        assert overlap(alpha, expected) > 0.98


def test_masks_named_by_frame_need_only_hold_the_chosen_ones(tmp_path: Path) -> None:
    alphas = moving_alphas(count=12)
    folder = write_pictures(tmp_path / "f", [over(a, RED, WHITE) for a in alphas])
    masks = tmp_path / "m"
    masks.mkdir()
    for index in (2, 5, 8, 11):
        cv2.imwrite(str(masks / f"{index:04d}.png"), alphas[index])
    cv2.imwrite(str(masks / "contact-sheet.png"), alphas[0])
    matte, footage = found(folder, ClipOptions(masks=masks, start=2, stride=3))
    for (_, alpha, _), index in zip(matte.cutouts(footage), (2, 5, 8, 11), strict=True):
        np.testing.assert_array_equal(alpha, alphas[index])
    with pytest.raises(DatasetError, match="no mask for frame 3"):
        found(folder, ClipOptions(masks=masks, start=2))


def test_masks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    alphas = moving_alphas()
    folder = write_pictures(tmp_path / "f", [over(a, RED, WHITE) for a in alphas])

    def refusal(masks: Path) -> str:
        with pytest.raises(DatasetError) as caught:
            found(folder, ClipOptions(masks=masks))
        return str(caught.value)

    assert "no masks at" in refusal(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in refusal(tmp_path / "empty")
    named = write_pictures(tmp_path / "named", alphas[:3], "mask_of_{}_a.png")
    assert "3 masks but the clip has 6 frames" in refusal(named)
    small = write_pictures(tmp_path / "small", [a[:60, :80] for a in alphas])
    assert "80 x 60 pixels, but the clip is 160 x 120" in refusal(small)
    black = write_pictures(tmp_path / "black", [np.zeros_like(a) for a in alphas])
    assert "masks without an object" in refusal(black)
    white = write_pictures(tmp_path / "white", [np.full_like(a, 255) for a in alphas])
    assert "fills the whole picture" in refusal(white)


def room(width: int = 240, height: int = 180) -> Pixels:
    """A cluttered still background."""
    rng = np.random.default_rng(7)
    coarse = cv2.resize(rng.integers(40, 220, (9, 12, 3), np.uint8), (width, height))
    fine = rng.integers(-20, 20, (height // 2, width // 2, 3))
    fine = cv2.resize(fine.astype(np.float32), (width, height))
    return np.clip(coarse + fine, 0, 255).astype(np.uint8)


def walking(count: int, **size: int) -> list[Pixels]:
    return [disc_alpha((60 + 6 * t, 90 + 8 * np.sin(t)), 28, **size) for t in range(count)]


def paint(alpha: Pixels, center: float) -> Pixels:
    """A blue and yellow object, shaded, so that it moves with its disc."""
    xs = np.arange(alpha.shape[1])[None, :, None] - center
    stripes = np.where(np.sin(xs / 4) > 0, (30, 60, 230), (240, 220, 20))
    return np.broadcast_to(stripes, (*alpha.shape, 3))


def test_what_moves_before_a_real_background_is_found(tmp_path: Path) -> None:
    size = {"width": 240, "height": 180}
    alphas = walking(20, **size)
    frames = [over(a, paint(a, 60 + 6 * t), room()) for t, a in enumerate(alphas)]
    matte, footage = found(write_mp4(tmp_path / "clip.mp4", frames))
    assert matte.name == "grabcut"
    scores = [overlap(a, b) for (_, a, _), b in zip(matte.cutouts(footage), alphas, strict=True)]
    assert min(scores) > 0.85 and np.mean(scores) > 0.92


def test_a_cameras_own_motion_is_not_taken_for_the_objects(tmp_path: Path) -> None:
    size = {"width": 240, "height": 180}
    wide = room(320, 240)
    alphas = walking(20, **size)
    frames = []
    for t, alpha in enumerate(alphas):
        left, top = round(30 + 25 * np.sin(t / 4)), round(25 + 20 * np.cos(t / 5))
        view = wide[top : top + 180, left : left + 240]
        frames.append(over(alpha, paint(alpha, 60 + 6 * t), view))
    matte, footage = found(write_mp4(tmp_path / "clip.mp4", frames))
    assert matte.name == "grabcut"
    scores = [overlap(a, b) for (_, a, _), b in zip(matte.cutouts(footage), alphas, strict=True)]
    assert np.median(scores) > 0.8


def test_a_real_background_where_nothing_moves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nor anything that moves; give --masks"):
        found(write_mp4(tmp_path / "clip.mp4", [room()] * 6))


def test_masks_that_jump_take_their_neighbours_and_lasting_changes_stay() -> None:
    masks = np.stack(moving_alphas(count=15, step=1))
    masks[5], masks[9] = 0, 255
    result, replaced = steadied(masks)
    assert replaced == [5, 9]
    truth = moving_alphas(count=15, step=1)
    assert overlap(result[5], truth[5]) > 0.9 and overlap(result[9], truth[9]) > 0.9
    grown = np.stack([disc_alpha((80, 60), 15)] * 6 + [disc_alpha((80, 60), 45)] * 6)
    assert steadied(grown)[1] == []


def test_rembg_runs_only_with_a_model_that_exists(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "f", [room()] * 3)
    options = ClipOptions(matte="rembg", rembg_model=tmp_path / "missing.onnx")
    with pytest.raises(EngineError, match=r"no model .*missing.onnx"):
        found(folder, options)


def test_rembg_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "u2net.onnx").write_bytes(b"")
    folder = write_pictures(tmp_path / "f", [room()] * 3)
    with pytest.raises(EngineError, match="pip install"):
        found(folder, ClipOptions(rembg_model=tmp_path / "u2net.onnx"))


def test_rembgs_masks_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = disc_alpha((120, 90), 40, 240, 180)
    rembg = types.ModuleType("rembg")
    loaded: list[str] = []

    def new_session(name: str, model_path: str) -> str:
        loaded.append(f"{name} {Path(model_path).name}")
        return "session"

    def remove(rgb: Pixels, session: str, only_mask: bool) -> Pixels:
        assert session == "session" and only_mask and rgb.shape == (180, 240, 3)
        return alpha

    rembg.new_session, rembg.remove = new_session, remove  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rembg", rembg)
    monkeypatch.setitem(sys.modules, "onnxruntime", types.ModuleType("onnxruntime"))
    (tmp_path / "u2net.onnx").write_bytes(b"")
    folder = write_pictures(tmp_path / "f", [room()] * 3)
    events: list[Progress] = []
    dataset = load_clip(folder, ClipOptions(rembg_model=tmp_path / "u2net.onnx"), events.append)
    assert loaded == ["u2net_custom u2net.onnx"]
    assert any("rembg" in event.message for event in events)
    assert dataset.images[0][..., 3].max() == 255
