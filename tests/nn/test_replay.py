"""A recorded step does what an eager one does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from napari_dtn.nn.dtn import build_network, probability
from napari_dtn.nn.optimise import Trainee
from napari_dtn.nn.replay import Replayed
from napari_dtn.nn.torch_runner import torch_runner
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


def moving(shape: NetworkSettings) -> torch.nn.Module:
    """A network whose warp moves."""
    torch.manual_seed(0)
    network = build_network(shape).eval().cuda()
    torch.nn.init.normal_(network.encoders["2"].localise.place.weight, std=0.05)
    return network


SMALL = NetworkSettings(base_channels=4, levels=3, transformer_levels=(2,))


def test_recorded_predictions_of_several_sizes_are_those_of_the_network() -> None:
    network = moving(SMALL)
    run = torch_runner(network, torch.device("cuda"), "float32")
    for number in range(24):
        tiles = torch.randn(1 + number % 3, 1, 32, 32)
        with torch.no_grad():
            expected = probability(network(tiles.cuda())).cpu()
        torch.testing.assert_close(run(tiles), expected, rtol=0, atol=1e-5)
    assert len(run.forward._recorded) == 3, "every size was recorded"


def test_threads_that_share_a_recording_get_their_own_answers() -> None:
    network = moving(SMALL)
    run = torch_runner(network, torch.device("cuda"), "float32")
    tiles = torch.randn(32, 2, 1, 32, 32)
    with torch.no_grad():
        expected = [probability(network(some.cuda())).cpu() for some in tiles]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for got, wanted in zip(pool.map(run, tiles), expected, strict=True):
                torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)


def test_what_waits_for_the_device_is_not_recorded_and_goes_on() -> None:
    replayed = Replayed(lambda numbers: numbers[numbers > 0].sum())  # how many there are is asked of it
    results = [float(replayed(torch.tensor([1.0, -1.0, float(n)], device="cuda"))) for n in range(1, 8)]
    assert results == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert list(replayed._recorded.values()) == [None]
