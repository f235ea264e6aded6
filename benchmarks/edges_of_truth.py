"""Where a network errs: its ROC AUC without the pixels near which the truth changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_dtn.metrics import BoundaryHistogram, boundary_target
from napari_dtn.predict import Predictor, as_uint8

if TYPE_CHECKING:
    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.settings import PredictSettings
    from napari_dtn.volume.opening import Volume

LEFT_OUT = (0, 1, 2, 3, 5)  # pixels


def areas_off_edges(
    model: Model, volume: Volume, labels: np.ndarray, slices: range, settings: PredictSettings
) -> list[dict[str, Any]]:
    """Score slices several times, each time without the pixels so near to one of the other kind."""
    predictor = Predictor.of(model, volume, settings)
    histograms = {pixels: BoundaryHistogram(np.uint8) for pixels in LEFT_OUT}
    for z in slices:
        probability, target = as_uint8(predictor.predict(z)[0]), boundary_target(labels[z])
        distance = distance_to_the_other(target)
        for pixels, histogram in histograms.items():
            far = distance > pixels
            histogram.add(probability[far], target[far])
    whole = histograms[0].n_pixels
    return [
        {"left out, px": pixels, "pixels": histogram.n_pixels / whole, "roc_auc": histogram.scores().roc_auc}
        for pixels, histogram in histograms.items()
    ]


def distance_to_the_other(target: np.ndarray) -> np.ndarray:
    """Return how many steps each pixel is away from one of the other kind; 1 for its neighbours."""
    inside, outside = (ndimage.distance_transform_cdt(kind, "taxicab") for kind in (target, ~target))
    return np.maximum(inside, outside)
