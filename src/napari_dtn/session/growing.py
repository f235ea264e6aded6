"""Prompts become an object, in a view that grows with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.segment.clicks import Seeds, grow
from napari_dtn.session.evidence import Mark, Stack, View
from napari_dtn.session.mask import Mask
from napari_dtn.session.prompts import box_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_dtn.session.evidence import Evidence
    from napari_dtn.session.prompts import Active, Point
    from napari_dtn.settings import ClickSettings

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Grown:
    """The object as far as it is found.

    Parameters
    ----------
    mask
        The object.
    slices
        That were searched.
    finished
        Whether that was all.
    view
        What was searched.
    """

    mask: Mask
    slices: int
    finished: bool
    view: View


@dataclass(frozen=True)
class Searching:
    """Slices of the view that were searched so far."""

    done: int
    total: int


def grow_steps(
    evidence: Evidence, active: Active, settings: ClickSettings, box: Box, shape: tuple[int, int, int]
) -> Iterator[Searching | Grown]:
    """Find an object.

    Parameters
    ----------
    evidence
        What speaks for two places belonging together.
    active
        The object, with at least one positive prompt or a base.
    settings
        Threshold, and how far to look.
    box
        Where the object may lie.
    shape
        Of the volume, (Z, Y, X).

    Yields
    ------
    Searching or Grown
        Progress, and the object each time that the view was searched; the last is finished.
    """
    bad = evidence.boundaries.bad
    view: View | None = first_view(active, settings, box, bad)
    while view is not None:
        marks = opposing_marks(active)
        for step in evidence.steps(view, settings.reach, marks, slices_ahead(view, settings.reach, box, bad)):
            if isinstance(step, Stack):
                stack = step
            else:
                yield Searching(step, len(view.z))
        inside, mask = _object_in(stack, active, settings.threshold, shape)
        larger = larger_view(view, inside, settings, box, bad)
        yield Grown(mask, len(view.z), larger is None, view)
        view = larger


def first_view(active: Active, settings: ClickSettings, box: Box, bad: frozenset[int] = frozenset()) -> View:
    """Return where to look first: around all that was said; through the slices without the bad ones.

    Raises
    ------
    ValueError
        Nothing was said yet, or something lies outside of the box, or in a bad slice where it is left out.
    """
    points = np.array(active.points(True) + active.points(False), np.int64).reshape(-1, 3)
    if not active.points(True) and active.base is None:
        raise ValueError("Nothing is included yet: click inside an object first.")
    outside = [
        tuple(p)
        for p in points.tolist()
        if any(not b.start <= c < b.stop for c, b in zip(p, box, strict=True))
    ]
    if outside:
        raise ValueError(f"{outside[0]} (z, y, x) is outside of {box_words(box)}; click inside of it.")
    spoiled = sorted(bad.intersection(points[:, 0].tolist())) if settings.volume else []
    if spoiled:
        raise ValueError(
            f"Slice {spoiled[0]} is bad and is left out; click in another, or find the object in the slice."
        )
    all_of_it = points
    if active.base is not None:
        ends = [[side.start for side in active.base.box], [side.stop - 1 for side in active.base.box]]
        all_of_it = np.concatenate([points, ends])
    low, high = all_of_it.min(axis=0), all_of_it.max(axis=0)
    y, x = (_window(int(low[axis]), int(high[axis]), settings.window, box[axis]) for axis in (1, 2))
    if not settings.volume:
        return View(tuple(sorted({int(z) for z in points[:, 0]})), y, x, across=False)
    z0, z1 = _slices(int(low[0]), int(high[0]) + 1, settings.reach, box[0])
    return View(tuple(z for z in range(z0, z1) if z not in bad), y, x, across=True)


def opposing_marks(active: Active) -> dict[int, tuple[Mark, ...]]:
    """Return the marks of the slices that have some of both kinds."""
    sides = [(point, kind) for kind in (True, False) for point in active.points(kind)]
    slices = {z for (z, _, _), kind in sides if kind} & {z for (z, _, _), kind in sides if not kind}
    return {z: tuple((p[1], p[2], kind) for p, kind in sides if p[0] == z) for z in slices}


def larger_view(
    view: View,
    inside: NDArray[np.bool_],
    settings: ClickSettings,
    box: Box,
    bad: frozenset[int] = frozenset(),
) -> View | None:
    """Return the next view where the object reaches the edge of this one; None where it does not."""
    windows = []
    for axis, ends in ((1, view.y), (2, view.x)):
        first, last = (inside.take(i, axis).any() for i in (0, -1))
        step = max(ends[1] - ends[0], 1) // 2
        start = max(ends[0] - step * bool(first), box[axis].start)
        stop = min(ends[1] + step * bool(last), box[axis].stop)
        windows.append((start, stop))
    z = view.z
    if view.across:
        good = [one for one in range(box[0].start, box[0].stop) if one not in bad]
        z0 = _farther(good[::-1], z[0], -settings.reach) if inside[0].any() else z[0]
        z1 = _farther(good, z[-1], settings.reach) if inside[-1].any() else z[-1]
        z = tuple(one for one in good if z0 <= one <= z1)
    larger = replace(view, z=z, y=windows[0], x=windows[1])
    return None if larger == view else larger


def _farther(good: Iterable[int], z: int, run: int) -> int:
    """Return where the search ends that goes on past slice z: with the run of the next good slice.

    The good slices are in the order of the search, backwards for a negative run.
    """
    beyond = next((one for one in good if (one - z) * run > 0), None)
    if beyond is None:
        return z
    return beyond // run * run + run - 1 if run > 0 else beyond // -run * -run


def slices_ahead(view: View, reach: int, box: Box, bad: frozenset[int] = frozenset()) -> list[int]:
    """Return the slices that a view through the slices grows by, those next to it first."""
    if not view.across:
        return []
    steps = ((view.z[-1] + step, view.z[0] - step) for step in range(1, reach + 1))
    return [z for pair in steps for z in pair if box[0].start <= z < box[0].stop and z not in bad]


def _window(low: int, high: int, side: int, bounds: slice) -> tuple[int, int]:
    """Return a range of at least ``side`` around some places; near clicks share it: it moves in steps."""
    step = side // 4
    side = max(side, high - low + 1 + step)
    size = bounds.stop - bounds.start
    if side >= size:
        return bounds.start, bounds.stop
    start = ((low + high + 1) // 2 - side // 2 + step // 2) // step * step
    start = min(max(start, bounds.start), bounds.stop - side)
    return start, start + side


def _slices(low: int, high: int, reach: int, bounds: slice) -> tuple[int, int]:
    """Return whole runs of slices that hold some, with another to the nearer side."""
    first = low // reach * reach
    last = -(-high // reach) * reach
    return max(first, bounds.start), min(last, bounds.stop)


def _object_in(
    stack: Stack, active: Active, threshold: float, shape: tuple[int, int, int]
) -> tuple[NDArray[np.bool_], Mask]:
    """Return the object within the view, and all of it."""
    inside, outside = (nodes_at(stack, active.points(kind)) for kind in (True, False))
    base = None if active.base is None else mask_in(stack.view, active.base)
    kept = np.zeros(stack.links.graph.nodes, bool) if base is None else mostly(stack, base)
    taken = grow(stack.links, Seeds(inside, outside, np.flatnonzero(kept)), threshold)
    found = taken[stack.fragments]
    if base is not None:
        away = np.zeros(stack.links.graph.nodes, bool)
        away[outside] = True
        loose = base & ~away[stack.fragments]
        found = np.where(kept[stack.fragments], base & found, found | loose)
    return found, _whole(stack.view, found, active.base, shape)


def nodes_at(stack: Stack, points: list[Point]) -> NDArray[np.int64]:
    """Return the fragments of a stack that hold some of the voxels."""
    view = stack.view
    rows = {z: row for row, z in enumerate(view.z)}
    found = [stack.fragments[rows[z], y - view.y[0], x - view.x[0]] for z, y, x in points if z in rows]
    return np.unique(np.array(found, np.int64))


def mask_in(view: View, mask: Mask) -> NDArray[np.bool_]:
    """Return what a view shows of a mask, (Z, Y, X)."""
    return np.stack([mask.within(z, *view.window) for z in view.z])


def mostly(stack: Stack, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the fragments that are in a mask for the most part."""
    graph = stack.links.graph
    covered = np.bincount(stack.fragments[mask], minlength=graph.nodes)
    return np.asarray(2 * covered > graph.sizes)


def _whole(view: View, found: NDArray[np.bool_], base: Mask | None, shape: tuple[int, int, int]) -> Mask:
    """Put what was found in a view into the volume, over what the object was."""
    if base is None and len(view.z) == view.z[-1] - view.z[0] + 1:
        return Mask.around(shape, (view.z[0], view.y[0], view.x[0]), found)
    boxes = [(view.z[0], view.z[-1] + 1), view.y, view.x]
    if base is not None:
        boxes = [(min(a, s.start), max(b, s.stop)) for (a, b), s in zip(boxes, base.box, strict=True)]
    (z0, z1), (y0, y1), (x0, x1) = boxes
    out = np.zeros((z1 - z0, y1 - y0, x1 - x0), bool)
    if base is not None:
        out[tuple(slice(s.start - a, s.stop - a) for s, (a, _) in zip(base.box, boxes, strict=True))] = (
            base.inside
        )
    y, x = (slice(a - low, b - low) for (a, b), low in ((view.y, y0), (view.x, x0)))
    out[[z - z0 for z in view.z], y, x] = found
    return Mask.around(shape, (z0, y0, x0), out)
