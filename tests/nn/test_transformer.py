from __future__ import annotations

import pytest
import torch

from napari_dtn.nn.localisation import PooledLocaliser, RunningNorm, SpatialLocaliser, make_localiser
from napari_dtn.nn.sampling import restore, sample
from napari_dtn.nn.tps import fold_over, lattice, pixel_centres
from napari_dtn.nn.transformer import TransformerDecoder, TransformerEncoder


def answering(channels: int = 3, fiducials: int = 4, amount: float = 0.1) -> PooledLocaliser:
    """Localisation network that no longer stands at the identity."""
    network = PooledLocaliser(channels, fiducials)
    torch.nn.init.normal_(network.place.weight, std=amount)
    return network


def follow_fast(network: PooledLocaliser) -> None:
    norm = network.reduce[-1]
    assert isinstance(norm, RunningNorm)
    norm.momentum = 0.5


def moved(network: PooledLocaliser, features: torch.Tensor) -> torch.Tensor:
    """What the fully connected layers add inside the tanh, (N, 2 K)."""
    return torch.atanh(network(features)).flatten(1) - network.rest


@pytest.mark.parametrize("fiducials", [2, 4, 7])
@pytest.mark.parametrize("size", [(28, 28), (5, 9), (1, 1)])
@pytest.mark.parametrize("training", [True, False])
def test_localisation_starts_at_rest(
    device: str, fiducials: int, size: tuple[int, int], training: bool
) -> None:
    network = PooledLocaliser(3, fiducials).to(device).train(training)
    points = network(torch.randn(4, 3, *size, device=device))
    assert points.shape == (4, fiducials**2, 2)
    torch.testing.assert_close(points.cpu(), lattice(fiducials).float().expand_as(points), rtol=0, atol=1e-7)


def test_localisation_answers_to_the_image(device: str) -> None:
    network = answering().to(device).eval()
    points = network(torch.randn(4, 3, 16, 16, device=device))
    assert (points.std(0) > 1e-4).all()
    assert (points.abs() < 1).all()


def test_localisation_gives_the_same_answer_for_the_same_image_in_any_batch(device: str) -> None:
    network = answering().to(device).eval()
    images = torch.randn(4, 3, 16, 16, device=device)
    torch.testing.assert_close(network(images)[2:3], network(images[2:3]), rtol=0, atol=1e-6)


def test_mean_displacement_over_the_data_is_zero_for_any_weights(device: str) -> None:
    network = answering(amount=0.05).to(device).train()
    follow_fast(network)
    images = torch.randn(8, 3, 16, 16, device=device)
    for _ in range(40):
        network(images)
    answers = moved(network, images)
    assert answers.std(0).min() > 0.05
    assert answers.mean(0).abs().max() < 1e-4


def test_images_that_are_all_alike_are_not_warped(device: str) -> None:
    network = answering(amount=0.3).to(device).train()
    follow_fast(network)
    image = torch.randn(1, 3, 16, 16, device=device).expand(4, -1, -1, -1)
    assert moved(network, image).abs().max() > 0.1, "before it knows the data"
    for _ in range(80):
        network(image)
    assert moved(network, image).abs().max() < 1e-3


def test_a_constant_warp_cannot_be_learned(device: str) -> None:
    network = PooledLocaliser(3, 4).to(device).train()
    network.reduce[-1].momentum = 0.2
    images = torch.randn(8, 3, 16, 16, device=device)
    target = (lattice(4).float() + 0.1).to(device)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        (network(images) - target).square().mean().backward()
        optimiser.step()
    follow_fast(network)
    for _ in range(40):
        network(images)
    points = network(images)
    assert moved(network, images).mean(0).abs().max() < 1e-3, "the same shift for every image is out of reach"
    assert (points - target).square().mean() > 0.8 * 0.1**2, "so nothing was gained by trying"


def test_running_norm_does_the_same_in_training_and_in_use(device: str) -> None:
    norm = RunningNorm(5, momentum=0.5).to(device)
    data = 3 + 2 * torch.randn(64, 5, device=device)
    for _ in range(60):
        norm(data)
    in_training = norm(data)
    in_use = norm.eval()(data)
    torch.testing.assert_close(in_training, in_use, rtol=0, atol=1e-5)
    torch.testing.assert_close(in_use.mean(0), torch.zeros(5, device=device), rtol=0, atol=1e-5)
    torch.testing.assert_close(in_use.var(0, correction=0), torch.ones(5, device=device), rtol=1e-4, atol=0)


def test_running_norm_learns_nothing_in_use(device: str) -> None:
    norm = RunningNorm(5).to(device).eval()
    data = 3 + torch.randn(8, 5, device=device)
    torch.testing.assert_close(norm(data), data, rtol=1e-4, atol=1e-4)
    assert norm.mean.abs().max() == 0


def test_running_norm_gradient_survives_the_next_step(device: str) -> None:
    norm = RunningNorm(5).to(device)
    data = torch.randn(8, 5, device=device, requires_grad=True)
    first = norm(data)
    norm(data)
    first.sum().backward()
    assert torch.isfinite(data.grad).all()


@pytest.mark.parametrize("size", [(28, 28), (7, 12), (1, 5), (1, 1)])
def test_encoder_and_decoder_start_as_nothing(device: str, sampler: str, size: tuple[int, int]) -> None:
    encoder = TransformerEncoder(PooledLocaliser(3, 4), sampler).to(device).eval()
    decoder = TransformerDecoder(sampler)
    features = torch.randn(2, 3, *size, device=device)
    warped, grid = encoder(features)
    identity = pixel_centres(*size).float().view(1, *size, 2).expand_as(grid).to(device)
    torch.testing.assert_close(grid, identity, rtol=0, atol=2e-6)
    torch.testing.assert_close(warped, features, rtol=0, atol=1e-4)
    torch.testing.assert_close(decoder(warped, grid), features, rtol=0, atol=1e-4)


def test_encoder_samples_and_decoder_restores_with_one_grid(device: str, sampler: str) -> None:
    encoder = TransformerEncoder(PooledLocaliser(3, 4), sampler).to(device).eval()
    torch.nn.init.normal_(encoder.localise.place.weight, std=0.1)
    features = torch.randn(2, 3, 9, 13, device=device)
    warped, grid = encoder(features)
    assert grid.shape == (2, 9, 13, 2)
    assert torch.equal(warped, sample(features, grid, sampler))
    torch.testing.assert_close(TransformerDecoder(sampler)(warped, grid), restore(warped, grid, sampler))
    assert fold_over(grid).shape == (2,)


def test_the_grid_stays_float32_under_autocast(device: str, sampler: str) -> None:
    encoder = TransformerEncoder(PooledLocaliser(3, 4), sampler).to(device).eval()
    features = torch.randn(2, 3, 28, 28, device=device).bfloat16()
    with torch.autocast(device, torch.bfloat16):
        warped, grid = encoder(features)
        restored = TransformerDecoder(sampler)(warped, grid)
    identity = pixel_centres(28, 28).float().view(1, 28, 28, 2).expand_as(grid).to(device)
    torch.testing.assert_close(grid, identity, rtol=0, atol=2e-6)
    assert (warped.dtype, restored.dtype) == (torch.bfloat16, torch.bfloat16)
    torch.testing.assert_close(restored, features, rtol=1e-2, atol=1e-2)


def test_spatial_offsets_answer_to_what_lies_around_a_point(device: str) -> None:
    """A change in one corner of the map moves the points there and leaves the far corner alone."""
    network = SpatialLocaliser(3, 4).to(device).eval()
    torch.nn.init.normal_(network.place.weight, std=0.1)
    features = torch.randn(1, 3, 32, 32, device=device)
    changed = features.clone()
    changed[:, :, :6, :6] += 3
    shift = (network(changed) - network(features)).view(4, 4, 2).norm(dim=-1)
    assert shift[0, 0] > 1e-3
    assert shift[2:, 2:].max() < 1e-6


def test_spatial_offsets_of_data_that_are_all_alike_vanish(device: str) -> None:
    network = SpatialLocaliser(3, 4).to(device).train()
    torch.nn.init.normal_(network.place.weight, std=0.3)
    network.norm.momentum = 0.5
    image = torch.randn(1, 3, 16, 16, device=device).expand(4, -1, -1, -1)
    for _ in range(80):
        points = network(image)
    torch.testing.assert_close(points, lattice(4).float().to(device).expand_as(points), rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", ["pooled", "spatial", "identity", "random"])
def test_every_localiser_gives_points_inside(device: str, kind: str) -> None:
    network = make_localiser(kind, 3, 5).to(device)
    for features in (torch.randn(2, 3, 8, 9, device=device), torch.randn(3, 3, 1, 1, device=device)):
        points = network(features)
        assert points.shape == (len(features), 25, 2)
        assert (points.abs() < 1).all()


def test_random_warps_differ_in_training_and_agree_in_use(device: str) -> None:
    network, features = make_localiser("random", 3, 4).to(device), torch.randn(2, 3, 8, 8, device=device)
    first, again = network(features), network(features)
    assert not torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    used = network.eval()(features)
    assert torch.equal(used, network(features))
    assert torch.equal(used[0], used[1])
    assert (used[0] - lattice(4).float().to(device)).abs().max() > 0.01
