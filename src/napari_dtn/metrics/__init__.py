"""Scores of boundary probabilities, of segmentations and of class maps against a truth.

Volumes are read one slice at a time, so they may be larger than memory.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import label as connected_components

from napari_dtn.metrics.classes import ClassCounts as ClassCounts
from napari_dtn.metrics.classes import ClassScores as ClassScores
from napari_dtn.metrics.classes import mean_iou as mean_iou
from napari_dtn.metrics.stacks import SliceStack, check_same_shape, slice_pairs

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

logger = logging.getLogger(__name__)

BOUNDARY_RULE = "boundary where the id is 0 or any of the 4 neighbours in the slice has another id"
MASK_RULE = "boundary where the mask is not 0"

#: By what labels are: ids, a mask, or classes that somebody annotated.
RULES = {"ids": BOUNDARY_RULE, "mask": MASK_RULE, "classes": "boundary where it is annotated"}

#: Probabilities are kept this far from 0 and 1 in the cross entropy: half a step of an 8-bit probability.
LOSS_CLIP = 1 / 512

_FLOAT_BINS = 4096


def boundary_target(labels: ArrayLike) -> NDArray[np.bool_]:
    """Turn ids into the boundary map that a network is trained and scored on (``BOUNDARY_RULE``).

    Parameters
    ----------
    labels
        Ids, integer, shape (Y, X) or (Z, Y, X); 0 is membrane. Each slice is taken by itself.

    Returns
    -------
    boundary
        True on a boundary, same shape. Past the edge of the image there is no neighbour.

    Raises
    ------
    ValueError
        The array is neither (Y, X) nor (Z, Y, X).
    """
    ids = np.asarray(labels)
    if ids.ndim not in (2, 3):
        raise ValueError(f"Labels have shape {ids.shape}; give one slice (Y, X) or a volume (Z, Y, X).")
    boundary: NDArray[np.bool_] = ids == 0
    for axis in (-2, -1):
        _mark_changes(np.moveaxis(boundary, axis, 0), np.moveaxis(ids, axis, 0))
    return boundary


def refuse_mask(ids: Any) -> None:
    """Refuse a mask of membranes that is given as ids: by their rule it would be inverted.

    What may be an annotation is warned of: there may also be two neurites.

    Parameters
    ----------
    ids
        (Z, Y, X), anything that gives its slices one by one. A bool map passes, and so do integers of more
        than a byte, as ids have.

    Raises
    ------
    ValueError
        Bytes are 0 and 1, or 0 and 255, alone.
    """
    found: set[int] = set()
    for plane in map(np.asarray, ids):  # of ids, the first slice tells as a rule
        if plane.dtype.kind == "b" or plane.dtype.itemsize > 1 or len(found) > 3:
            return
        found |= set(np.unique(plane).tolist())
    if found in ({0, 1}, {0, 255}):
        raise ValueError(
            f"The labels hold 0 and {max(found)} alone, as a mask of membranes does; as ids, 0 would be "
            "membrane. Train takes it by --labels-kind mask, evaluate as bool (mask > 0); a neurite that is "
            "alone needs another id."
        )
    if found == {0, 1, 2}:
        logger.warning(
            "The labels hold 0, 1 and 2 alone, as an annotation does (not annotated, boundary, inside), and "
            "are taken for ids of two neurites. Train takes an annotation by --labels-kind classes; it is no "
            "truth."
        )


def _mark_changes(boundary: NDArray[np.bool_], ids: NDArray[Any]) -> None:
    """Set both pixels of every pair of unequal neighbours along the first axis."""
    change = ids[1:] != ids[:-1]
    boundary[1:] |= change
    boundary[:-1] |= change


@dataclass(frozen=True)
class BoundaryScores:
    """How well a boundary probability finds the boundary.

    Parameters
    ----------
    n_pixels
        Pixels compared.
    roc_auc
        Area under the ROC curve; ties count half (trapezoids).
    average_precision
        Mean precision weighted by the steps of recall, without interpolation.
    accuracy
        Share of pixels on the right side of probability 0.5.
    loss
        Mean binary cross entropy in nats, probabilities clipped to [1/512, 511/512].
    """

    n_pixels: int
    roc_auc: float
    average_precision: float
    accuracy: float
    loss: float


class BoundaryHistogram:
    """Counts of boundary and other pixels by predicted probability, filled slice by slice.

    8-bit predictions (``round(255 p)``) have a bin for every value, so their scores are exact. Floats fall
    into 4096 equal bins of [0, 1] and are scored by the middle of their bin.

    Parameters
    ----------
    dtype
        Of the predictions: ``uint8`` or a float type.

    Raises
    ------
    ValueError
        Another type.
    """

    def __init__(self, dtype: DTypeLike) -> None:
        self._eight_bit = np.dtype(dtype) == np.uint8
        if not self._eight_bit and np.dtype(dtype).kind != "f":
            raise ValueError(f"Predictions are {np.dtype(dtype)}; give uint8 (255 p) or float probabilities.")
        bins = 256 if self._eight_bit else _FLOAT_BINS
        self.positives: NDArray[np.int64] = np.zeros(bins, np.int64)
        self.negatives: NDArray[np.int64] = np.zeros(bins, np.int64)

    def add(self, probability: ArrayLike, target: ArrayLike) -> None:
        """Count one slice: predictions of the histogram's type, and a map that is True on a boundary.

        ValueError where the shapes differ or a probability is not in [0, 1].
        """
        values, truth = np.asarray(probability), np.asarray(target, bool)
        check_same_shape(values.shape, truth.shape)
        bins = self._bins_of(values.ravel())
        counts = np.bincount(2 * bins + truth.ravel(), minlength=2 * len(self.positives))
        self.negatives += counts[0::2]
        self.positives += counts[1::2]

    def _bins_of(self, values: NDArray[Any]) -> NDArray[np.intp]:
        if self._eight_bit != (values.dtype == np.uint8):
            raise ValueError(f"Predictions changed to {values.dtype}; a histogram takes one type.")
        if self._eight_bit:
            return values.astype(np.intp)
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise ValueError(f"Probabilities are {values.min()} to {values.max()}; they must be in 0 to 1.")
        # In float64, so that 0.5 opens a bin and a float32 just under it stays below.
        return np.minimum(values.astype(np.float64) * _FLOAT_BINS, _FLOAT_BINS - 1).astype(np.intp)

    @property
    def n_pixels(self) -> int:
        """Pixels counted so far."""
        return int(self.positives.sum() + self.negatives.sum())

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Probability that stands for each bin, ascending, shape (bins,)."""
        bins = len(self.positives)
        if self._eight_bit:
            return np.arange(bins) / 255
        return (np.arange(bins) + 0.5) / bins

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give false and true positive rates, ascending from (0, 0) to (1, 1), shape (bins + 1,) each.

        Entry k calls the k highest bins boundary. ValueError where the truth has one class only.
        """
        true, false = self._called()
        return false / false[-1], true / true[-1]

    def precision_recall(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give precision and recall, by ascending recall, shape (bins + 1,) each.

        Entry k calls the k highest bins boundary; precision is 1 where nothing is called. ValueError where
        the truth has one class only.
        """
        true, false = self._called()
        called = true + false
        precision = np.divide(true, called, out=np.ones(len(called)), where=called > 0)
        return precision, true / true[-1]

    def scores(self) -> BoundaryScores:
        """Score everything counted so far. ValueError where the truth has one class only."""
        false_rate, true_rate = self.roc()
        precision, recall = self.precision_recall()
        return BoundaryScores(
            n_pixels=self.n_pixels,
            roc_auc=float(np.trapezoid(true_rate, false_rate)),
            average_precision=float(np.sum(np.diff(recall) * precision[1:])),
            accuracy=self.accuracy(),
            loss=self.loss(),
        )

    def accuracy(self) -> float:
        """Share of pixels on the right side of probability 0.5."""
        called = self.thresholds >= 0.5
        return float((self.positives[called].sum() + self.negatives[~called].sum()) / self.n_pixels)

    def loss(self) -> float:
        """Mean binary cross entropy, as in :class:`BoundaryScores`."""
        p = self.thresholds.clip(LOSS_CLIP, 1 - LOSS_CLIP)
        total = self.positives @ np.log(p) + self.negatives @ np.log1p(-p)
        return float(-total / self.n_pixels)

    def _called(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count the true and the false pixels among the k highest bins, for k = 0 .. bins."""
        if not self.positives.any() or not self.negatives.any():
            what = "no boundary" if not self.positives.any() else "only boundary"
            raise ValueError(f"The truth has {what} in {self.n_pixels} pixels; score a region with both.")
        return _from_highest(self.positives), _from_highest(self.negatives)


def _from_highest(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts[::-1])])


def boundary_histogram(prediction: SliceStack, truth: SliceStack) -> BoundaryHistogram:
    """Count a boundary probability against a truth, reading both slice by slice.

    Parameters
    ----------
    prediction
        uint8 (255 p) or float p, shape (Y, X) or (Z, Y, X).
    truth
        Same shape: integer ids, to which ``BOUNDARY_RULE`` is applied, or a bool map that is True on a
        boundary.

    Raises
    ------
    ValueError
        The shapes differ, or the predictions are no probabilities.
    """
    check_same_shape(prediction.shape, truth.shape)
    histogram = BoundaryHistogram(prediction.dtype)
    for values, ids in slice_pairs(prediction, truth):
        histogram.add(values, ids if ids.dtype == bool else boundary_target(ids))
    return histogram


def boundary_scores(prediction: SliceStack, truth: SliceStack) -> BoundaryScores:
    """Score a boundary probability against ids or a boundary map, as ``boundary_histogram`` takes them.

    ValueError as there, and where the truth has one class only.
    """
    return boundary_histogram(prediction, truth).scores()


@dataclass(frozen=True)
class SliceScores:
    """Scores of one slice: connected components of the segmentation against those of the truth."""

    z: int
    are: float
    voi_split: float
    voi_merge: float


@dataclass(frozen=True)
class LabelScores:
    """How well a segmentation agrees with true ids; ``dataclasses.asdict`` gives what ``evaluate`` writes.

    Parameters
    ----------
    are
        Adapted Rand error, 1 - F score of pairs of voxels; 0 is perfect.
    are_precision
        Of the pairs joined by the segmentation, the share that the truth joins; merges lower it.
    are_recall
        Of the pairs joined by the truth, the share that the segmentation joins; splits lower it.
    voi_split
        H(segmentation | truth) in bits: the splits' share of the variation of information.
    voi_merge
        H(truth | segmentation) in bits: the merges' share.
    per_slice
        Scores in 2D of every slice that has a true object.
    """

    are: float
    are_precision: float
    are_recall: float
    voi_split: float
    voi_merge: float
    per_slice: tuple[SliceScores, ...]


@dataclass(frozen=True)
class Contingency:
    """Sparse table of how many voxels each pair of ids shares; shapes (pairs,), true id 0 left out."""

    segments: NDArray[Any]
    truths: NDArray[Any]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, segmentation: NDArray[Any], truth: NDArray[Any]) -> Contingency:
        """Count the pairs of ids of two arrays of one shape."""
        segments, truths, counts = _runs(segmentation.ravel(), truth.ravel())
        known = truths != 0
        return cls(segments[known], truths[known], counts[known])._summed()

    @classmethod
    def joined(cls, parts: list[Contingency]) -> Contingency:
        """Add tables up, such as those of all slices of a volume."""
        columns = zip(*((part.segments, part.truths, part.counts) for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))._summed()

    def _summed(self) -> Contingency:
        order = np.lexsort((self.truths, self.segments))
        segments, truths, counts = self.segments[order], self.truths[order], self.counts[order]
        starts = _starts(segments, truths)
        return Contingency(segments[starts], truths[starts], _sums(counts, starts))

    def rand(self) -> tuple[float, float, float]:
        """Adapted Rand error, precision and recall, over pairs of distinct voxels.

        The names follow the definition (Arganda-Carreras et al. 2015, doi 10.3389/fnana.2015.00142).
        scikit-image's ``adapted_rand_error`` documents the same but returns the two the other way round.
        """
        both, segments, truths = map(_pairs, (self.counts, *self._sizes()))
        return 1 - _share(2 * both, segments + truths), _share(both, segments), _share(both, truths)

    def variation_of_information(self) -> tuple[float, float]:
        """Return (split, merge) = (H(segmentation | truth), H(truth | segmentation)) in bits.

        The same order as scikit-image's ``variation_of_information(truth, segmentation)``.
        """
        n = self.counts.sum()
        joint, segments, truths = (_entropy(sizes / n) for sizes in (self.counts, *self._sizes()))
        return max(joint - truths, 0.0), max(joint - segments, 0.0)

    def _sizes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return _group_sums(self.segments, self.counts), _group_sums(self.truths, self.counts)


def _runs(first: NDArray[Any], second: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """Cut two flat arrays into runs of constant values: far fewer than voxels, and cheap to sort."""
    starts = _starts(first, second)
    return first[starts], second[starts], np.diff(starts, append=len(first)).astype(np.int64)


def _starts(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.intp]:
    change = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return np.flatnonzero(np.concatenate([[first.size > 0], change]))


def _sums(counts: NDArray[np.int64], starts: NDArray[np.intp]) -> NDArray[np.int64]:
    return np.add.reduceat(counts, starts) if len(starts) else counts[:0]


def _group_sums(ids: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(ids, kind="stable")
    return _sums(counts[order], _starts(ids[order], ids[order]))


def _pairs(sizes: NDArray[np.int64]) -> float:
    values = sizes.astype(np.float64)  # squares of whole volumes do not fit int64
    return float(np.sum(values * (values - 1)))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _entropy(p: NDArray[np.float64]) -> float:
    return float(-np.sum(p * np.log2(p)))


def label_scores(segmentation: SliceStack, truth: SliceStack, first_z: int = 0) -> LabelScores:
    """Score a segmentation against true ids, in 3D and slice by slice.

    The 3D scores compare the ids as they are; the 2D scores compare connected components (4 neighbours,
    background 0) of each slice on both sides. Voxels of true id 0 are ignored in both; id 0 of the
    segmentation counts as one more segment. Both are read slice by slice.

    Parameters
    ----------
    segmentation, truth
        Ids, integer, one shape, (Y, X) or (Z, Y, X).
    first_z
        Index that ``per_slice`` gives the first slice.

    Raises
    ------
    ValueError
        The shapes differ, an array holds no integers, or the truth has no object.
    """
    check_same_shape(segmentation.shape, truth.shape)
    for name, array in (("segmentation", segmentation), ("truth", truth)):
        if np.dtype(array.dtype).kind not in "ui":
            raise ValueError(f"The {name} is {array.dtype}; ids are integers.")
    tables, per_slice = [], []
    for z, (segments, ids) in enumerate(slice_pairs(segmentation, truth), start=first_z):
        if ids.any():
            tables.append(Contingency.of(segments, ids))
            per_slice.append(_slice_scores(z, segments, ids))
    if not tables:
        raise ValueError("The truth holds no object: every id is 0. Score a region that has true ids.")
    table = Contingency.joined(tables)
    return LabelScores(*table.rand(), *table.variation_of_information(), tuple(per_slice))


def _slice_scores(z: int, segments: NDArray[Any], ids: NDArray[Any]) -> SliceScores:
    components = (_components(segments), _components(ids))
    table = Contingency.of(*components)
    return SliceScores(z, table.rand()[0], *table.variation_of_information())


def _components(ids: NDArray[Any]) -> NDArray[Any]:
    # Ids above int64 (and signed ones below 0) would confuse the labelling; only equality matters.
    numbers = ids.astype(np.int64) if ids.dtype == np.uint64 else ids
    return np.asarray(connected_components(numbers, background=0, connectivity=1))  # type: ignore[no-untyped-call]
