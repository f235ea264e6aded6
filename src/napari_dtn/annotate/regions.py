"""Annotated pixels as regions: what is listed, and what is held back to score a model on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from math import dist
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects, label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_dtn.settings import Box

    Annotation = NDArray[np.uint8]

JOIN = 32
"""Pixels: strokes that lie closer are one region."""

PART = 96
"""Pixels: the side of the parts of a region that is alone."""

FEW, SHARE = 5, 0.2
_FAR = 100  # pixels: a slice further is as far as that


@dataclass(frozen=True)
class Region:
    """Annotated pixels of a slice that lie together.

    Parameters
    ----------
    z
        The slice.
    y, x
        The smallest box that holds them.
    pixels
        How many there are of each class.
    """

    z: int
    y: slice
    x: slice
    pixels: tuple[int, ...]

    @property
    def size(self) -> int:
        """Annotated pixels."""
        return sum(self.pixels)

    @property
    def box(self) -> Box:
        """Its place in the volume."""
        return slice(self.z, self.z + 1), self.y, self.x

    @property
    def centre(self) -> tuple[int, int, int]:
        """The middle of its box (z, y, x)."""
        return self.z, (self.y.start + self.y.stop) // 2, (self.x.start + self.x.stop) // 2


Group = tuple[Region, ...]


@dataclass(frozen=True)
class Taught:
    """What models have learned of this volume before, and what was held back from them.

    Parameters
    ----------
    held_out
        Boxes (z, y, x) that they were only scored on.
    learned
        Boxes that they learned from.
    """

    held_out: tuple[Box, ...] = ()
    learned: tuple[Box, ...] = ()

    def knows(self, boxes: Iterable[Box]) -> bool:
        """Whether any of these was learned from, if only in part."""
        return any(_overlap(one, box) for one in boxes for box in self.learned)

    def held(self, boxes: Iterable[Box]) -> bool:
        """Whether any of these was held back, if only in part."""
        return any(_overlap(one, box) for one in boxes for box in self.held_out)


NEVER_TAUGHT = Taught()


@dataclass(frozen=True)
class Fold:
    """Annotation that is held back, and the rest.

    Parameters
    ----------
    held
        Regions to score on.
    kept
        Regions to train on.
    """

    held: Group
    kept: Group


def find_regions(
    annotation: NDArray[np.uint8], z: int, classes: int, origin: tuple[int, int] = (0, 0), join: int = JOIN
) -> list[Region]:
    """Return the regions of a part of a slice.

    Annotated pixels are one region if they lie in cells of ``join`` pixels that touch, so those that are
    closer than that are always together, and those twice as far are not by themselves.

    Parameters
    ----------
    annotation
        (Y, X), 0 where nothing is known.
    z
        The slice.
    classes
        How many there are.
    origin
        First pixel of the part in the slice.
    join
        In pixels.
    """
    known = annotation > 0
    rows, columns = (np.arange(0, side, join) for side in annotation.shape)
    cells = np.logical_or.reduceat(np.logical_or.reduceat(known, rows, axis=0), columns, axis=1)
    numbers, count = label(cells, np.ones((3, 3)))
    group = np.repeat(np.repeat(numbers, join, 0)[: len(known)], join, 1)[:, : known.shape[1]] * known
    places = (group * (classes + 1) + annotation).ravel()
    pixels = np.bincount(places, minlength=(count + 1) * (classes + 1)).reshape(count + 1, classes + 1)
    return [
        _region(counts, box, z, origin)
        for counts, box in zip(pixels[1:, 1:], find_objects(group), strict=True)
    ]


def cut(annotation: NDArray[np.uint8], region: Region, side: int = PART) -> list[Region]:
    """Cut a region into parts of about the same size that hold annotated pixels.

    Parameters
    ----------
    annotation
        Of the region's box, (Y, X).
    region
        From :func:`find_regions`.
    side
        Of a part, at most, in pixels.
    """
    rows, columns = (_even(length, side) for length in annotation.shape)
    origin, classes = (region.y.start, region.x.start), len(region.pixels)
    boxes = list(product(rows, columns))
    counts = [np.bincount(annotation[box].ravel(), minlength=classes + 1)[1:] for box in boxes]
    return [
        _region(pixels, box, region.z, origin)
        for box, pixels in zip(boxes, counts, strict=True)
        if pixels.any()
    ]


def hold_out(
    regions: Sequence[Region], few: int = FEW, share: float = SHARE, taught: Taught = NEVER_TAUGHT
) -> list[Fold]:
    """Choose what is held back.

    Regions of a single class go with the nearest that have others, since no ranking of pixels can be scored
    on them alone. What was held back before stays so, and what was learned from is not held back, unless
    there is nothing else: a model scores too well on what it has learned from.

    Parameters
    ----------
    regions
        All that is annotated.
    few
        Up to so many groups, each is held back in turn: a fold for each. More of them make one fold.
    share
        Of the groups, held back where there are more than ``few``; evenly spread over the volume.
    taught
        What was done with this volume before.

    Returns
    -------
    list of Fold
        None where all is in one group: cut it first.
    """
    groups = _complete(sorted(regions, key=lambda one: one.centre))
    if len(groups) < 2:
        return []
    fresh = [group for group in groups if not taught.knows(one.box for one in group)] or groups
    before = [group for group in fresh if taught.held(one.box for one in group)]
    before = [] if len(before) == len(groups) else before
    every, wanted = round(1 / share), share * sum(map(_size, groups))
    if sum(map(_size, before)) > wanted / 2:
        return [_fold(groups, before)]
    if len(groups) <= few and not before:
        return [_fold(groups, [group]) for group in fresh]
    new = [group for group in fresh if group not in before]
    choices = [held for first in range(every) if (held := before + new[first::every])]
    return [_fold(groups, min(choices, key=lambda held: abs(sum(map(_size, held)) - wanted)))]


def folds_of(
    regions: Sequence[Region], known: Callable[[Region], Annotation], taught: Taught = NEVER_TAUGHT
) -> list[Fold]:
    """Choose what is held back, of parts of the regions where they are one group; as :func:`hold_out`.

    Parameters
    ----------
    regions
        All that is annotated.
    known
        Reads the annotation of a region's box, ``(height, width)``.
    taught
        As for :func:`hold_out`.
    """
    whole = hold_out(regions, taught=taught)
    return whole or hold_out([part for one in regions for part in cut(known(one), one)], taught=taught)


def _fold(groups: list[Group], held: list[Group]) -> Fold:
    return Fold(
        tuple(one for group in held for one in group),
        tuple(one for group in groups if group not in held for one in group),
    )


def _complete(regions: list[Region]) -> list[Group]:
    """Put regions of a single class to the nearest others, as long as there are any."""
    groups: list[Group] = [(one,) for one in regions]
    while len(groups) > 1 and (lacking := next((one for one in groups if _classes(one) < 2), None)):
        groups.remove(lacking)
        nearest = min(range(len(groups)), key=lambda place: _distance(groups[place], lacking))
        groups[nearest] += lacking
    return groups


def _classes(group: Group) -> int:
    return sum(any(counts) for counts in zip(*(one.pixels for one in group), strict=True))


def _overlap(box: Box, other: Box) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(box, other, strict=True))


def _size(group: Group) -> int:
    return sum(one.size for one in group)


def _distance(group: Group, other: Group) -> float:
    return min(dist((_FAR * a.z, *a.centre[1:]), (_FAR * b.z, *b.centre[1:])) for a in group for b in other)


def _region(pixels: NDArray[np.intp], box: tuple[slice, slice], z: int, origin: tuple[int, int]) -> Region:
    y, x = (slice(one.start + start, one.stop + start) for one, start in zip(box, origin, strict=True))
    return Region(z, y, x, tuple(int(count) for count in pixels))


def _even(length: int, side: int) -> list[slice]:
    """Cut an axis into as few even parts as are no longer than a side."""
    count = -(-length // side)
    ends = [round(number * length / count) for number in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]
