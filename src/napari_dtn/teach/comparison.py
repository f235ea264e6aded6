"""Versions of a model side by side on the held-out regions: scores, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dtn.annotate.thumbnails import draw, in_grey, rgb
from napari_dtn.nn.checkpoint import Model
from napari_dtn.patches import window_holding
from napari_dtn.predict import Predictor
from napari_dtn.settings import PredictSettings, TrainSettings
from napari_dtn.teach.data import TeachData
from napari_dtn.teach.pieces import Piece, Pieces, cut
from napari_dtn.train.data import spread
from napari_dtn.train.validation import validate
from napari_dtn.volume.opening import Volume, volume_from_array

_SIDE = 192  # pixels of a picture
Colours = NDArray[np.uint8]


@dataclass(frozen=True)
class Compared:
    """What a model scores on the held-out regions.

    Parameters
    ----------
    name
        Of the model.
    scores
        ``n_pixels``, ``loss``, ``accuracy`` and ``roc_auc`` or ``mean_iou``; of all regions together. No
        ``roc_auc`` where they hold one class only.
    """

    name: str
    scores: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Seen:
    """A held-out place.

    Parameters
    ----------
    z, y, x
        Where it is.
    pictures
        Colours ``(height, width, 3)``: the ``image``, what is ``annotated`` and held out on it, and what each
        model sees, under its name: white is boundary; several classes have the colours of annotations.
    """

    z: int
    y: slice
    x: slice
    pictures: Mapping[str, Colours]


def compare(models: Mapping[str, Model], data: TeachData) -> list[Compared]:
    """Score models on the held-out regions of the same data, in the order given.

    Raises
    ------
    ValueError
        Nothing is held out, or a model tells other classes apart.
    """
    if not data.questions:
        raise ValueError("No region is held out; hold some out to compare models on them.")
    return [Compared(name, _scores(model, data)) for name, model in models.items()]


def _scores(model: Model, data: TeachData) -> Mapping[str, float]:
    data.check(model.card.network)
    settings = TrainSettings(patch_size=model.card.patch_size)
    return validate(model.network, data, settings, model.device).scores


def look(models: Mapping[str, Model], data: TeachData, most: int = 8) -> Iterator[Seen]:
    """Look at held-out places through the eyes of models, one place after the other.

    Parameters
    ----------
    models
        By their names.
    data
        Their held-out regions; large ones are several places.
    most
        How many places, spread over all.
    """
    volume = volume_from_array(data.image, data.voxel_size, data.name)
    settings = PredictSettings(backend="eager")
    predictors = {
        name: Predictor.of(model, volume, settings, data.intensity) for name, model in models.items()
    }
    held_out = Pieces(volume.shape, data.questions)
    for cell in spread([cell for piece in data.questions for cell in cut(piece, _SIDE)], most):
        yield _look(volume, held_out, predictors, cell)


def _look(volume: Volume, held_out: Pieces, predictors: Mapping[str, Predictor], cell: Piece) -> Seen:
    y, x = (
        window_holding((side.start + side.stop) // 2, length, _SIDE)
        for side, length in zip((cell.y, cell.x), held_out.shape[1:], strict=True)
    )
    image = in_grey(np.asarray(volume.data[cell.z, y, x], np.float32))
    annotated = image.copy()
    draw(annotated, held_out[cell.z, y, x])
    seen = {name: _seen(predictor, cell.z, y, x) for name, predictor in predictors.items()}
    return Seen(cell.z, y, x, {"image": image, "annotated": annotated, **seen})


def _seen(predictor: Predictor, z: int, y: slice, x: slice) -> Colours:
    """Mix the colours of the classes by their probabilities."""
    out = np.zeros((predictor.classes, y.stop - y.start, x.stop - x.start), np.float32)
    for _ in predictor.slice_steps(z, y, x, out):
        pass
    colours = [(255, 255, 255)] if predictor.classes == 1 else [rgb(n) for n in range(predictor.classes)]
    mixed: NDArray[np.float32] = np.tensordot(out, np.array(colours, np.float32), (0, 0))
    return np.rint(mixed).clip(0, 255).astype(np.uint8)
