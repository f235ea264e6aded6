"""New last layers: what a network knew before, it still knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_dtn.nn.checkpoint import load_model
from napari_dtn.nn.dtn import probability
from napari_dtn.nn.heads import with_classes

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from napari_dtn.nn.checkpoint import Model


def seen(model: Model) -> Tensor:
    with torch.inference_mode():
        return probability(model.network(torch.linspace(-2, 2, 32 * 32).reshape(1, 1, 32, 32)))


def test_a_boundary_stays_what_it_was_among_several_classes(tiny_model: Path) -> None:
    model = load_model(tiny_model, "cpu")
    several = with_classes(model, ("mitochondria", "Membrane", "myelin", "inside"))
    after = seen(several)
    torch.testing.assert_close(after[:, 1], seen(model)[:, 0])
    torch.testing.assert_close(after[:, 0], after[:, 3])
    assert several.card.network.n_classes == several.network.settings.n_classes == 4
    assert model.card.network.n_classes == 1


def test_known_classes_keep_their_rows(tiny_model: Path) -> None:
    three = with_classes(load_model(tiny_model, "cpu"), ("boundary", "inside", "myelin"))
    torch.nn.init.normal_(three.network.head.weight)
    other = with_classes(three, ("myelin", "boundary", "axon", "inside"))
    torch.testing.assert_close(other.network.head.weight[[1, 3, 0]], three.network.head.weight)
    assert with_classes(three, three.card.class_names) is three


def test_several_classes_do_not_become_a_boundary(tiny_model: Path) -> None:
    three = with_classes(load_model(tiny_model, "cpu"), ("boundary", "inside", "myelin"))
    with pytest.raises(ValueError, match="start from a boundary model"):
        with_classes(three, ("boundary",))
