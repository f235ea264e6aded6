"""ISBI 2012: another animal, microscope and voxel size than the bundled models were trained on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_dtn.metrics import BoundaryHistogram, BoundaryScores, boundary_target
from napari_dtn.nn.checkpoint import Model
from napari_dtn.predict import Predictor, as_uint8
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import Volume, volume_from_array

ISBI = Path("../shared/data/isbi2012")
VOXEL_SIZE = (50.0, 4.0, 4.0)
TAUGHT, SCORED = range(24), range(24, 30)


def read(options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Read image and neurite ids, ``(Z, Y, X)`` each; a corner of each for a quick run."""
    files = [options.data / f"train-{name}.tif" for name in ("volume", "neurites")]
    missing = [str(file) for file in files if not file.exists()]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}. ISBI 2012: https://doi.org/10.1371/journal.pbio.1000502")
    images, ids = (tifffile.imread(file) for file in files)
    return (images[:, :256, :256], ids[:, :256, :256]) if options.quick else (images, ids)


def volume_of(images: np.ndarray) -> Volume:
    """Return the whole stack as the product sees it."""
    return volume_from_array(images, VOXEL_SIZE, "ISBI 2012")


def score(
    model: Model, images: np.ndarray, ids: np.ndarray, settings: PredictSettings | None = None
) -> BoundaryScores:
    """Predict the slices that nothing is taught on, as the product does, and score them by its rule."""
    predictor = Predictor.of(model, volume_of(images), settings)
    return scores((predictor.predict(z)[0] for z in SCORED), ids)


def scores(predictions: Any, ids: np.ndarray) -> BoundaryScores:
    """Score probabilities of the slices that nothing is taught on, as bytes, by the product's rule."""
    histogram = BoundaryHistogram(np.uint8)
    for z, probability in zip(SCORED, predictions, strict=True):
        histogram.add(as_uint8(probability), boundary_target(ids[z]))
    return histogram.scores()
