"""Prompts become an object, in a view that grows with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.beside import beside
from napari_dtn.segment.clicks import Seeds, grow
from napari_dtn.segment.patches import rectangle_of
from napari_dtn.segment.windows import lay
from napari_dtn.session.evidence import Mark, Stack
from napari_dtn.session.mask import Mask
from napari_dtn.session.view import Look, View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dtn.segment.patches import Rectangle
    from napari_dtn.session.evidence import Evidence
    from napari_dtn.session.prompts import Active, Point
    from napari_dtn.settings import Box, ClickSettings

    Plane = NDArray[np.bool_]


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
    look = Look(settings, box, evidence.boundaries.bad)
    marks, view = opposing_marks(active), look.first(active, evidence.ahead(active, settings, box))
    finished = False
    while not finished:
        for step in evidence.steps(view, marks):
            if isinstance(step, Stack):
                stack = step
            else:
                yield Searching(step, len(view.panes))
        searched = Searching(len(view.panes), len(view.panes))
        planes = yield from beside(partial(_object_in, stack, active, settings.threshold), searched)
        places = _places_in(view, planes)
        larger = look.larger(view, places)
        finished = larger is None
        yield Grown(_whole(view, planes, places, active.base, shape), len(view.panes), finished, view)
        view = larger or view


def opposing_marks(active: Active) -> dict[int, tuple[Mark, ...]]:
    """Return the marks of the slices that have some of both kinds."""
    sides = [(point, kind) for kind in (True, False) for point in active.points(kind)]
    slices = {z for (z, _, _), kind in sides if kind} & {z for (z, _, _), kind in sides if not kind}
    return {z: tuple((p[1], p[2], kind) for p, kind in sides if p[0] == z) for z in slices}


def _object_in(stack: Stack, active: Active, threshold: float) -> list[Plane]:
    """Return the object in each pane of a view."""
    inside, outside = (nodes_at(stack, active.points(kind)) for kind in (True, False))
    base = None if active.base is None else mask_in(stack.view, active.base)
    nodes = stack.links.nodes
    kept = np.zeros(nodes, bool) if base is None else mostly(stack, base)
    taken = grow(stack.links, Seeds(inside, outside, np.flatnonzero(kept)), threshold)
    found = [stack.of_pane(i, taken)[plane] for i, plane in enumerate(stack.planes)]
    if base is None:
        return found
    away = np.zeros(nodes, bool)
    away[outside] = True
    return [
        _over(was, now, *(stack.of_pane(i, nodes)[plane] for nodes in (kept, away)))
        for i, (was, now, plane) in enumerate(zip(base, found, stack.planes, strict=True))
    ]


def _over(was: Plane, now: Plane, kept: Plane, away: Plane) -> Plane:
    """Return an object that was there before: it gains whole fragments, and loses what is cut off."""
    return np.where(kept, was & now, now | (was & ~away))


def _places_in(view: View, planes: list[Plane]) -> dict[int, Rectangle]:
    """Return the rectangle that holds the object in each slice that it is in."""
    return {
        pane.z: rectangle_of(plane, (pane.y[0], pane.x[0]))
        for pane, plane in zip(view.panes, planes, strict=True)
        if plane.any()
    }


def nodes_at(stack: Stack, points: list[Point]) -> NDArray[np.int64]:
    """Return the fragments of a stack that hold some of the voxels."""
    panes = {pane.z: (i, pane) for i, pane in enumerate(stack.view.panes)}
    there = [(*panes[z], y, x) for z, y, x in points if z in panes]
    found = [
        stack.starts[i] + stack.planes[i][y - pane.y[0], x - pane.x[0]]
        for i, pane, y, x in there
        if pane.holds((y, y + 1, x, x + 1))
    ]
    return np.unique(np.array(found, np.int64))


def mask_in(view: View, mask: Mask) -> list[Plane]:
    """Return what each pane of a view shows of a mask."""
    return [mask.within(pane.z, *pane.window) for pane in view.panes]


def mostly(stack: Stack, mask: list[Plane]) -> NDArray[np.bool_]:
    """Return the fragments that are in a mask, given by pane, for the most part."""
    sizes = stack.links.sizes
    covered = np.zeros(len(sizes), np.int64)
    for start, plane, inside in zip(stack.starts, stack.planes, mask, strict=True):
        there = np.bincount(plane[inside])
        covered[start : start + len(there)] += there
    return np.asarray(2 * covered > sizes)


def _whole(
    view: View,
    planes: list[Plane],
    places: dict[int, Rectangle],
    base: Mask | None,
    shape: tuple[int, int, int],
) -> Mask:
    """Put what was found in a view into the volume, over what the object was."""
    ends = [[(z, z + 1), place[:2], place[2:]] for z, place in places.items()]
    if base is not None:
        ends.append([(side.start, side.stop) for side in base.box])
    if not ends:
        return Mask(shape, (view.z[0], 0, 0), np.zeros((0, 0, 0), bool))
    (z0, z1), y, x = ((min(a for a, _ in one), max(b for _, b in one)) for one in zip(*ends, strict=True))
    whole = Mask(shape, (z0, y[0], x[0]), np.zeros((z1 - z0, y[1] - y[0], x[1] - x[0]), bool))
    if base is not None:
        for z in base.slices:
            lay(base.inside[z - base.origin[0]], base.origin[1:], whole.inside[z - z0], slice(*y), slice(*x))
    for pane, plane in zip(view.panes, planes, strict=True):
        if z0 <= pane.z < z1:
            lay(plane, (pane.y[0], pane.x[0]), whole.inside[pane.z - z0], slice(*y), slice(*x))
    return whole if base is None else Mask.around(shape, whole.origin, whole.inside)
