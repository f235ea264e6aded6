"""A prediction laid over the truth, and scored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dtn.metrics import (
    BOUNDARY_RULE,
    MASK_RULE,
    ClassCounts,
    boundary_histogram,
    label_scores,
    refuse_mask,
)
from napari_dtn.pictures import save_curves
from napari_dtn.settings import Box, Roi
from napari_dtn.volume.content import check_boundaries, check_ids, check_indices
from napari_dtn.volume.opening import check_same_voxels
from napari_dtn.volume.writing import check_finished

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from napari_dtn.volume.opening import Volume


def evaluate(
    prediction: Volume,
    truth: Volume,
    kind: Literal["boundary", "labels"],
    roi: Roi | None = None,
    plot: Path | None = None,
) -> dict[str, Any]:
    """Score a prediction against the truth.

    Parameters
    ----------
    prediction
        Of a box of the truth's volume, or of all of it; its stored translation says where it lies.
    truth
        Neurite ids ``(Z, Y, X)``; for a boundary also a bool map.
    kind
        ``boundary``: probabilities, scored by ``BOUNDARY_RULE``. ``labels``: ids.
    roi
        What to score, in voxels of the truth; what the prediction covers, by default.
    plot
        Draw the ROC and the precision-recall curve of a boundary into this picture.

    Returns
    -------
    dict
        Plain JSON values; for ``boundary``: ``kind``, ``rule``, ``region``, ``n_pixels``, ``roc_auc``,
        ``average_precision``, ``accuracy``, ``loss``; for ``labels``: ``kind``, ``region`` and the fields of
        ``LabelScores``.

    Raises
    ------
    ValueError
        The prediction does not cover the region, or the two do not fit each other; or a mask has integers;
        or one of them is plainly something else, such as an annotation.
    """
    check_finished(prediction.path)
    check_ids(truth.path)
    if kind == "labels":
        check_ids(prediction.path)
    else:
        check_boundaries(prediction)
    box, inside = _laid_over(prediction, truth, roi)
    predicted, true, region = prediction.data[inside], truth.data[box], _region(box)
    if kind == "labels":
        if plot is not None:
            raise ValueError("plot draws the curves of a boundary; labels have none.")
        return {"kind": kind, "region": region, **asdict(label_scores(predicted, true, box[0].start))}
    refuse_mask(true)
    histogram = boundary_histogram(predicted, true)
    if plot is not None:
        save_curves(histogram, plot)
    rule = MASK_RULE if true.dtype == bool else BOUNDARY_RULE
    return {"kind": kind, "rule": rule, "region": region, **asdict(histogram.scores())}


def evaluate_classes(
    channels: Sequence[Volume], names: Sequence[str], truth: Volume, roi: Roi | None = None
) -> dict[str, Any]:
    """Score the class probabilities of a volume against a volume of class indices.

    Parameters
    ----------
    channels
        The probability of each class, of a box of the truth's volume, or of all of it.
    names
        Of the classes.
    truth
        Class indices from 0 ``(Z, Y, X)``; 255 is ignored.
    roi
        What to score, in voxels of the truth; what the prediction covers, by default.

    Returns
    -------
    dict
        Plain JSON values: ``kind``, ``region`` and those of :func:`class_scores`.

    Raises
    ------
    ValueError
        There are not two channels or more, the prediction does not cover the region, or the two do not
        fit each other; or the truth is an annotation.
    """
    if len(channels) < 2:
        raise ValueError(
            f"{channels[0].name} has one map; classes need a probability for each of them (axes czyx). "
            "Score it as a boundary, or as labels."
        )
    check_indices(truth.path)
    box, inside = _laid_over(channels[0], truth, roi)

    def slices() -> Iterator[tuple[ArrayLike, ArrayLike]]:
        maps = [channel.data[inside] for channel in channels]
        for z, true in enumerate(truth.data[box]):
            yield np.stack([one[z] for one in maps]), np.asarray(true)

    return {"kind": "classes", "region": _region(box), **class_scores(slices(), names)}


def class_scores(pairs: Iterable[tuple[ArrayLike, ArrayLike]], names: Sequence[str]) -> dict[str, Any]:
    """Score class probabilities, pooled over all images.

    Parameters
    ----------
    pairs
        Of each image the probabilities ``(C, Y, X)``, uint8 (255 p) or float p, and the true class indices
        ``(Y, X)``; 255 is ignored.
    names
        Of the classes.

    Returns
    -------
    dict
        Plain JSON values: ``n_pixels``, ``loss``, ``accuracy``, ``mean_iou`` (over all classes, a background
        among them) and ``iou_per_class``, by name, None for a class on neither side.

    Raises
    ------
    ValueError
        A truth has other classes, or is all ignored.
    """
    counts = ClassCounts(len(names))
    for probability, truth in pairs:
        counts.add(probability, truth)
    scores = asdict(counts.scores())
    iou = scores.pop("iou")
    return {**scores, "iou_per_class": dict(zip(names, iou, strict=True))}


def _laid_over(prediction: Volume, truth: Volume, roi: Roi | None) -> tuple[Box, Box]:
    """Return the box to score, in voxels of the truth and in voxels of the prediction."""
    covered = _covered(prediction, truth)
    box = _chosen(roi or Roi(), truth.shape, covered)
    z, y, x = (
        slice(side.start - cover.start, side.stop - cover.start)
        for side, cover in zip(box, covered, strict=True)
    )
    return box, (z, y, x)


def _region(box: Box) -> dict[str, list[int]]:
    return {axis: [side.start, side.stop] for axis, side in zip("zyx", box, strict=True)}


def _covered(prediction: Volume, truth: Volume) -> Box:
    """Return the box of the truth that the prediction covers."""
    check_same_voxels(prediction, truth)
    offsets = [round(a - b) for a, b in zip(prediction.origin, truth.origin, strict=True)]
    z, y, x = (slice(start, start + size) for start, size in zip(offsets, prediction.shape, strict=True))
    return z, y, x


def _chosen(roi: Roi, shape: tuple[int, int, int], covered: Box) -> Box:
    """Return the box to score; where the choice leaves an end open, as far as the prediction goes."""
    ends = (
        tuple(
            default if end is None else end
            for end, default in zip(chosen, (cover.start, cover.stop), strict=True)
        )
        for chosen, cover in zip((roi.z, roi.y, roi.x), covered, strict=True)
    )
    box = Roi(*ends).within(shape)  # type: ignore[arg-type]
    for axis, side, cover in zip("zyx", box, covered, strict=True):
        if side.start < cover.start or side.stop > cover.stop:
            raise ValueError(
                f"{axis} {side.start}:{side.stop} is not all predicted; the prediction covers "
                f"{axis} {cover.start}:{cover.stop}."
            )
    return box
