"""How much of what its parent knew a model has forgotten: its score on a small phantom."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from napari_dtn.metrics import BoundaryHistogram, boundary_target
from napari_dtn.nn.checkpoint import Model
from napari_dtn.phantom import Phantom, PhantomSettings, make_phantom
from napari_dtn.predict import Predictor
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import volume_from_array
from napari_dtn.words import is_boundary

_SETTINGS = PhantomSettings(shape=(5, 320, 320), seed=6)
_SCORED = (1, 3)


def phantom_auc(model: Model) -> float:
    """Return the boundary ROC AUC on two slices of a phantom of fixed seed: a second or two of work.

    NaN for a model that has no boundary among its classes.
    """
    names = enumerate(model.card.class_names)
    channel = next((number for number, name in names if is_boundary(name)), None)
    if channel is None:
        return math.nan
    phantom = _phantom()
    volume = volume_from_array(phantom.image, phantom.voxel_size, "phantom")
    predictor = Predictor.of(model, volume, PredictSettings(backend="eager"))
    histogram = BoundaryHistogram(np.float32)
    for z in _SCORED:
        histogram.add(predictor.predict(z)[channel], boundary_target(phantom.labels[z]))
    return histogram.scores().roc_auc


def remembered(before: float, after: float | None) -> dict[str, Any]:
    """Return these scores as a card has them: plain JSON, which knows no NaN; None is not measured."""
    scores = {"before": before, "after": after}
    known = {when: auc for when, auc in scores.items() if auc is not None and not math.isnan(auc)}
    return {"phantom": known}


@cache
def _phantom() -> Phantom:
    return make_phantom(_SETTINGS)
