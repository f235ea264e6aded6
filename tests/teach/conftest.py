"""A phantom with some strokes, and what to teach with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.metrics import boundary_target
from napari_dtn.nn.checkpoint import Model, load_model
from napari_dtn.teach.data import TeachData
from napari_dtn.volume.intensity import estimate_intensity

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.phantom import Phantom

HELD = (slice(1, 2), slice(0, 30), slice(0, 80))


@pytest.fixture
def parent(tiny_model: Path) -> Model:
    return load_model(tiny_model, "cpu")


@pytest.fixture
def data(tiny_phantom: Phantom) -> TeachData:
    """Bands of true annotation on two slices, one of them held out."""
    truth = np.where(boundary_target(tiny_phantom.labels), 1, 2).astype(np.uint8)
    painted = np.zeros_like(truth)
    for z, y in ((1, slice(0, 30)), (3, slice(40, 80))):
        painted[z, y] = truth[z, y]
    return TeachData(
        tiny_phantom.image,
        painted,
        estimate_intensity(tiny_phantom.image),
        held_out=(HELD,),
        name="phantom",
        voxel_size=(30, 6, 6),
    )
