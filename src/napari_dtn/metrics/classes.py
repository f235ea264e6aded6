"""Scores of class maps: one table of true against predicted classes, pooled over all images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.metrics.stacks import check_same_shape

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: True index that no score counts, such as the void border of PASCAL VOC.
IGNORED = 255

# Half a step of an 8-bit probability, and the smallest that a float32 tells from 0.
_SMALLEST = {"u": 1 / 512, "f": float(np.finfo(np.float32).tiny)}


@dataclass(frozen=True)
class ClassScores:
    """How well class probabilities find the classes; ignored pixels count nowhere.

    Parameters
    ----------
    n_pixels
        Pixels compared.
    loss
        Mean cross entropy in nats. 8-bit probabilities count as at least 1/512, half of their step.
    accuracy
        Share of pixels whose most probable class is the true one.
    mean_iou
        Mean over classes of intersection over union, each over all pixels of all images. A background
        counts as every other class; a class on neither side does not count.
    iou
        Of every class; None for one on neither side.
    """

    n_pixels: int
    loss: float
    accuracy: float
    mean_iou: float
    iou: tuple[float | None, ...]


class ClassCounts:
    """Pixels by true and predicted class, and their cross entropy, filled image by image.

    Parameters
    ----------
    n_classes
        Number of classes.
    ignore
        True index that is left out.
    """

    def __init__(self, n_classes: int, ignore: int = IGNORED) -> None:
        self.ignore = ignore
        self.table: NDArray[np.int64] = np.zeros((n_classes, n_classes), np.int64)
        self._nats = 0.0

    def add(self, probability: ArrayLike, truth: ArrayLike) -> None:
        """Count an image.

        Parameters
        ----------
        probability
            uint8 (255 p) or float p, shape (C, ...).
        truth
            Class indices, shape (...).

        Raises
        ------
        ValueError
            The shapes differ, an index is out of range, or the probabilities are none.
        """
        p, true = np.asarray(probability), np.asarray(truth)
        if p.dtype != np.uint8 and p.dtype.kind != "f":
            raise ValueError(f"Predictions are {p.dtype}; give uint8 (255 p) or float probabilities.")
        check_same_shape(p.shape, (len(self.table), *true.shape))
        known = true != self.ignore
        p, true = p[:, known], true[known]
        self.table += _table(p.argmax(axis=0), true, len(self.table))
        self._nats -= _log_likelihood(p, true)

    def scores(self) -> ClassScores:
        """Score everything counted so far. ValueError where every true pixel was ignored."""
        right, iou = self.table.diagonal(), _iou(self.table, self.ignore)
        n_pixels = int(self.table.sum())
        return ClassScores(
            n_pixels=n_pixels,
            loss=self._nats / n_pixels,
            accuracy=float(right.sum() / n_pixels),
            mean_iou=float(np.nanmean(iou)),
            iou=tuple(None if np.isnan(value) else float(value) for value in iou),
        )


def mean_iou(prediction: ArrayLike, truth: ArrayLike, n_classes: int, ignore: int = IGNORED) -> float:
    """Mean over classes of intersection over union.

    Parameters
    ----------
    prediction, truth
        Class indices in ``0 .. n_classes - 1``, one shape.
    n_classes
        Number of classes. A class that occurs on neither side does not count in the mean.
    ignore
        True index that is left out, such as the void border of PASCAL VOC.

    Raises
    ------
    ValueError
        The shapes differ, an index is out of range, or no pixel is left to compare.
    """
    predicted, true = np.asarray(prediction), np.asarray(truth)
    check_same_shape(predicted.shape, true.shape)
    known = true != ignore
    return float(np.nanmean(_iou(_table(predicted[known], true[known], n_classes), ignore)))


def _table(predicted: NDArray[Any], true: NDArray[Any], n_classes: int) -> NDArray[np.int64]:
    """Count flat pairs of classes: rows are the true, columns the predicted ones."""
    predicted, true = predicted.astype(np.int64), true.astype(np.int64)
    for name, values in (("prediction", predicted), ("truth", true)):
        if values.size and not (values.min() >= 0 and values.max() < n_classes):
            found = f"{values.min()} to {values.max()}"
            raise ValueError(f"The {name} has classes {found}; they must be in 0 to {n_classes - 1}.")
    counts = np.bincount(true * n_classes + predicted, minlength=n_classes**2)
    return counts.astype(np.int64).reshape(n_classes, n_classes)


def _iou(table: NDArray[np.int64], ignored: int) -> NDArray[np.float64]:
    """Intersection over union of every class; NaN for one on neither side."""
    union = table.sum(0) + table.sum(1) - table.diagonal()
    if not union.any():
        raise ValueError(f"No pixel to compare: every true class is the ignored {ignored}.")
    iou: NDArray[np.float64] = np.full(len(table), np.nan)
    np.divide(table.diagonal(), union, out=iou, where=union > 0)
    return iou


def _log_likelihood(probability: NDArray[Any], true: NDArray[Any]) -> float:
    """Sum of the logarithms of what ``(C, n)`` gives the true classes ``(n,)``."""
    p = probability[true, np.arange(true.size)].astype(np.float64)
    p = p / 255 if probability.dtype == np.uint8 else p
    return float(np.log(p.clip(_SMALLEST[probability.dtype.kind], 1)).sum())
