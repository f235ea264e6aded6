"""Evidence from a graph that was kept: nothing is cut or measured but what clicks split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.segment.clicks import Links, split_fragments
from napari_dtn.segment.evidence import contact as contact_of
from napari_dtn.segment.merging import merge_probabilities
from napari_dtn.segment.planes import borders_across, first_ids, graph_over
from napari_dtn.session.evidence import Evidence, Stack, sides_of
from napari_dtn.session.view import Look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dtn.segment.kept_graph import KeptGraph
    from napari_dtn.segment.patches import Rectangle
    from napari_dtn.segment.planes import Plane
    from napari_dtn.session.boundaries import Boundaries
    from napari_dtn.session.evidence import Mark
    from napari_dtn.session.prompts import Active
    from napari_dtn.session.view import Pane, View
    from napari_dtn.settings import Box, ClickSettings


@dataclass(frozen=True, eq=False)
class _Read:
    """The fragments of a pane, by numbers from 1, (Y, X); of each its id in the graph, and its pixels."""

    fragments: NDArray[np.uint32]
    ids: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.fragments.nbytes + self.ids.nbytes + self.sizes.nbytes


@dataclass(frozen=True, eq=False)
class _Torn:
    """A pane in which opposing marks share fragments.

    Parameters
    ----------
    number
        Of the pane in its view.
    fragments
        With each of these split: the parts that fall to the outside are numbered on, (Y, X).
    split
        The fragments that were split, and the new ones.
    """

    number: int
    fragments: NDArray[np.uint32]
    split: NDArray[np.int64]


class KeptEvidence(Evidence):
    """What a graph knows; what clicks split, and slices that it has not, are measured then and there.

    Parameters
    ----------
    graph
        Of the boundaries. Others as for :class:`~napari_dtn.session.evidence.Evidence`.
    """

    def __init__(self, boundaries: Boundaries, image: Any, memory: int, graph: KeptGraph) -> None:
        super().__init__(boundaries, image, memory)
        self._graph = graph

    def ahead(self, active: Active, settings: ClickSettings, box: Box) -> dict[int, Rectangle]:
        """Return the rectangles of the object as the graph has it, as far as they are in the box."""
        if not settings.volume:
            return {}
        inside, outside = (self._graph.at(active.points(kind)) for kind in (True, False))
        found = self._graph.object_around(np.setdiff1d(inside, outside), outside, settings.threshold)
        return Look(settings, box).clipped(self._graph.rectangles(found))

    def steps(self, view: View, marks: dict[int, tuple[Mark, ...]]) -> Iterator[int | Stack]:
        """Read what is in a view; as :meth:`Evidence.steps`."""
        if not all(self._graph.has(z) for z in view.z):
            yield from super().steps(view, marks)
            return
        read = []
        for number, pane in enumerate(self._pool.map(self._read, view.panes), 1):
            read.append(pane)
            yield number
        torn = [one for i, pane in enumerate(view.panes) if (one := self._torn(i, pane, read[i], marks))]
        planes, sizes = ([getattr(one, name) for one in read] for name in ("fragments", "sizes"))
        for one in torn:
            planes[one.number], sizes[one.number] = one.fragments, _sizes(one.fragments)
        starts = np.cumsum([0, *map(len, sizes[:-1])])
        links = self._kept_links(view, read, starts, np.concatenate([[0], *sizes]))
        for one in torn:
            links = _replaced(links, self._measured_links(view, planes, one), one, starts)
        yield Stack(view, tuple(planes), starts, links)

    def _read(self, pane: Pane) -> _Read:
        def made() -> _Read:
            fragments, ids = self._graph.read(pane.z, *pane.window)
            return _Read(fragments, ids, _sizes(fragments))

        return self._cache.made(("read", pane), made)

    def _kept_links(
        self, view: View, read: list[_Read], starts: NDArray[np.int64], sizes: NDArray[np.int64]
    ) -> Links:
        """Return the links that the graph has, by the numbers of the view."""
        links = self._graph.links(np.concatenate([one.ids for one in read]))
        pane = np.repeat(np.arange(-1, len(read)), [1, *(len(one.ids) for one in read)])
        number = np.concatenate(
            [[0], *(start + 1 + np.arange(len(one.ids)) for start, one in zip(starts, read, strict=True))]
        )
        low, high = pane[links.edges].T
        linked = np.array([*view.linked, False])
        counted = (low == high) | linked[low]
        edges = number[links.edges[counted]]
        return Links(edges, links.probability[counted], links.contact[counted], sizes)

    # ---- what clicks split

    def _torn(self, number: int, pane: Pane, read: _Read, marks: dict[int, tuple[Mark, ...]]) -> _Torn | None:
        said = marks.get(pane.z, ())
        sides = sides_of(said, pane)
        mine, others = (read.fragments[tuple(side.T)] for side in sides)
        shared = np.intersect1d(mine, others).astype(np.int64)
        if not len(shared):
            return None
        boundary = self.boundaries.read(pane.z, *pane.window)
        fragments = split_fragments(read.fragments, boundary, *sides)
        new = np.arange(len(read.ids) + 1, int(fragments.max()) + 1)
        return _Torn(number, fragments, np.concatenate([shared, new]))

    def _measured_links(self, view: View, planes: list[NDArray[np.uint32]], torn: _Torn) -> Links:
        """Measure what touches the fragments that were split; numbers are those of the view's planes.

        The numbers of its panes follow each other from the pane before, if that is linked.
        """
        linked = (False, *view.linked, False)
        wide = range(torn.number - linked[torn.number], torn.number + 1 + linked[torn.number + 1])
        measured: list[Plane] = [
            self._measured(view.panes[i], partial(_as_they_are, planes[i])) for i in wide
        ]
        between = [borders_across(a, b) for a, b in pairwise(measured)]
        graph = graph_over(measured, between)
        start = first_ids(measured)[torn.number - wide.start]
        touched = np.isin(graph.edges, start + torn.split).any(axis=1)
        edges = graph.edges[touched] - start
        probability = merge_probabilities(graph)[touched]
        return Links(edges, probability, contact_of(graph.features)[touched], graph.sizes)


def evidence_of(boundaries: Boundaries, image: Any, memory: int) -> Evidence:
    """Return the evidence of boundaries, from their graph where they have one."""
    if boundaries.graph is not None:
        return KeptEvidence(boundaries, image, memory, boundaries.graph)
    return Evidence(boundaries, image, memory)


def _sizes(fragments: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the pixels of each fragment, from the first on."""
    return np.bincount(fragments.ravel())[1:]


def _as_they_are(fragments: NDArray[np.uint32], _: NDArray[np.float32]) -> NDArray[np.uint32]:
    return fragments


def _replaced(links: Links, measured: Links, torn: _Torn, starts: NDArray[np.int64]) -> Links:
    """Put what was measured of split fragments in the place of what was known of them whole."""
    start = starts[torn.number]
    others = ~np.isin(links.edges, start + torn.split).any(axis=1)
    edges = np.concatenate([links.edges[others], measured.edges + start])
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    probability = np.concatenate([links.probability[others], measured.probability])
    contact = np.concatenate([links.contact[others], measured.contact])
    return Links(edges[order], probability[order], contact[order], links.sizes)
