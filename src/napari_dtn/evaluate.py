"""A prediction laid over the truth, and scored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from napari_dtn.metrics import BOUNDARY_RULE, boundary_histogram, label_scores
from napari_dtn.pictures import save_curves
from napari_dtn.settings import Roi

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.volume.opening import Volume

Box = tuple[slice, slice, slice]


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
        The prediction does not cover the region, or the two do not fit each other.
    """
    covered = _covered(prediction, truth)
    box = _chosen(roi or Roi(), truth.shape, covered)
    predicted = prediction.data[
        tuple(_shifted(side, cover.start) for side, cover in zip(box, covered, strict=True))
    ]
    true = truth.data[box]
    region = {axis: [side.start, side.stop] for axis, side in zip("zyx", box, strict=True)}
    if kind == "labels":
        if plot is not None:
            raise ValueError("plot draws the curves of a boundary; labels have none.")
        return {"kind": kind, "region": region, **asdict(label_scores(predicted, true, box[0].start))}
    histogram = boundary_histogram(predicted, true)
    if plot is not None:
        save_curves(histogram, plot)
    return {"kind": kind, "rule": BOUNDARY_RULE, "region": region, **asdict(histogram.scores())}


def _covered(prediction: Volume, truth: Volume) -> Box:
    """Return the box of the truth that the prediction covers."""
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


def _shifted(side: slice, by: int) -> slice:
    return slice(side.start - by, side.stop - by)
