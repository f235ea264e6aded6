"""What a step does with what nobody annotated."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from napari_dtn.nn.dtn import DenseTransformerNetwork, build_network
from napari_dtn.nn.optimise import Trainee
from napari_dtn.settings import NetworkSettings, TrainSettings

SHAPE = NetworkSettings(base_channels=2, levels=2, transformer_levels=())
SETTINGS = TrainSettings(
    iterations=20, warmup=1, cooldown=0.0, weight_decay=0.0, learning_rate=1e-2, statistics="kept"
)


@pytest.fixture
def network() -> DenseTransformerNetwork:
    torch.manual_seed(0)
    return build_network(SHAPE)


def test_a_pull_leads_a_network_back_that_nothing_teaches(network: DenseTransformerNetwork) -> None:
    """Nothing is annotated: it sees what it saw, so it goes back to where it was."""
    trainee = Trainee(copy.deepcopy(network), replace(SETTINGS, pull=1.0), bfloat16=False)
    image, nothing = torch.randn(2, 1, 16, 16), torch.zeros(2, 16, 16, dtype=torch.uint8)
    trainee.network.load_state_dict(network.eval().state_dict())
    with torch.no_grad():
        trainee.network.head.bias += 0.5

    def away() -> float:
        return float((trainee.network.head.bias - network.head.bias).detach().abs().mean())

    before = away()
    for step in range(20):
        trainee.step(step, image, nothing)
    assert away() < before
