"""Forgetting: the phantom's score is that of the product's own path."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from napari_dtn.nn.checkpoint import load_model
from napari_dtn.nn.heads import with_classes
from napari_dtn.teach.forgetting import phantom_auc

if TYPE_CHECKING:
    from pathlib import Path


def test_the_shipped_model_knows_the_phantom_and_chance_does_not(tiny_model: Path) -> None:
    shipped = load_model("dtn-snemi3d", "cpu")
    auc = phantom_auc(shipped)
    assert auc > 0.9
    assert phantom_auc(load_model(tiny_model, "cpu")) < auc - 0.2
    several = with_classes(shipped, ("myelin", "membrane", "inside"))
    assert phantom_auc(several) == pytest.approx(auc, abs=0.01)
    assert math.isnan(phantom_auc(with_classes(shipped, ("a", "b", "c"))))
