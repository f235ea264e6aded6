"""Adapted statistics are those of the maps, and put a change of contrast right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_dtn.nn.checkpoint import load_model
from napari_dtn.nn.normalising import adapted, norms

if TYPE_CHECKING:
    from pathlib import Path


def test_statistics_are_those_of_the_images(tiny_model: Path) -> None:
    network = load_model(tiny_model, "cpu").network
    images = torch.rand(3, 1, 32, 32)
    first = network.down[0][0](images)
    found = norms(adapted(network, [images]))[0]
    torch.testing.assert_close(found.running_mean, first.mean((0, 2, 3)))
    torch.testing.assert_close(found.running_var, first.var((0, 2, 3)))


def test_an_adapted_network_does_not_see_a_change_of_contrast(tiny_model: Path) -> None:
    network = load_model(tiny_model, "cpu").network
    torch.manual_seed(0)
    images = torch.rand(4, 1, 32, 32)
    changed = images * 5
    one, other = adapted(network, [images])(images), adapted(network, [changed])(changed)
    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
    assert (network(images) - network(changed)).abs().max() > 0.01


def test_the_network_itself_stays_what_it_was(tiny_model: Path) -> None:
    network = load_model(tiny_model, "cpu").network
    before = {name: one.clone() for name, one in network.state_dict().items()}
    changed = adapted(network, [torch.rand(2, 1, 32, 32)] * 2)
    assert all(one.equal(before[name]) for name, one in network.state_dict().items())
    assert not changed.training
    assert all(layer.momentum == 0.1 and not layer.training for layer in norms(changed))
    assert all(one.equal(before[name]) for name, one in changed.named_parameters())
