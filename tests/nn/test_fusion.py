"""Folding normalisations into convolutions changes the time, not the answer."""

from __future__ import annotations

import copy

import torch
from torch import nn

from napari_dtn.nn.dtn import build_network
from napari_dtn.nn.fusion import fused
from napari_dtn.settings import NetworkSettings


def used_network() -> nn.Module:
    """Return a network whose normalisations have seen data; fresh ones do nothing."""
    network = build_network(NetworkSettings(base_channels=4, levels=3, transformer_levels=(2,)))
    nn.init.normal_(network.encoders["2"].localise.place.weight, std=0.3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.2, 3.0)
    return network.eval()


@torch.inference_mode()
def test_the_answers_are_the_same(device: str) -> None:
    network = used_network().to(device)
    image = torch.randn(2, 1, 45, 52, device=device)
    torch.testing.assert_close(fused(network)(image), network(image), atol=1e-4, rtol=1e-4)


def test_no_normalisation_of_a_map_is_left_and_the_original_stays() -> None:
    network = used_network()
    before = copy.deepcopy(network.state_dict())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused(network).modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
