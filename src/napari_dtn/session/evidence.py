"""Fragments and links of the slices that somebody looks at, kept as long as there is room."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.bounded import Bounded
from napari_dtn.segment.clicks import Links, split_fragments
from napari_dtn.segment.evidence import contact
from napari_dtn.segment.fragments import slice_fragments
from napari_dtn.segment.merging import merge_probabilities
from napari_dtn.segment.planes import borders_across, first_ids, graph_over, measured_plane
from napari_dtn.settings import usable_cores
from napari_dtn.volume.intensity import Intensity, estimate_intensity, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dtn.segment.graph import Borders, RegionGraph
    from napari_dtn.segment.patches import Rectangle
    from napari_dtn.segment.planes import Plane
    from napari_dtn.session.boundaries import Boundaries
    from napari_dtn.session.prompts import Active
    from napari_dtn.session.view import Pane, View
    from napari_dtn.settings import Box, ClickSettings

logger = logging.getLogger(__name__)

Mark = tuple[int, int, bool]  # y, x, whether it is inside


@dataclass(frozen=True, eq=False)
class Stack:
    """What is in a view.

    Parameters
    ----------
    view
        The view.
    planes
        Fragments of each pane, ids from 1, (Y, X).
    starts
        What each pane adds to its ids, so that they are numbered on from pane to pane: those of the links.
    links
        Between them.
    """

    view: View
    planes: tuple[NDArray[np.uint32], ...]
    starts: NDArray[np.int64]
    links: Links

    def of_pane(self, number: int, values: NDArray[Any]) -> NDArray[Any]:
        """Return values by fragment, (nodes,), of one pane alone, by its own ids; the first stays."""
        start, stop = (*self.starts, len(values) - 1)[number : number + 2]
        return np.concatenate([values[:1], values[start + 1 : stop + 1]])


@dataclass(frozen=True)
class _Cut:
    """How a slice is cut: in a window, and there between opposing marks."""

    pane: Pane
    marks: tuple[Mark, ...]


_Place = tuple[_Cut | None, _Cut, _Cut | None]  # a slice between the one before and the one that follows


class Evidence:
    """What speaks for two places belonging together, made where it is asked for.

    Whatever is made of a slice stays, and is not made again, while its own window and those of the slices
    beside it are the same.

    Parameters
    ----------
    boundaries
        Where boundaries come from.
    image
        Grey values, (Z, Y, X).
    memory
        Bytes to keep.
    """

    def __init__(self, boundaries: Boundaries, image: Any, memory: int) -> None:
        self.boundaries = boundaries
        self._image = image
        self._cache = Bounded(memory)
        self._pool = ThreadPoolExecutor(usable_cores())
        self._intensity = self._pool.submit(_intensity_of, image)

    def close(self) -> None:
        """Stop what is being made."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ahead(self, active: Active, settings: ClickSettings, box: Box) -> dict[int, Rectangle]:
        """Return the rectangles that an object will lie in, by slice, as far as that is known beforehand."""
        return {}

    def steps(self, view: View, marks: dict[int, tuple[Mark, ...]]) -> Iterator[int | Stack]:
        """Make what is in a view.

        Parameters
        ----------
        view
            The view.
        marks
            Of slices in which opposing seeds may share a fragment: these are split there.

        Yields
        ------
        int or Stack
            How many slices have their fragments; at last the stack.
        """
        cuts = [_Cut(pane, marks.get(pane.z, ())) for pane in view.panes]
        planes: list[Plane] = []
        begun = [self._pool.submit(self._plane, cut) for cut in cuts]
        try:
            for plane in begun:
                planes.append(plane.result())
                yield len(planes)
        finally:  # somebody who stops here shall not be waited for by the next
            _cancel(begun)
        starts = first_ids(planes)
        links = self._links(view, cuts, planes, starts)
        yield Stack(view, tuple(plane.fragments for plane in planes), starts, links)

    # ---- planes

    def _plane(self, cut: _Cut) -> Plane:
        return self._cache.made(("plane", cut), lambda: self._made_plane(cut))

    def _made_plane(self, cut: _Cut) -> Plane:
        pane = cut.pane
        if cut.marks:
            whole = self._plane(replace(cut, marks=()))
            split = split_fragments(whole.fragments, whole.boundary, *sides_of(cut.marks, pane))
            return measured_plane(split, whole.boundary, whole.grey, whole.corner)
        return self._measured(pane, slice_fragments)

    def _measured(self, pane: Pane, cut: Callable[[NDArray[np.float32]], NDArray[np.uint32]]) -> Plane:
        """Measure a pane whose boundaries are cut so."""
        boundary = self.boundaries.read(pane.z, *pane.window)
        return measured_plane(cut(boundary), boundary, self._grey(pane), (pane.y[0], pane.x[0]))

    def _grey(self, pane: Pane) -> NDArray[np.float32] | None:
        intensity = self._intensity.result()
        return None if intensity is None else normalise(self._image[(pane.z, *pane.window)], intensity)

    # ---- links

    def _links(self, view: View, cuts: list[_Cut], planes: list[Plane], starts: NDArray[np.int64]) -> Links:
        """Return all links; those that are missing are made, of slices that follow each other at once."""
        places = _places(view, cuts)
        found = {place: self._cache.get(("links", place)) for place in places}
        runs = _runs([i for i, place in enumerate(places) if found[place] is None], view)
        wider = [_with_neighbours(run, view) for run in runs]
        pairs = sorted({i for wide in wider for i in wide[:-1]})
        between = dict(
            zip(pairs, self._pool.map(lambda i: self._across(cuts, planes, i), pairs), strict=True)
        )

        def make(run: range, wide: range) -> list[Links]:
            graph = graph_over([planes[i] for i in wide], [between[i] for i in wide[:-1]])
            return _by_slice(graph, [planes[i].count for i in wide], wide, run)

        for run, made in zip(runs, self._pool.map(make, runs, wider), strict=True):
            for i, links in zip(run, made, strict=True):
                found[places[i]] = links
                self._cache.put(("links", places[i]), links)
        return _joined([found[place] for place in places], starts)

    def _across(self, cuts: list[_Cut], planes: list[Plane], i: int) -> Borders:
        key = "across", cuts[i], cuts[i + 1]
        return self._cache.made(key, lambda: borders_across(planes[i], planes[i + 1]))


def _intensity_of(image: Any) -> Intensity | None:
    """Return the statistics of a volume; None where its grey values tell nothing."""
    try:
        return estimate_intensity(image)
    except ValueError as error:
        logger.info("Grey values are left out of the evidence: %s", error)
        return None


def _places(view: View, cuts: list[_Cut]) -> list[_Place]:
    """Return what the links of each slice, within it and to the one that follows, depend on."""
    linked = (False, *view.linked, False)
    return [
        (cuts[i - 1] if linked[i] else None, cut, cuts[i + 1] if linked[i + 1] else None)
        for i, cut in enumerate(cuts)
    ]


def _runs(numbers: list[int], view: View) -> list[range]:
    """Put numbers of panes that follow each other together."""
    runs: list[range] = []
    for i in numbers:
        if runs and runs[-1].stop == i and view.linked[i - 1]:
            runs[-1] = range(runs[-1].start, i + 1)
        else:
            runs.append(range(i, i + 1))
    return runs


def _with_neighbours(run: range, view: View) -> range:
    linked = (False, *view.linked, False)
    return range(run.start - linked[run.start], run.stop + linked[run.stop])


def _by_slice(graph: RegionGraph, counts: list[int], wide: range, run: range) -> list[Links]:
    """Return the links of the slices of a run, each with those to the next one; ids begin anew in each."""
    starts = np.cumsum([0, *counts])
    ends = np.searchsorted(graph.edges[:, 0], starts + 1)  # of the rows that begin in each slice
    first, last = run.start - wide.start, run.stop - wide.start
    mine = _rows(graph, slice(ends[first], ends[last]))
    probability, found = merge_probabilities(mine), []
    touching = contact(mine.features)
    for i in range(first, last):
        rows = slice(ends[i] - ends[first], ends[i + 1] - ends[first])
        sizes = graph.sizes[starts[i] : starts[i + 1] + 1]
        found.append(Links(mine.edges[rows] - starts[i], probability[rows], touching[rows], sizes))
    return found


def _rows(graph: RegionGraph, rows: slice) -> RegionGraph:
    return replace(graph, edges=graph.edges[rows], across=graph.across[rows], features=graph.features[rows])


def _joined(slices: list[Links], starts: NDArray[np.int64]) -> Links:
    """Put the links of all slices together, ids numbered on from slice to slice."""
    edges = [one.edges + start for one, start in zip(slices, starts, strict=True)]
    return Links(
        np.concatenate(edges),
        np.concatenate([one.probability for one in slices]),
        np.concatenate([one.contact for one in slices]),
        np.concatenate([[0], *(one.sizes[1:] for one in slices)]),
    )


def sides_of(marks: tuple[Mark, ...], pane: Pane) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixels in a window that marks include, and that they exclude, (N, 2) each."""
    return _points(marks, True, pane), _points(marks, False, pane)


def _points(marks: tuple[Mark, ...], side: bool, pane: Pane) -> NDArray[np.int64]:
    there = [(y, x) for y, x, inside in marks if inside == side and pane.holds((y, y + 1, x, x + 1))]
    found = [(y - pane.y[0], x - pane.x[0]) for y, x in there]
    return np.array(found, np.int64).reshape(-1, 2)


def _cancel(futures: Sequence[Future[Any]]) -> None:
    for one in futures:
        one.cancel()
