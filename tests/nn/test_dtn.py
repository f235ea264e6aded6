from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from napari_dtn.nn.dtn import DenseTransformerNetwork, build_network, probability
from napari_dtn.nn.losses import masked_cross_entropy
from napari_dtn.settings import NetworkSettings

if TYPE_CHECKING:
    from torch import Tensor


def small(**changes: object) -> NetworkSettings:
    return NetworkSettings(**{"base_channels": 4, "levels": 4, "transformer_levels": (3,), **changes})


def used(settings: NetworkSettings) -> DenseTransformerNetwork:
    """Build a network with statistics and a warp, as after some training, in evaluation mode."""
    network = build_network(settings)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(torch.randn(4, settings.in_channels, 32, 32))
    for name, weight in network.named_parameters():
        if name.endswith("localise.place.weight"):
            torch.nn.init.normal_(weight, std=0.1)
    return network.eval()


@pytest.mark.parametrize("levels", [(1,), (2,), (3,), (1, 2, 3)])
def test_at_the_identity_it_is_the_unet_of_the_same_weights(
    device: str, sampler: str, levels: tuple[int, ...]
) -> None:
    dtn = used(small(transformer_levels=levels, sampler=sampler))
    for encoder in dtn.encoders.values():
        torch.nn.init.zeros_(encoder.localise.place.weight)
    unet = build_network(small(transformer_levels=())).eval()
    shared = {name: tensor for name, tensor in dtn.state_dict().items() if not name.startswith("encoders")}
    unet.load_state_dict(shared)
    image = torch.randn(2, 1, 24, 37, device=device)
    torch.testing.assert_close(dtn.to(device)(image), unet.to(device)(image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("levels", [(1,), (3,), (1, 2, 3)])
def test_at_the_identity_the_place_of_the_skip_connection_does_not_matter(
    device: str, sampler: str, levels: tuple[int, ...]
) -> None:
    warped = used(small(transformer_levels=levels, sampler=sampler, localisation="identity"))
    direct = build_network(replace(warped.settings, skip="direct")).eval()
    direct.load_state_dict(warped.state_dict())
    image = torch.randn(2, 1, 24, 37, device=device)
    close = 1e-4 if device == "cpu" else 1e-3  # a GPU's convolutions multiply in TensorFloat32
    torch.testing.assert_close(direct.to(device)(image), warped.to(device)(image), rtol=close, atol=close)


def test_a_direct_skip_connection_stays_out_of_the_warp(device: str, sampler: str) -> None:
    """With everything below the pair silenced, the answer is the U-Net's, whatever the warp."""
    network = used(small(transformer_levels=(1,), sampler=sampler, skip="direct")).to(device)
    torch.nn.init.zeros_(network.up[0].grow.weight)
    torch.nn.init.zeros_(network.up[0].grow.bias)
    image = torch.randn(2, 1, 24, 37, device=device)
    before = network(image)
    torch.nn.init.normal_(network.encoders["1"].localise.place.weight, std=0.3)
    torch.testing.assert_close(network(image), before)


def test_a_warp_changes_the_answer(device: str, sampler: str) -> None:
    network = used(small(sampler=sampler)).to(device)
    image = torch.randn(2, 1, 24, 37, device=device)
    before = network(image)
    torch.nn.init.zeros_(network.encoders["3"].localise.place.weight)
    assert (network(image) - before).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(61, 83), (33, 32), (16, 5), (1, 7), (2, 2), (1, 1)])
@pytest.mark.parametrize("levels", [(), (3,), (1, 3)])
def test_any_image_size_comes_back(
    device: str, sampler: str, levels: tuple[int, ...], size: tuple[int, int]
) -> None:
    network = used(small(transformer_levels=levels, sampler=sampler)).to(device)
    logits, grids = network.forward_with_warp(torch.randn(2, 1, *size, device=device))
    assert logits.shape == (2, 1, *size)
    assert torch.isfinite(logits).all()
    for level, grid in grids.items():
        stride = 2 ** (level - 1)
        assert grid.shape == (2, -(-size[0] // stride), -(-size[1] // stride), 2)


@pytest.mark.parametrize("n_classes", [1, 21])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_channels_and_classes(device: str, n_classes: int, in_channels: int) -> None:
    network = used(small(n_classes=n_classes, in_channels=in_channels)).to(device)
    logits = network(torch.randn(2, in_channels, 20, 23, device=device))
    assert logits.shape == (2, n_classes, 20, 23)
    probabilities = probability(logits)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    if n_classes > 1:
        torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 20, 23, device=device))
    else:
        torch.testing.assert_close(probabilities, torch.sigmoid(logits))


def test_probabilities_are_float32_also_of_half_logits() -> None:
    assert probability(torch.zeros(1, 1, 2, 2).bfloat16()).dtype == torch.float32


def test_the_ways_to_ask_for_the_warp_agree(device: str, sampler: str) -> None:
    network = used(small(transformer_levels=(3, 1), sampler=sampler)).to(device)
    image = torch.randn(2, 1, 21, 34, device=device)
    logits, grids = network.forward_with_warp(image)
    alone = network.warp(image)
    torch.testing.assert_close(network(image), logits)  # a GPU adds what it scatters in any order
    assert list(grids) == list(alone) == [1, 3]
    assert all(torch.equal(grids[level], alone[level]) for level in grids)


def test_a_unet_has_no_warp() -> None:
    network = build_network(small(transformer_levels=()))
    assert network.warp(torch.randn(1, 1, 8, 8)) == {}
    assert network.forward_with_warp(torch.randn(2, 1, 8, 8))[1] == {}
    assert NetworkSettings(transformer_levels=()).arch == "unet"


def test_the_default_pair_sits_at_stride_8() -> None:
    network = build_network(NetworkSettings(base_channels=2)).eval()
    assert {
        level: tuple(grid.shape) for level, grid in network.warp(torch.randn(1, 1, 224, 224)).items()
    } == {4: (1, 28, 28, 2)}


def test_what_lies_between_the_pair_sees_the_warped_map(device: str) -> None:
    # The skip connection of the level is taken behind the encoder, so it is warped too (paper Fig. 2).
    network = used(small(transformer_levels=(1,), levels=2)).to(device)
    seen: list[Tensor] = []
    network.up[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    encoded: list[Tensor] = []
    network.encoders["1"].register_forward_hook(lambda *arguments: encoded.append(arguments[2][0]))
    network(torch.randn(1, 1, 16, 16, device=device))
    assert torch.equal(seen[0], encoded[0])


@pytest.mark.parametrize("levels", [(1,), (3,), (1, 2, 3)])
def test_every_warp_is_undone_behind_its_level(device: str, levels: tuple[int, ...]) -> None:
    network = used(small(transformer_levels=levels)).to(device)
    merged: dict[int, Tensor] = {}
    undone: dict[int, tuple[Tensor, ...]] = {}
    for level in levels:
        network.up[level - 1].register_forward_hook(lambda *a, n=level: merged.update({n: a[2]}))
        network.decoders[str(level)].register_forward_hook(lambda *a, n=level: undone.update({n: a[1]}))
    _, grids = network.forward_with_warp(torch.randn(1, 1, 19, 26, device=device))
    assert set(undone) == set(grids) == set(levels)
    for level, (features, grid) in undone.items():
        assert torch.equal(features, merged[level])
        assert torch.equal(grid, grids[level])


@pytest.mark.parametrize("levels", [(3,), (1, 2)])
def test_gradients_reach_every_parameter(device: str, sampler: str, levels: tuple[int, ...]) -> None:
    network = used(small(transformer_levels=levels, sampler=sampler)).to(device).train()
    image = torch.randn(2, 1, 33, 47, device=device)
    annotation = torch.randint(0, 3, (2, 33, 47), device=device)
    masked_cross_entropy(network(image), annotation).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_the_first_step_moves_the_fiducial_points(device: str) -> None:
    network = build_network(small()).to(device).train()
    masked_cross_entropy(
        network(torch.randn(2, 1, 32, 32, device=device)),
        torch.randint(1, 3, (2, 32, 32), device=device),
    ).backward()
    assert network.encoders["3"].localise.place.weight.grad.abs().max() > 0


def test_both_samplers_have_the_same_weights_and_answers(device: str) -> None:
    if device == "mps":
        pytest.skip("MPS has no kernel for the native sampler's gradient")
    native = used(small(sampler="native")).to(device)
    dense = build_network(native.settings, sampler="dense").eval().to(device)
    dense.load_state_dict(native.state_dict())
    assert {module.sampler for module in (*dense.encoders.values(), *dense.decoders.values())} == {"dense"}
    image = torch.randn(2, 1, 30, 41, device=device)
    torch.testing.assert_close(native(image), dense(image), rtol=1e-4, atol=1e-4)


def test_training_in_bfloat16_gives_finite_gradients(device: str, sampler: str) -> None:
    network = used(small(sampler=sampler)).to(device, memory_format=torch.channels_last).train()
    image = torch.randn(2, 1, 32, 40, device=device).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device, torch.bfloat16):
        logits = network(image)
    masked_cross_entropy(logits, torch.randint(1, 3, (2, 32, 40), device=device)).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
