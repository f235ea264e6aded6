"""Fragments and links of the slices that somebody looks at, kept as long as there is room."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.bounded import Bounded
from napari_dtn.segment.clicks import Links, split_fragments
from napari_dtn.segment.fragments import slice_fragments
from napari_dtn.segment.graph import RegionGraph, region_graph
from napari_dtn.segment.merging import merge_probabilities
from napari_dtn.settings import usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dtn.session.boundaries import Boundaries

Mark = tuple[int, int, bool]  # y, x, whether it is inside
Place = tuple[int, tuple[int, int], tuple[int, int]]  # slice, rows, columns


@dataclass(frozen=True)
class View:
    """A part of a volume.

    Parameters
    ----------
    z
        Slices, in order.
    y, x
        Half-open ranges.
    across
        Whether the slices are linked, each to the next one of them, or stand alone.
    """

    z: tuple[int, ...]
    y: tuple[int, int]
    x: tuple[int, int]
    across: bool

    @property
    def window(self) -> tuple[slice, slice]:
        """Its part of each slice."""
        return slice(*self.y), slice(*self.x)

    def holds(self, box: tuple[slice, slice, slice]) -> bool:
        """Whether all of a box is in it."""
        mine = (self.z[0], self.z[-1] + 1), self.y, self.x
        return all(a <= side.start and side.stop <= b for (a, b), side in zip(mine, box, strict=True))


@dataclass(frozen=True, eq=False)
class Stack:
    """What is in a view.

    Parameters
    ----------
    view
        The view.
    fragments
        Ids from 1, each within one slice, (Z, Y, X); a slice for each of ``view.z``.
    links
        Between them.
    """

    view: View
    fragments: NDArray[np.uint32]
    links: Links


@dataclass(frozen=True)
class _Run:
    """Slices whose links are found together; between two runs, only those across."""

    z: tuple[int, ...]
    only_across: bool = False


class Evidence:
    """What speaks for two places belonging together, made where it is asked for.

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
        self._ahead: dict[Place, Future[NDArray[np.uint32]]] = {}

    def close(self) -> None:
        """Stop what is made ahead."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def steps(
        self, view: View, reach: int, marks: dict[int, tuple[Mark, ...]], ahead: Sequence[int] = ()
    ) -> Iterator[int | Stack]:
        """Make what is in a view.

        Parameters
        ----------
        view
            The view.
        reach
            Slices whose links are found together; those of a view through the slices begin at a multiple of
            it.
        marks
            Of slices in which opposing seeds may share a fragment: these are split there.
        ahead
            Slices that are looked at next, by all appearances: cut into fragments while links are found,
            which leaves cores idle.

        Yields
        ------
        int or Stack
            How many slices have their fragments; at last the stack.
        """
        planes, begun = [], self._planes(view, marks)
        try:
            for plane in begun:
                planes.append(plane.result())
                yield len(planes)
        finally:  # somebody who stops here shall not be waited for by the next
            for plane in begun:
                plane.cancel()
        starts = np.cumsum([0, *(int(plane.max()) for plane in planes)])
        offsets = dict(zip(view.z, starts.tolist(), strict=False))
        runs = _runs(view, reach)
        parts = self._pool.map(lambda run: self._links(run, view, marks, offsets), runs)
        self._make_ahead(view, ahead)
        links = _joined([*zip(runs, parts, strict=True)])
        yield Stack(view, _stacked(planes, starts), links)

    def _planes(self, view: View, marks: dict[int, tuple[Mark, ...]]) -> list[Future[NDArray[np.uint32]]]:
        """Begin with the fragments of all slices; those made ahead that are not wanted are dropped."""
        going = {key: plane for key, plane in self._ahead.items() if not plane.cancel()}
        self._ahead = {}
        return [
            going[_place(z, view)]
            if _place(z, view) in going and z not in marks
            else self._pool.submit(self._fragments, z, view, marks.get(z, ()))
            for z in view.z
        ]

    def _make_ahead(self, view: View, slices: Sequence[int]) -> None:
        if self.boundaries.at_hand:
            self._ahead = {_place(z, view): self._pool.submit(self._fragments, z, view, ()) for z in slices}

    def boundary(self, z: int, view: View) -> NDArray[np.float32]:
        """Return the boundaries in a view's window of slice z."""
        key = "boundary", *_place(z, view)
        return self._cache.made(key, lambda: self.boundaries.read(z, *view.window))

    def _fragments(self, z: int, view: View, marks: tuple[Mark, ...]) -> NDArray[np.uint32]:
        def whole() -> NDArray[np.uint32]:
            return slice_fragments(self.boundary(z, view))

        found = self._cache.made(("fragments", *_place(z, view)), whole)
        if not marks:
            return found
        inside, outside = (_points(marks, side, view) for side in (True, False))
        key = "split", z, view.y, view.x, marks
        return self._cache.made(key, lambda: split_fragments(found, self.boundary(z, view), inside, outside))

    def _links(
        self, run: _Run, view: View, marks: dict[int, tuple[Mark, ...]], offsets: dict[int, int]
    ) -> Links:
        """Return the links within a run of slices, between ids of the view."""
        marked = tuple((z, marks[z]) for z in run.z if z in marks)
        planes = [self._fragments(z, view, marks.get(z, ())) for z in run.z]
        local = np.cumsum([0, *(int(plane.max()) for plane in planes)])

        def make() -> Links:
            y, x = view.window
            boundary = np.stack([self.boundary(z, view) for z in run.z])
            image = np.stack([np.asarray(self._image[z, y, x]) for z in run.z])
            return _links_of(region_graph(_stacked(planes, local), boundary, image), run.only_across)

        found = self._cache.made(("links", run, view.y, view.x, marked), make)
        shift = np.array([offsets[z] for z in run.z]) - local[:-1]
        edges = found.graph.edges
        moved = edges + shift[np.searchsorted(local, edges, side="left") - 1]
        return Links(replace(found.graph, edges=moved), found.probability)


def _place(z: int, view: View) -> Place:
    return z, view.y, view.x


def _stacked(planes: list[NDArray[np.uint32]], starts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Put slices on each other, the ids of each after those of the one before."""
    return np.stack([plane + np.uint32(start) for plane, start in zip(planes, starts, strict=False)])


def _links_of(graph: RegionGraph, only_across: bool) -> Links:
    probability = merge_probabilities(graph)
    if not only_across:
        return Links(graph, probability)
    one = graph.across
    graph = replace(graph, edges=graph.edges[one], across=one[one], features=graph.features[one])
    return Links(graph, probability[one])


def _joined(parts: list[tuple[_Run, Links]]) -> Links:
    """Put the links of all runs together, sorted as those of one graph are."""
    sizes = np.concatenate([[0], *(found.graph.sizes[1:] for run, found in parts if not run.only_across)])
    edges, across, features, probability = (
        np.concatenate(columns)
        for columns in zip(
            *((p.graph.edges, p.graph.across, p.graph.features, p.probability) for _, p in parts), strict=True
        )
    )
    order = np.lexsort(edges.T[::-1])
    graph = RegionGraph(len(sizes), edges[order], across[order], features[order], sizes)
    return Links(graph, probability[order])


def _runs(view: View, reach: int) -> list[_Run]:
    """Cut a view into runs of slices, and pairs where they meet: a view that grows keeps those it had."""
    if not view.across:
        return [_Run((z,)) for z in view.z]
    blocks = [tuple(run) for _, run in groupby(view.z, lambda z: z // reach)]
    seams = [_Run((low[-1], high[0]), only_across=True) for low, high in pairwise(blocks)]
    return [*map(_Run, blocks), *seams]


def _points(marks: tuple[Mark, ...], side: bool, view: View) -> NDArray[np.int64]:
    """Return the pixels of one side's marks in the view's window, (N, 2)."""
    found = [(y - view.y[0], x - view.x[0]) for y, x, inside in marks if inside == side]
    return np.array(found, np.int64).reshape(-1, 2)
