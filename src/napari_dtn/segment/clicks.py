"""Seeds become one object: fragments that belong to what was clicked, and not to what was excluded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from bioimage_cpp.graph import UndirectedGraph, edge_weighted_watershed
from skimage.graph import MCP_Geometric

from napari_dtn.segment.agglomerate import agglomerate_links
from napari_dtn.settings import SegmentSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_IN, _OUT = 1, 2
_STEP = 0.01  # what a step costs where there is no boundary at all


@dataclass(frozen=True, eq=False)
class Links:
    """Fragments of a slice or stack, and what may belong together.

    Parameters
    ----------
    edges
        Pairs of fragments that touch, u < v, int64, shape (E, 2).
    probability
        That the two of an edge belong to one object, float32, (E,).
    contact
        How much they touch for their size, float32, (E,).
    sizes
        Pixels of each fragment, int64, (nodes,); node 0 is none.
    """

    edges: NDArray[np.int64]
    probability: NDArray[np.float32]
    contact: NDArray[np.float32]
    sizes: NDArray[np.int64]

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.sizes)

    @property
    def nbytes(self) -> int:
        """Bytes that they take."""
        return sum(a.nbytes for a in (self.edges, self.probability, self.contact, self.sizes))


@dataclass(frozen=True, eq=False)
class Seeds:
    """What was clicked.

    Parameters
    ----------
    inside, outside
        Fragments that belong to the object, and that do not.
    kept
        Fragments that stay with the object unless they are cut off.
    """

    inside: NDArray[np.int64]
    outside: NDArray[np.int64]
    kept: NDArray[np.int64]


def grow(links: Links, seeds: Seeds, threshold: float) -> NDArray[np.bool_]:
    """Return which fragments belong to the object, (nodes,).

    The fragments are joined to objects, and those with a seed are taken; where they hold excluded fragments
    too, they are cut where their links are weakest.

    Parameters
    ----------
    links
        What speaks for a merge.
    seeds
        What was clicked.
    threshold
        Probability of a merge from which joining two fragments gains, in [0.01, 0.99]: lower, and the object
        grows.
    """
    settings = SegmentSettings(prior=threshold)
    objects = agglomerate_links(links.nodes, links.edges, links.probability, links.contact, settings)
    taken = np.isin(objects, objects[np.union1d(seeds.inside, seeds.kept)])
    taken[0] = False
    taken[seeds.kept] = True
    excluded = np.setdiff1d(seeds.outside, seeds.inside)
    if taken[excluded].any():
        near = seeds.inside if len(seeds.inside) else np.setdiff1d(seeds.kept, excluded)
        taken &= ~_side_of(links, taken, excluded, near)
    return taken


def _side_of(
    links: Links, within: NDArray[np.bool_], mine: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which fragments fall to the first seeds: each path to the others is cut at its weakest link."""
    nodes, edges = links.nodes, links.edges
    used = within[edges].all(axis=1)
    seeds = np.zeros(nodes, np.uint32)
    seeds[mine], seeds[others] = _OUT, _IN
    graph = UndirectedGraph.from_unique_edges(nodes, edges[used].astype(np.uint64))
    sides = edge_weighted_watershed(graph, 1 - links.probability[used], seeds)
    return np.asarray(sides == _OUT)


def split_fragments(
    fragments: NDArray[np.uint32],
    boundary: NDArray[np.float32],
    inside: NDArray[np.int64],
    outside: NDArray[np.int64],
) -> NDArray[np.uint32]:
    """Split each fragment of a slice that holds opposing seeds, along the boundary between them.

    Parameters
    ----------
    fragments
        Ids 1 to n, (Y, X).
    boundary
        Probability of boundary in [0, 1], (Y, X).
    inside, outside
        Pixels (N, 2) of the seeds, as (y, x); where one is both, it is outside.

    Returns
    -------
    NDArray
        The same fragments, and beyond n those parts that fall to the outside.
    """
    mine, others = fragments[tuple(inside.T)], fragments[tuple(outside.T)]
    torn = np.intersect1d(mine, others)
    if not len(torn):
        return fragments
    out = fragments.copy()
    for new, fragment in enumerate(torn, int(fragments.max()) + 1):
        box = _box_of(fragments == fragment)
        within = fragments[box] == fragment
        cost = np.where(within, _STEP + boundary[box], np.inf)
        corner = [side.start for side in box]
        near, far = (
            _ways(cost, points[which == fragment] - corner)
            for points, which in ((inside, mine), (outside, others))
        )
        out[box][within & (far <= near)] = new
    return out


def _ways(cost: NDArray[np.float64], seeds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what the cheapest way from a seed to each pixel costs."""
    ways, _ = MCP_Geometric(cost).find_costs([tuple(seed) for seed in seeds])
    return np.asarray(ways)


def _box_of(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    ends: Sequence[NDArray[np.intp]] = [np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1)]
    return tuple(slice(int(one[0]), int(one[-1]) + 1) for one in ends)
