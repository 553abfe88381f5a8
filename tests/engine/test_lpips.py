# SPDX-License-Identifier: GPL-3.0-or-later
"""LPIPS on random weights of the published names and shapes, against torchmetrics' network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchmetrics.functional.image import lpips as oracle

from ds4d_engine.priors.lpips import Lpips
from ds4d_engine.seam.errors import ConfigError

VGG_LAYERS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
CHANNELS = {"vgg": (64, 128, 256, 512, 512), "alex": (64, 192, 384, 256, 256)}


def vgg_features() -> nn.Sequential:
    """Return the layers that torchvision's vgg16 keeps in `features`; 0 above is a pooling."""
    layers: list[nn.Module] = []
    channels = 3
    for width in VGG_LAYERS:
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


def alexnet_features() -> nn.Sequential:
    """Return the layers that torchvision's alexnet keeps in `features`."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    )


def random_weights(net: str) -> tuple[nn.Sequential, dict[str, Tensor]]:
    torch.manual_seed(0)
    features = vgg_features() if net == "vgg" else alexnet_features()
    tensors = {f"features.{name}": value for name, value in features.state_dict().items()}
    for number, width in enumerate(CHANNELS[net]):
        tensors[f"lin{number}.model.1.weight"] = torch.rand(1, width, 1, 1)
    return features, tensors


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lpips") / "alexnet.safetensors"
    save_file(random_weights("alex")[1], path)
    return path


def pictures(seed: int, side: int = 64, count: int = 2) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("net", ["vgg", "alex"])
def test_the_distance_is_torchmetrics_with_the_same_weights(
    net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, tensors = random_weights(net)
    save_file(tensors, tmp_path / "weights.safetensors")
    # Only torchvision's layers are replaced; what is done with them is torchmetrics' own.
    monkeypatch.setattr(oracle, "_get_tv_model_features", lambda *_, **__: features)
    network = oracle._LPIPS(pretrained=False, net=net, pnet_rand=True)
    lins = {name: value for name, value in tensors.items() if name.startswith("lin")}
    network.load_state_dict(lins, strict=False)
    expected = network(pictures(1), pictures(2), normalize=True).flatten()
    found = Lpips(tmp_path / "weights.safetensors")(pictures(1), pictures(2))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_equal_pictures_have_no_distance_and_noise_adds_some(alexnet: Path) -> None:
    distance = Lpips(alexnet)
    image, noise = pictures(3), pictures(4) - 0.5
    assert distance(image, image).tolist() == [0, 0]
    little, much = distance(image, image + 0.05 * noise), distance(image, image + 0.5 * noise)
    assert (little > 0).all() and (little < much).all()


def test_the_gradient_reaches_the_picture_and_leads_towards_the_reference(alexnet: Path) -> None:
    distance = Lpips(alexnet)
    reference = pictures(5, count=1)
    image = (0.5 * reference + 0.25).requires_grad_()
    before = distance(image, reference).sum()
    (gradient,) = torch.autograd.grad(before, image)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0
    step = 1e-2 * gradient / gradient.norm()
    assert distance(image.detach() - step, reference).sum() < before


def test_black_pictures_have_a_finite_gradient(alexnet: Path) -> None:
    image = torch.zeros(1, 3, 64, 64, requires_grad=True)
    Lpips(alexnet)(image, torch.zeros(1, 3, 64, 64)).sum().backward()
    assert image.grad is not None and torch.isfinite(image.grad).all()


def test_no_weight_is_a_parameter_to_train(alexnet: Path) -> None:
    assert not any(parameter.requires_grad for parameter in Lpips(alexnet).parameters())


def test_as_a_measure_it_takes_arrays_and_says_nan_for_tiny_ones(alexnet: Path) -> None:
    distance = Lpips(alexnet)
    first, second = pictures(6), pictures(7)
    expected = float(distance(first[:1], second[:1]))
    arrays = [batch[0].permute(1, 2, 0).numpy() for batch in (first, second)]
    assert distance.measure(*arrays) == pytest.approx(expected, rel=1e-5)
    assert np.isnan(distance.measure(arrays[0][:20, :20], arrays[1][:20, :20]))
    with pytest.raises(ConfigError, match="at least 32 x 32 pixels, not 20 x 20"):
        distance(first[..., :20, :20], second[..., :20, :20])


def test_a_folder_may_hold_backbone_and_lins_in_files_of_their_own(
    alexnet: Path, tmp_path: Path
) -> None:
    tensors = load_file(alexnet)
    lins = {name: value for name, value in tensors.items() if name.startswith("lin")}
    rest = {name: value.half() for name, value in tensors.items() if name not in lins}
    save_file(lins, tmp_path / "lins.safetensors")
    save_file({**rest, "classifier.1.weight": torch.zeros(1)}, tmp_path / "alexnet.safetensors")
    found = Lpips(tmp_path)(pictures(8), pictures(9))
    expected = Lpips(alexnet)(pictures(8), pictures(9))
    torch.testing.assert_close(found, expected, atol=0, rtol=0.02)


def drop_lin(tensors: dict[str, Tensor]) -> None:
    del tensors["lin3.model.1.weight"]


def bend_lin(tensors: dict[str, Tensor]) -> None:
    tensors["lin3.model.1.weight"] = torch.rand(1, 7, 1, 1)


def drop_bias(tensors: dict[str, Tensor]) -> None:
    del tensors["features.6.bias"]


def drop_backbone(tensors: dict[str, Tensor]) -> None:
    del tensors["features.0.weight"]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (drop_lin, r"lack lin3\.model\.1\.weight \[1, 256, 1, 1\]"),
        (bend_lin, r"have a \[1, 7, 1, 1\] tensor in place of lin3"),
        (drop_bias, r"lack features\.6\.bias \[384\]"),
        (drop_backbone, "neither a VGG16 nor an AlexNet"),
    ],
)
def test_wrong_tensors_are_named(
    alexnet: Path, tmp_path: Path, damage: Callable[[dict[str, Tensor]], None], sentence: str
) -> None:
    tensors = load_file(alexnet)
    damage(tensors)
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError, match=sentence):
        Lpips(tmp_path)


def test_files_that_are_no_weights_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no safetensors file"):
        Lpips(tmp_path)
    with pytest.raises(ConfigError, match="check the path"):
        Lpips(tmp_path / "none.safetensors")
    (tmp_path / "vgg16-397923af.pth").write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigError, match="nothing else is loaded"):
        Lpips(tmp_path / "vgg16-397923af.pth")
    (tmp_path / "broken.safetensors").write_bytes(b"numbers")
    with pytest.raises(ConfigError, match="damaged"):
        Lpips(tmp_path)
