"""One slice by several models: which decisions differ, and who is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dtn.metrics import boundary_scores, boundary_target
from napari_dtn.predict.blending import Float, as_uint8
from napari_dtn.predict.predictor import Predictor

_BOUNDARY = 128  # of 255: the probability from which a pixel is called boundary


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a model says of a region of a slice, and how that differs from the first model's.

    Parameters
    ----------
    plane
        Probability of boundary, uint8, ``(Y, X)``.
    changed
        ``(Y, X)``: 1 where the first model says boundary and this one does not, -1 the other way round.
    largest
        Largest difference of the probabilities.
    roc_auc
        Against the truth; None without one.
    """

    plane: NDArray[np.uint8]
    changed: NDArray[np.int8]
    largest: float
    roc_auc: float | None

    @property
    def share(self) -> float:
        """Share of the pixels whose decision differs."""
        return float(np.count_nonzero(self.changed) / self.changed.size)


@dataclass(frozen=True, eq=False)
class Comparison:
    """How far a comparison is; once all is done, what each model says, by its name."""

    done: int
    total: int
    opinions: Mapping[str, Opinion] | None = None


def compare(
    predictors: Mapping[str, Predictor],
    z: int,
    y: slice,
    x: slice,
    truth: NDArray[np.integer] | None = None,
) -> Iterator[Comparison]:
    """Predict a region of slice z by several models of one class.

    Parameters
    ----------
    predictors
        By name; the others are compared with the first.
    z, y, x
        The region.
    truth
        Ids ``(Y, X)`` of the region.

    Raises
    ------
    ValueError
        A model has several classes.
    """
    for name, predictor in predictors.items():
        if predictor.classes > 1:
            raise ValueError(
                f"{name} has {predictor.classes} classes; models of one boundary can be compared."
            )
    total = sum(len(predictor.grid.over(y, x)) for predictor in predictors.values())
    done, planes = 0, {}
    for name, predictor in predictors.items():
        out: Float = np.zeros((1, y.stop - y.start, x.stop - x.start), np.float32)
        for count in predictor.slice_steps(z, y, x, out):
            done += count
            yield Comparison(done, total)
        planes[name] = as_uint8(out[0])
    first = next(iter(planes.values()))
    target = None if truth is None else boundary_target(truth)
    yield Comparison(done, total, {name: _opinion(plane, first, target) for name, plane in planes.items()})


def _opinion(plane: NDArray[np.uint8], first: NDArray[np.uint8], target: NDArray[np.bool_] | None) -> Opinion:
    changed = (first >= _BOUNDARY).astype(np.int8) - (plane >= _BOUNDARY).astype(np.int8)
    largest = float(np.abs(first.astype(np.int16) - plane).max() / 255)
    both = target is not None and 0 < target.mean() < 1
    auc = boundary_scores(plane[None], target[None]).roc_auc if both and target is not None else None
    return Opinion(plane, changed, largest, auc)
