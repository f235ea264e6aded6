"""What a training keeps: a mean of where it began and where it came, whatever way it went."""

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
    iterations=6, warmup=1, cooldown=0.0, weight_decay=0.0, learning_rate=1e-2, statistics="kept"
)


@pytest.fixture
def network() -> DenseTransformerNetwork:
    torch.manual_seed(0)
    return build_network(SHAPE)


def taught(network: DenseTransformerNetwork, settings: TrainSettings) -> Trainee:
    trainee = Trainee(copy.deepcopy(network), settings, bfloat16=False)
    random = torch.Generator().manual_seed(1)
    for step in range(settings.iterations):
        image = torch.randn(2, 1, 16, 16, generator=random)
        trainee.step(step, image, torch.randint(0, 3, (2, 16, 16), generator=random))
    return trainee


def test_a_share_is_kept_of_the_way_from_the_start(network: DenseTransformerNetwork) -> None:
    whole, third = (taught(network, replace(SETTINGS, share=share)).average for share in (1.0, 0.3))
    moved = 0.0
    for start, far, near in zip(network.parameters(), whole.parameters(), third.parameters(), strict=True):
        torch.testing.assert_close(near, torch.lerp(start, far, 0.3))
        moved += float((far - start).detach().norm())
    assert moved > 0


def test_a_pull_leaves_a_network_that_nothing_teaches_as_it_is(network: DenseTransformerNetwork) -> None:
    """Nothing is annotated: it sees what it saw, so it is where it was."""
    trainee = Trainee(copy.deepcopy(network), replace(SETTINGS, pull=1.0, iterations=20), bfloat16=False)
    image, nothing = torch.randn(2, 1, 16, 16), torch.zeros(2, 16, 16, dtype=torch.uint8)
    trainee.network.load_state_dict(network.eval().state_dict())
    with torch.no_grad():
        trainee.network.head.bias += 0.5
    before = float((trainee.network.head.bias - network.head.bias).abs().mean())
    for step in range(20):
        trainee.step(step, image, nothing)
    assert float((trainee.network.head.bias - network.head.bias).abs().mean()) < before
