"""Seeds become one object: fragments that belong to what was clicked, and not to what was excluded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from bioimage_cpp.graph import UndirectedGraph, edge_weighted_watershed
from bioimage_cpp.segmentation import watershed
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_IN, _OUT = 1, 2


@dataclass(frozen=True, eq=False)
class Links:
    """What may belong together.

    Parameters
    ----------
    nodes
        Number of fragments, counted from 0, which stands for none.
    edges
        Pairs of fragments, (E, 2).
    probability
        That the two belong to one object, (E,).
    """

    nodes: int
    edges: NDArray[np.int64]
    probability: NDArray[np.float32]


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

    What is reached from the seeds over edges of at least the threshold is taken; where excluded fragments are
    among it, it is cut between them and the seeds where its links are weakest.

    Parameters
    ----------
    links
        The fragments of a slice or stack.
    seeds
        What was clicked.
    threshold
        Probability of a merge, in [0, 1]: lower, and the object grows.
    """
    strong = links.probability >= threshold
    first = np.union1d(seeds.inside, seeds.kept)
    object_ = _reached(links, strong, first)
    cut_off = np.setdiff1d(seeds.outside, seeds.inside)
    if object_[cut_off].any():
        # Fragments that were kept hold together however weak their links are.
        whole = object_[links.edges].all(axis=1)
        near = seeds.inside if len(seeds.inside) else np.setdiff1d(seeds.kept, cut_off)
        object_ &= ~_side_of(links, whole, cut_off, near)
    return object_


def divide(links: Links, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which fragments are closer linked to the other seeds than to the first, (nodes,)."""
    return _side_of(links, np.ones(len(links.edges), bool), other, one)


def _reached(links: Links, taken: NDArray[np.bool_], seeds: NDArray[np.int64]) -> NDArray[np.bool_]:
    u, v = links.edges[taken].T
    graph = coo_array((np.ones(len(u), bool), (u, v)), shape=(links.nodes, links.nodes))
    _, component = connected_components(graph, directed=False)
    reached = np.isin(component, component[seeds])
    reached[0] = False
    return np.asarray(reached)


def _side_of(
    links: Links, taken: NDArray[np.bool_], mine: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which fragments fall to the first seeds: each path between the two is cut at its weakest link."""
    seeds = np.zeros(links.nodes, np.uint32)
    seeds[mine], seeds[others] = _OUT, _IN
    graph = UndirectedGraph.from_unique_edges(links.nodes, links.edges[taken].astype(np.uint64))
    sides = edge_weighted_watershed(graph, 1 - links.probability[taken].astype(np.float32), seeds)
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
    markers = np.zeros(fragments.shape, np.uint32)
    markers[tuple(inside.T)] = _IN
    markers[tuple(outside.T)] = _OUT
    out = fragments.copy()
    for new, fragment in enumerate(torn, int(fragments.max()) + 1):
        box = _box_of(fragments == fragment)
        within = fragments[box] == fragment
        sides = watershed(np.asarray(boundary[box], np.float32), markers[box], mask=within)
        out[box][within & (sides == _OUT)] = new
    return out


def _box_of(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    ends: Sequence[NDArray[np.intp]] = [np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1)]
    return tuple(slice(int(one[0]), int(one[-1]) + 1) for one in ends)
