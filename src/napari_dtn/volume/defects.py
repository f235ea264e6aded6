"""Bad slices, from cheap statistics: black, saturated, blank, duplicated, strongly shifted, unreadable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dtn.volume.samples import Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dtn.volume.opening import Volume

Kind = Literal["black", "saturated", "blank", "duplicated", "shifted", "unreadable"]
MOST = 500  # slices that are looked at unless more are asked for

_PERCENT = np.linspace(0, 100, 101)
_EXTREME = 0.02  # of the range of grey values: how near its end a pixel is black or saturated
_SHARE = 0.3  # of a slice, more than in the slices around it: what is lost to black or white
_AROUND = 10  # slices on each side
_FLAT = 0.2  # of the usual contrast: less is blank
_SAME = 0.15  # of the usual unlikeness of neighbours: less is the same section again
_UNLIKE = 0.75  # of the usual likeness: less is worth a look for a shift
_ALIKE = 0.1  # likeness of neighbours: below, they have nothing in common that could be shifted
_REGAINED = 0.1  # likeness that undoing a shift must bring
_STRONG = 10  # pixels


@dataclass(frozen=True)
class BadSlice:
    """What is wrong with a slice.

    Parameters
    ----------
    z
        The slice.
    kind
        ``black`` or ``saturated``: a large part is at the dark or the bright end of the grey values;
        ``blank``: next to no contrast; ``duplicated``: the same section as the reference; ``shifted``
        against the reference; ``unreadable``.
    share
        Of its pixels that are black or saturated.
    reference
        The slice that it repeats or is shifted against.
    shift
        Along Y and X, in pixels.
    """

    z: int
    kind: Kind
    share: float = 0.0
    reference: int | None = None
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class SliceReport:
    """The bad slices of a volume, and what was looked at to find them.

    Parameters
    ----------
    bad
        In the order of z, one for each bad slice.
    checked, slices
        How many slices were looked at, and how many there are.
    level, windows, side
        Which level was looked at, through how many windows, and the larger side of a window.
    """

    bad: tuple[BadSlice, ...]
    checked: int
    slices: int
    level: int
    windows: int
    side: int


@dataclass(frozen=True)
class SliceCheck:
    """How far the search is; the last one brings the report."""

    done: int
    total: int
    report: SliceReport | None = None


@dataclass(frozen=True, eq=False)
class SliceStatistics:
    """What is known about a slice that was looked at.

    Parameters
    ----------
    z
        The slice.
    percentiles
        Of its grey values, the 0th to the 100th; None where it cannot be read.
    contrast
        Standard deviation of its grey values.
    likeness
        Correlation with slice z - 1; None where that was not looked at.
    """

    z: int
    percentiles: NDArray[np.float64] | None
    contrast: float = 0.0
    likeness: float | None = None


def is_left_out(kind: str) -> bool:
    """Whether no object should be sought in slices of a kind; duplicated ones are as good as others."""
    return kind != "duplicated"


def find_bad_slices(volume: Volume, most: int = MOST) -> SliceReport:
    """Find the bad slices of a volume of grey values; see :func:`check_slices`."""
    *_, last = check_slices(volume, most)
    assert last.report is not None
    return last.report


def check_slices(volume: Volume, most: int = MOST) -> Iterator[SliceCheck]:
    """Look at the slices of a volume one after the other, and judge them at the end.

    The work is bounded: at most ``most`` slices, each as a whole up to 1024 x 1024 pixels (at a coarser level
    where the volume has one), else through four windows of 512 x 512.

    Parameters
    ----------
    volume
        Of grey values.
    most
        Slices to look at; where there are more, runs of eight, spread evenly.

    Yields
    ------
    SliceCheck
        After each slice; the last one has the report.
    """
    sampler = Sampler.of(volume, most)
    statistics: list[SliceStatistics] = []
    before: NDArray[np.float32] | None = None
    total = len(sampler.slices)
    for done, z in enumerate(sampler.slices, 1):
        neighbours = bool(statistics) and statistics[-1].z == z - 1
        found, before = _look(sampler, z, before if neighbours else None)
        statistics.append(found)
        yield SliceCheck(done, total)
    lost = [*unreadable(statistics), *without_contrast(statistics)]
    lost += repeated(statistics, {bad.z for bad in lost})
    bad = [*lost, *_shifted(statistics, {bad.z for bad in lost}, sampler)]
    side = max(part.stop - part.start for part in sampler.windows[0])
    ordered = tuple(sorted(bad, key=lambda one: one.z))
    report = SliceReport(ordered, total, volume.shape[0], sampler.number, len(sampler.windows), side)
    yield SliceCheck(total, total, report)


def _look(
    sampler: Sampler, z: int, before: NDArray[np.float32] | None
) -> tuple[SliceStatistics, NDArray[np.float32] | None]:
    try:
        pixels = sampler.pixels(z)
    except MemoryError:
        raise
    except Exception:  # whatever a file's library raises of a damaged chunk; the slice is reported
        return SliceStatistics(z, None), None
    view = sampler.view(pixels)
    step = max(1, min(pixels.shape[1:]) // 128)
    some = pixels[:, ::step, ::step]
    likeness = None if before is None else correlation(before, view)
    return SliceStatistics(z, np.percentile(some, _PERCENT), float(some.std()), likeness), view


# ---- judgements: from statistics alone


def unreadable(statistics: Sequence[SliceStatistics]) -> list[BadSlice]:
    """Name the slices that could not be read."""
    return [BadSlice(one.z, "unreadable") for one in statistics if one.percentiles is None]


def without_contrast(statistics: Sequence[SliceStatistics]) -> list[BadSlice]:
    """Name the slices that are black, saturated or blank, beside those around them.

    Bright and dim slices are no defect as long as their structures are there: what counts is how much of a
    slice lies at an end of the volume's range of grey values, or how little contrast it has.
    """
    known = [one for one in statistics if one.percentiles is not None]
    if not known:
        return []
    table = np.array([one.percentiles for one in known])
    low, high = table[:, 0].min(), table[:, -1].max()
    margin = _EXTREME * (high - low)
    black, white = (table <= low + margin).mean(axis=1), (table >= high - margin).mean(axis=1)
    contrasts = np.array([one.contrast for one in known])
    usual = float(np.median(contrasts[contrasts > 0])) if contrasts.any() else 1.0
    found = []
    for i, one in enumerate(known):
        around = slice(max(0, i - _AROUND), i + _AROUND + 1)
        flat = contrasts[i] < _FLAT * usual
        shares: tuple[tuple[Kind, NDArray[np.float64]], ...] = (("black", black), ("saturated", white))
        for kind, share in shares:
            if share[i] - np.median(share[around]) >= _SHARE or (flat and share[i] > 0.5):
                found.append(BadSlice(one.z, kind, float(share[i])))
                break
        else:
            if flat:
                found.append(BadSlice(one.z, "blank"))
    return found


def repeated(statistics: Sequence[SliceStatistics], lost: set[int]) -> list[BadSlice]:
    """Name the slices that are far more like the one before than neighbours usually are."""
    usual = _usual_likeness(statistics, lost)
    return [
        BadSlice(one.z, "duplicated", reference=one.z - 1)
        for one in _pairs(statistics, lost)
        if one.likeness is not None and 1 - one.likeness <= _SAME * (1 - usual)
    ]


def _pairs(statistics: Sequence[SliceStatistics], lost: set[int]) -> list[SliceStatistics]:
    """Return the slices that have been compared with the one before, both of them good."""
    return [one for one in statistics if one.likeness is not None and not {one.z, one.z - 1} & lost]


def _usual_likeness(statistics: Sequence[SliceStatistics], lost: set[int]) -> float:
    likenesses = [one.likeness for one in _pairs(statistics, lost) if one.likeness is not None]
    return float(np.median(likenesses)) if likenesses else 1.0


# ---- shifts: from the views of the few slices that are unlike the one before


def _shifted(statistics: Sequence[SliceStatistics], lost: set[int], sampler: Sampler) -> list[BadSlice]:
    """Name the slices that are shifted against the last good one before.

    Where the next slice agrees with a shifted one, the stack goes on from there: the shift is named once.
    """
    usual = _usual_likeness(statistics, lost)
    if usual < _ALIKE:
        return []
    found: list[BadSlice] = []
    good: int | None = None
    for one in statistics:
        if one.z in lost:
            continue
        likely = one.likeness is not None and one.z - 1 not in lost and one.likeness >= _UNLIKE * usual
        if good is not None and not likely and one.z - good <= _AROUND:
            shift = _shift_between(sampler, good, one.z, usual)
            if shift is not None:
                found.append(BadSlice(one.z, "shifted", reference=good, shift=shift))
                continue
        good = one.z
    return found


def _shift_between(sampler: Sampler, first: int, second: int, usual: float) -> tuple[float, float] | None:
    """Return the shift of a slice against another in pixels, or None where there is no strong one."""
    fixed, moved = (sampler.view(sampler.pixels(z)) for z in (first, second))
    y, x = estimate_shift(fixed, moved)
    shift = y * sampler.factors[0], x * sampler.factors[1]
    least = max(_STRONG, 2 * max(sampler.factors))
    if max(abs(shift[0]), abs(shift[1])) < least:
        return None
    regained = correlation(*_overlap(fixed, moved, (y, x)))
    enough = max(correlation(fixed, moved) + _REGAINED, usual / 2)
    return shift if regained >= enough else None


def estimate_shift(fixed: NDArray[np.float32], moved: NDArray[np.float32]) -> tuple[int, int]:
    """Return by how many pixels along Y and X views are shifted: the median of the views' cross-correlations.

    Parameters
    ----------
    fixed, moved
        (views, height, width).
    """
    from skimage.registration import phase_cross_correlation

    height, width = fixed.shape[1:]
    fade = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    register: Any = phase_cross_correlation
    shifts = [
        register((a - a.mean()) * fade, (b - b.mean()) * fade, normalization=None)[0]
        for a, b in zip(fixed, moved, strict=True)
    ]
    y, x = np.median(shifts, axis=0)
    return -round(float(y)), -round(float(x))


def _overlap(
    fixed: NDArray[np.float32], moved: NDArray[np.float32], shift: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cut the parts that show the same place."""
    (y, x), (height, width) = shift, fixed.shape[1:]
    here = fixed[:, max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    there = moved[:, max(0, y) : height - max(0, -y), max(0, x) : width - max(0, -x)]
    return here, there


def correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return Pearson's correlation, each view about its own mean; 0 where one has no contrast."""
    a, b = (part - part.mean(axis=(1, 2), keepdims=True) for part in (first, second))
    scale = float(np.sqrt((a * a).sum(dtype=np.float64) * (b * b).sum(dtype=np.float64)))
    return float((a * b).sum(dtype=np.float64)) / scale if scale else 0.0
