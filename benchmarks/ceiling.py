"""What more training could bring: models averaged over mirror images, and with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.metrics import BoundaryHistogram, boundary_target
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.predict import Predictor, as_uint8
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dtn.settings import PredictSettings
    from napari_dtn.volume.opening import Volume

#: Axes that are flipped after rows and columns changed places, or did not: all eight ways to lay a slice.
LAID = [(turned, axes) for turned in (False, True) for axes in ((), (1,), (2,), (1, 2))]


def averages(
    models: Sequence[str], volume: Volume, labels: NDArray[Any], slices: range, settings: PredictSettings
) -> list[dict[str, Any]]:
    """Score each model as it is and averaged over all mirror images, and then the mean of all models."""
    seen = {name: _predicted(name, volume, slices, settings) for name in models}
    together = " and ".join(models)
    rows = []
    for images in (1, len(LAID)):
        maps = {name: np.mean(stacks[:images], axis=0) for name, stacks in seen.items()}
        for name, stack in {**maps, together: np.mean(list(maps.values()), axis=0)}.items():
            rows.append({"models": name, "mirror images": images, "roc_auc": _area(stack, labels, slices)})
    return rows


def _predicted(
    name: str, volume: Volume, slices: range, settings: PredictSettings
) -> list[NDArray[np.float32]]:
    """Return what a model sees in each mirror image, laid back, (slices, Y, X) each."""
    image, model, stacks = np.asarray(volume.data), load_model(name), []
    for turned, axes in LAID:
        mirrored = np.flip(image.swapaxes(1, 2) if turned else image, axes)
        one = volume_from_array(np.ascontiguousarray(mirrored), volume.voxel_size)
        predictor = Predictor.of(model, one, settings)
        stack = np.flip(np.stack([predictor.predict(z)[0] for z in slices]), axes)
        stacks.append(stack.swapaxes(1, 2) if turned else stack)
    return stacks


def _area(stack: NDArray[np.float32], labels: NDArray[Any], slices: range) -> float:
    histogram = BoundaryHistogram(np.uint8)
    for plane, z in zip(stack, slices, strict=True):
        histogram.add(as_uint8(plane), boundary_target(labels[z]))
    return histogram.scores().roc_auc
