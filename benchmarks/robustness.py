"""Slices changed in known ways, with the truth changed alike, and another animal's slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_dtn.augment import NOT_ANNOTATED, augment_patch
from napari_dtn.metrics import BoundaryHistogram
from napari_dtn.patches import BOUNDARY, TrainingVolume
from napari_dtn.predict import Predictor, as_uint8
from napari_dtn.settings import AugmentSettings
from napari_dtn.volume.intensity import Intensity, estimate_intensity
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.volume.opening import Volume

_NORMALISED = Intensity(0.0, 1.0, -3.0, 3.0)


@dataclass(frozen=True)
class Slices:
    """Normalised slices ``(Z, Y, X)`` and what is known about their pixels."""

    images: np.ndarray
    annotations: np.ndarray

    def roc_auc(self, model: Model) -> float:
        """Predict them as the product does, and score what is annotated."""
        volume = volume_from_array(self.images, model.card.voxel_size)
        predictor = Predictor.of(model, volume, intensity=_NORMALISED)
        histogram = BoundaryHistogram(np.uint8)
        for z, annotation in enumerate(self.annotations):
            known = annotation != NOT_ANNOTATED
            histogram.add(as_uint8(predictor.predict(z)[0])[known], annotation[known] == BOUNDARY)
        return histogram.scores().roc_auc


def changed_slices(volume: Volume, labels: np.ndarray, tested: range) -> Iterator[tuple[str, Slices]]:
    """Yield SNEMI3D slices under each change, with its name."""
    known = TrainingVolume(volume.data, labels, "ids", estimate_intensity(volume))
    for name, matrix in _MATRICES.items():
        yield name, _warped(known, tested, matrix)
    for amplitude in (10, 20):
        yield f"elastic deformation, up to {amplitude} px", _deformed(known, tested, amplitude)


# From offsets (y, x) in the changed slice to offsets in the original: a zoom of 2 looks at half as much.
_MATRICES = {
    **{f"zoom {zoom:g}": np.eye(2) / zoom for zoom in (0.5, 0.67, 1.0, 1.5, 2.0)},
    "compressed along y to 0.7": np.diag([1 / 0.7, 1.0]),
    "compressed along y to 0.5": np.diag([1 / 0.5, 1.0]),
    "sheared by 0.3": np.array([[1.0, 0.3], [0.0, 1.0]]),
    "sheared by 0.6": np.array([[1.0, 0.6], [0.0, 1.0]]),
}


def _warped(known: TrainingVolume, tested: range, matrix: np.ndarray, size: int | None = None) -> Slices:
    _, height, width = known.image.shape
    size = size or min(height, width)
    pairs = [known.warped_window((z, height // 2, width // 2), matrix, size) for z in tested]
    return _stacked(pairs)


def _deformed(known: TrainingVolume, tested: range, amplitude: float) -> Slices:
    still = AugmentSettings(flips=False, contrast=0, brightness=0, noise=0, defects=0, elastic=amplitude)
    y, x = (slice(0, side) for side in known.image.shape[1:])
    pairs = [augment_patch(*known.window(z, y, x), still, np.random.default_rng(z)) for z in tested]
    return _stacked(pairs)


def _stacked(pairs: list[tuple[Any, Any]]) -> Slices:
    return Slices(np.stack([image[0] for image, _ in pairs]), np.stack([known for _, known in pairs]))


def isbi(folder: Path, quick: bool) -> Iterator[tuple[str, Slices]]:
    """Yield all of ISBI 2012 (Drosophila, 4 nm pixels), as it is and at the 6 nm of SNEMI3D."""
    images = tifffile.imread(folder / "isbi2012" / "train-volume.tif")
    ids = tifffile.imread(folder / "isbi2012" / "train-neurites.tif")
    known = TrainingVolume(images, ids, "ids", estimate_intensity(images))
    tested = range(1 if quick else len(images))
    yield "ISBI 2012, 4 nm", _warped(known, tested, np.eye(2))
    side = round(images.shape[1] * 4 / 6)
    yield "ISBI 2012, resampled to 6 nm", _warped(known, tested, np.eye(2) * 6 / 4, side)
