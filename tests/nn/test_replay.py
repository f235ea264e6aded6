"""A recorded step does what an eager one does."""

from __future__ import annotations

import pytest
import torch

from napari_dtn.nn.dtn import build_network
from napari_dtn.nn.optimise import Trainee
from napari_dtn.nn.replay import Replayed
from napari_dtn.settings import NetworkSettings, TrainSettings, WarpPenalties

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def test_what_is_replayed_follows_its_inputs_and_what_it_changes() -> None:
    total = torch.zeros((), device="cuda")

    def add(number: torch.Tensor) -> torch.Tensor:
        total.add_(number)
        return total * 2

    replayed = Replayed(add)
    results = [float(replayed(torch.tensor(float(number), device="cuda"))) for number in range(1, 8)]
    assert results == [2.0, 6.0, 12.0, 20.0, 30.0, 42.0, 56.0]


def test_a_recorded_training_ends_where_an_eager_one_does() -> None:
    shape = NetworkSettings(base_channels=4, levels=3, transformer_levels=(2,), localisation="spatial")
    settings = TrainSettings(warmup=2, penalties=WarpPenalties(displacement=0.1, bending=1.0, folding=1.0))
    torch.manual_seed(0)
    images = torch.randn(10, 2, 1, 32, 32, device="cuda")
    annotations = torch.randint(0, 3, (10, 2, 32, 32), device="cuda")
    losses = {}
    for way in ("recorded", "eager"):
        torch.manual_seed(1)
        trainee = Trainee(build_network(shape).cuda(), settings, bfloat16=False)
        if way == "eager":
            trainee._learn = trainee._learn_from
        losses[way] = [
            float(trainee.step(number, image, annotation))
            for number, (image, annotation) in enumerate(zip(images, annotations, strict=True))
        ]
    # What is scattered is added in any order, so the two may part in their last digits.
    assert losses["recorded"] == pytest.approx(losses["eager"], rel=1e-3)
