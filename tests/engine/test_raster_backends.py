# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing a back end, refusing bad input, threads, compiling ahead, and gsplat's conventions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from ds4d_engine import raster
from ds4d_engine.raster import (
    backends,
    choose_backend,
    cuda,
    interface,
    oracle,
    rasterize,
    set_threads,
    thread_count,
    warm_up,
)
from ds4d_engine.raster.scene import DeviceView, Splats, View
from ds4d_engine.seam.errors import EngineError
from ds4d_engine.seam.events import Progress
from tests.engine.raster_scenes import SplatScene, random_scene


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = thread_count()
    yield set_threads
    set_threads(before)


def _everything(scene: SplatScene) -> list[Tensor]:
    splats = scene.splats(torch.float32)
    render = rasterize(*splats, *scene.camera, backend="cpu", depth=True, absgrad=True)
    assert render.depths is not None
    (render.colors.square().sum() + render.alphas.sum() + render.depths.sum()).backward()
    assert render.absgrad is not None
    images = [render.colors, render.alphas, render.depths, render.means2d, render.radii]
    return [*images, render.absgrad, *(x.grad for x in splats if x.grad is not None)]


def test_any_number_of_threads_gives_the_same_bits(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for least in ("LEAST_SPLATS", "LEAST_GATHERED", "LEAST_TILES"):
        monkeypatch.setattr(f"ds4d_engine.raster.cpu.{least}", 1)
    scene = random_scene(1500, pixels=1.5)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(_everything(scene))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("count", [0, -1, 65])
def test_an_impossible_number_of_threads_is_refused(count: int) -> None:
    with pytest.raises(EngineError, match="1 to 64"):
        set_threads(count)


def test_a_failing_kernel_on_another_thread_is_heard(threads: Callable[[int], None]) -> None:
    from ds4d_engine.raster.threads import run_pieces

    def fail(start: int, stop: int) -> None:
        raise ValueError("broken kernel")

    threads(2)
    with pytest.raises(ValueError, match="broken kernel"):
        run_pieces(fail, 100, 1)


def test_the_fastest_back_end_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_backend(torch.device("cpu")) == "cpu"
    assert choose_backend(torch.device("cuda")) == "gsplat"
    monkeypatch.setattr(interface, "_has_numba", lambda: False)
    assert choose_backend(torch.device("cpu")) == "torch"


def test_every_back_end_is_listed_with_its_state() -> None:
    found = backends()
    assert set(found) == {"cpu", "gsplat", "torch"}
    assert found["cpu"] == found["torch"] == "ok"
    if not torch.cuda.is_available():
        assert "CUDA" in found["gsplat"]


def test_every_back_end_draws_without_gradients() -> None:
    scene = random_scene(10)
    for backend in ("auto", "cpu", "torch"):
        with torch.no_grad():
            render = rasterize(*scene.splats(torch.float32), *scene.camera, backend=backend)
        assert not render.colors.requires_grad


def test_the_cpu_back_end_without_numba_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = random_scene(3)
    rasterize(*scene.splats(torch.float32), *scene.camera, backend="cpu")
    monkeypatch.delattr(raster, "cpu")
    monkeypatch.setitem(sys.modules, "ds4d_engine.raster.cpu", None)
    with pytest.raises(EngineError, match="install it"):
        rasterize(*scene.splats(torch.float32), *scene.camera, backend="cpu")


def test_an_unknown_back_end_is_refused() -> None:
    scene = random_scene(3)
    with pytest.raises(EngineError, match='no back end "metal"'):
        rasterize(*scene.splats(torch.float32), *scene.camera, backend="metal")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_gsplat_without_a_device_names_the_remedy() -> None:
    scene = random_scene(3)
    with pytest.raises(EngineError, match='choose the "cpu" back end'):
        rasterize(*scene.splats(torch.float32), *scene.camera, backend="gsplat")


def test_shapes_that_do_not_fit_are_named() -> None:
    splats = random_scene(3).splats(torch.float32)
    splats[3] = splats[3][:, None]
    with pytest.raises(EngineError, match=r"opacities \[3, 1\]"):
        rasterize(*splats, *random_scene(3).camera)


def test_double_precision_is_refused_by_the_cpu_back_end() -> None:
    scene = random_scene(3)
    with pytest.raises(EngineError, match="float64"):
        rasterize(*scene.splats(torch.float64), *scene.camera, backend="cpu")


def test_an_empty_image_is_refused() -> None:
    scene = random_scene(3)
    with pytest.raises(EngineError, match="0 x 5"):
        rasterize(*scene.splats(torch.float32), scene.viewmat, scene.K, 0, 5)


def test_a_camera_that_wants_a_gradient_is_refused() -> None:
    scene = random_scene(3)
    viewmat = scene.viewmat.clone().requires_grad_()
    with pytest.raises(EngineError, match="no gradient"):
        rasterize(*scene.splats(torch.float32), viewmat, *scene.camera[1:])


def test_absgrad_is_refused_by_the_plain_back_end() -> None:
    scene = random_scene(3)
    with pytest.raises(EngineError, match="absgrad"):
        rasterize(*scene.splats(torch.float64), *scene.camera, backend="torch", absgrad=True)


def test_bands_of_rows_do_not_change_the_plain_image(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = random_scene(80)
    whole = rasterize(*scene.splats(torch.float64), *scene.camera, backend="torch", depth=True)
    monkeypatch.setattr(oracle, "PAIRS_PER_BAND", 500)
    bands = rasterize(*scene.splats(torch.float64), *scene.camera, backend="torch", depth=True)
    assert whole.depths is not None and bands.depths is not None
    torch.testing.assert_close(bands.colors, whole.colors, rtol=0, atol=1e-11)
    torch.testing.assert_close(bands.depths, whole.depths, rtol=0, atol=1e-11)


def test_compiling_ahead_reports_its_progress() -> None:
    events: list[Progress] = []
    assert warm_up(events.append) > 0
    assert [events[0].done, events[-1].done] == [0, events[-1].total]
    assert {event.stage for event in events} == {"compile"}


def test_projection_is_that_of_gsplat() -> None:
    pytest.importorskip("gsplat", reason="needs gsplat's plain reference code")
    from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci

    scene = random_scene(50)
    covariances, _ = _quat_scale_to_covar_preci(scene.quats, scene.scales, compute_preci=False)
    radii, means2d, depths, conics, _ = _fully_fused_projection(
        scene.means, covariances, scene.viewmat[None], scene.K[None], scene.width, scene.height
    )
    splats = Splats(scene.means, scene.quats, scene.scales, scene.opacities, scene.colors)
    view = View(scene.viewmat.numpy(), scene.K.numpy(), scene.width, scene.height)
    ours = oracle.project(splats, view)
    drawn = (ours[3] > 0).all(-1)
    assert drawn.any()
    assert ((radii[0] > 0).all(-1) | ~drawn).all()
    for mine, theirs in zip(ours[:3], (means2d[0], conics[0], depths[0]), strict=True):
        torch.testing.assert_close(mine[drawn], theirs[drawn], rtol=1e-6, atol=1e-9)
    # gsplat's reference does not narrow the extent by opacity, so that it may only be larger.
    assert (ours[3][drawn] <= radii[0][drawn]).all()


class StandInForGsplat:
    """Take gsplat 1.5.3's calls and draw with the oracle; check the shapes it would check."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.depths = torch.empty(0)
        self.radii = torch.empty(0)

    def fully_fused_projection(
        self, means: Tensor, covars: None, quats: Tensor, scales: Tensor, viewmats: Tensor,
        Ks: Tensor, width: int, height: int, **options: Any,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        assert viewmats.shape == (1, 4, 4) and Ks.shape == (1, 3, 3)
        assert set(options) == {"eps2d", "near_plane", "far_plane", "opacities"}
        opacities = options["opacities"]
        view = View(viewmats[0].numpy(), Ks[0].numpy(), width, height)
        splats = Splats(means, quats, scales, opacities, means)
        means2d, conics, self.depths, self.radii = oracle.project(splats, view)
        means2d = torch.where(self.radii > 0, means2d, torch.nan)  # as unwritten memory may be
        return self.radii[None], means2d[None], self.depths[None], conics[None], None  # type: ignore[return-value]

    def isect_tiles(
        self, means2d: Tensor, radii: Tensor, depths: Tensor, tile: int, across: int, down: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        assert across * tile >= self.view.width and down * tile >= self.view.height
        nothing = torch.zeros(0, dtype=torch.int64)
        return nothing, nothing, nothing

    def isect_offset_encode(self, keys: Tensor, images: int, across: int, down: int) -> Tensor:
        return torch.zeros(images, down, across, dtype=torch.int32)

    def rasterize_to_pixels(
        self, means2d: Tensor, conics: Tensor, colors: Tensor, opacities: Tensor, width: int,
        height: int, tile: int, offsets: Tensor, flat_ids: Tensor, *, absgrad: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        count = means2d.shape[1]
        assert means2d.shape == (1, count, 2) and conics.shape == (1, count, 3)
        assert colors.shape[:2] == opacities.shape == (1, count)
        assert offsets.shape[0] == 1 and means2d.isfinite().all()
        if absgrad:
            means2d.absgrad = torch.ones_like(means2d)  # type: ignore[attr-defined]
        order, boxes = oracle.drawn_boxes(means2d[0], self.radii, self.depths, self.view)
        image, alphas = oracle.composite(
            order, boxes, means2d[0], conics[0], opacities[0], colors[0], self.view
        )
        return image[None], alphas[None, ..., None]


def test_gsplat_is_called_as_it_wants_and_its_results_are_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = random_scene(40, distance=0.8)  # some splats behind the camera
    view = View(scene.viewmat.numpy(), scene.K.numpy(), scene.width, scene.height)
    monkeypatch.setattr(cuda, "load", lambda: StandInForGsplat(view))
    splats = scene.splats(torch.float64)
    render = rasterize(*splats, *scene.camera, backend="gsplat", depth=True, absgrad=True)
    render.means2d.retain_grad()
    render.colors.sum().backward()
    plain = rasterize(*scene.splats(torch.float64), *scene.camera, backend="torch", depth=True)
    plain.means2d.retain_grad()
    plain.colors.sum().backward()
    for name in ("colors", "alphas", "depths", "means2d"):
        torch.testing.assert_close(getattr(render, name), getattr(plain, name))
    assert torch.equal(render.radii, plain.radii)
    assert render.means2d.grad is not None and plain.means2d.grad is not None
    torch.testing.assert_close(render.means2d.grad, plain.means2d.grad)
    assert render.absgrad is not None and render.absgrad.shape == (40, 2)
    assert splats[0].grad is not None and splats[0].grad.isfinite().all()


def test_a_camera_that_lies_where_the_splats_are_is_not_copied_for_gsplat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    views: list[DeviceView] = []
    monkeypatch.setattr(cuda, "rasterize", lambda splats, view, **_: views.append(view))
    scene = random_scene(3)
    viewmat, K = scene.viewmat.float(), scene.K.float()
    size = scene.width, scene.height
    rasterize(*scene.splats(torch.float32), viewmat, K, *size, backend="gsplat")
    rasterize(*scene.splats(torch.float32), viewmat.numpy(), K.numpy(), *size, backend="gsplat")
    assert views[0].viewmat is viewmat and views[0].K is K
    assert torch.equal(views[1].viewmat, viewmat) and torch.equal(views[1].K, K)
    with pytest.raises(EngineError, match="Cameras get no gradient"):
        rasterize(
            *scene.splats(torch.float32), viewmat.requires_grad_(), K, *size, backend="gsplat"
        )


def test_whatever_gsplat_raises_becomes_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def fully_fused_projection(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("no kernel image\nis available for execution on the device")

    monkeypatch.setattr(cuda, "load", Broken)
    scene = random_scene(3)
    with pytest.raises(EngineError, match=r"^gsplat failed \(no kernel image\): install the CUDA"):
        rasterize(*scene.splats(torch.float32), *scene.camera, backend="gsplat")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gsplat_draws_what_the_oracle_draws() -> None:
    scene = random_scene(200)
    splats = [x.detach().cuda().requires_grad_() for x in scene.splats(torch.float32)]
    render = rasterize(*splats, *scene.camera, depth=True, absgrad=True)
    render.means2d.retain_grad()
    (render.colors.sum() + render.alphas.sum()).backward()
    oracle_splats = scene.splats(torch.float64)
    expected = rasterize(*oracle_splats, *scene.camera, backend="torch", depth=True)
    (expected.colors.sum() + expected.alphas.sum()).backward()
    error = (render.colors.detach().cpu() - expected.colors).abs().amax(-1)
    assert (error <= 1e-4).double().mean() >= 0.999  # the rest flips at a threshold
    assert error.max() <= 5e-3
    assert render.absgrad is not None and render.means2d.grad is not None
    assert (render.absgrad >= render.means2d.grad.abs() - 1e-5).all()
    for mine, theirs in zip(splats, oracle_splats, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        assert (mine.grad.cpu() - theirs.grad).abs().max() <= 1e-2 * theirs.grad.abs().max()
