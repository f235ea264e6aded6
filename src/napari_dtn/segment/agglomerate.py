"""Merge probabilities become objects: multicut, or mean linkage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bioimage_cpp.graph import UndirectedGraph
from bioimage_cpp.graph.agglomeration import GaspClusterPolicy
from bioimage_cpp.graph.multicut import (
    ChainedMulticutSolvers,
    GreedyAdditiveMulticut,
    KernighanLinMulticut,
    MulticutObjective,
)
from scipy.special import logit

from napari_dtn.segment.evidence import contact
from napari_dtn.settings import SegmentSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dtn.segment.graph import RegionGraph

_DEFAULT = SegmentSettings()
_CERTAIN = 0.001  # no probability counts as nearer to 0 or 1: one edge must not outweigh all others
# Sweeps of the multicut over all fragments. On the boundaries of a network the third changes no more;
# where boundaries tell little, each of a hundred would take seconds, and no click could interrupt them.
_SWEEPS = 5

_SURE = 2.0  # log odds that a merge must gain besides, where a part decides before the whole is seen


def agglomerate(
    graph: RegionGraph, probability: NDArray[np.float32], settings: SegmentSettings = _DEFAULT
) -> NDArray[np.uint32]:
    """Join fragments to objects.

    Parameters
    ----------
    graph
        The fragments.
    probability
        Of a merge, for each edge, shape (E,).
    settings
        Solver and prior.

    Returns
    -------
    NDArray
        The object of each fragment, shape (nodes,): ids from 1 in the order of the first fragment; 0 for
        node 0. ``agglomerate(...)[fragments]`` is the segmentation.
    """
    return agglomerate_links(graph.nodes, graph.edges, probability, contact(graph.features), settings)


def agglomerate_links(
    nodes: int,
    edges: NDArray[np.int64],
    probability: NDArray[np.float32],
    touching: NDArray[np.float32],
    settings: SegmentSettings = _DEFAULT,
) -> NDArray[np.uint32]:
    """Join fragments of which no more is known than their links.

    Parameters
    ----------
    nodes
        Number of nodes; node 0 is none.
    edges
        Pairs of fragments, u < v, shape (E, 2).
    touching
        How much the two touch for their size, shape (E,). Others as for :func:`agglomerate`, result too.
    """
    odds, trust = merge_odds(probability, settings.prior), np.sqrt(touching)
    return _numbered(_SOLVERS[settings.solver](_graph(nodes, edges), odds, trust))


def agglomerate_in_parts(
    graph: RegionGraph,
    probability: NDArray[np.float32],
    parts: NDArray[np.int64],
    settings: SegmentSettings = _DEFAULT,
) -> NDArray[np.uint32]:
    """Join fragments to objects in each part, then these: for graphs too large for one solver.

    Parameters
    ----------
    parts
        The part that each fragment lies in, shape (nodes,). Others as for :func:`agglomerate`, result too.
    """
    solve, odds = _SOLVERS[settings.solver], merge_odds(probability, settings.prior)
    trust = np.sqrt(contact(graph.features))
    joined = np.arange(graph.nodes)
    for _, nodes, inner in _inside(graph, parts):
        local = _graph(len(nodes), np.searchsorted(nodes, graph.edges[inner]))
        joined[nodes] = nodes[_first_of_each(solve(local, odds[inner] - _SURE, trust[inner]))]
    left, ids = np.unique(joined, return_inverse=True)
    edges, *sums = _contracted(ids[graph.edges], odds, trust)
    return _numbered(solve(_graph(len(left), edges), *sums)[ids])


def merge_odds(probability: NDArray[np.float32], prior: float) -> NDArray[np.float64]:
    """Return what speaks for a merge, shape (E,): its log odds beyond those of the prior."""
    p = np.clip(probability, _CERTAIN, 1 - _CERTAIN).astype(np.float64)
    return np.asarray(logit(p) - logit(prior))


def _graph(nodes: int, edges: NDArray[np.int64]) -> UndirectedGraph:
    return UndirectedGraph.from_unique_edges(nodes, edges.astype(np.uint64))


def _inside(
    graph: RegionGraph, parts: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield each part with its nodes and its inner edges, both in order."""
    first, second = parts[graph.edges].T
    nodes, edges = np.argsort(parts, kind="stable"), np.flatnonzero(first == second)
    edges = edges[np.argsort(first[edges], kind="stable")]
    for part in np.unique(parts):
        a, b = np.searchsorted(parts[nodes], [part, part + 1])
        c, d = np.searchsorted(first[edges], [part, part + 1])
        yield int(part), nodes[a:b], edges[c:d]


def _first_of_each(objects: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return, for each node, the first node of its object."""
    _, first, which = np.unique(objects, return_index=True, return_inverse=True)
    return np.asarray(first[which])


def _contracted(
    edges: NDArray[np.int64], odds: NDArray[np.float64], trust: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Make one edge of all between the same two objects: their mean odds, their trust added up."""
    between = edges[:, 0] != edges[:, 1]
    pairs, which = np.unique(np.sort(edges[between], axis=1), axis=0, return_inverse=True)
    sums = np.bincount(which, trust[between], len(pairs))
    gains = np.bincount(which, (odds * trust)[between], len(pairs))
    return np.asarray(pairs), gains / sums, np.asarray(sums, np.float64)


# Both solvers take log odds, and how far each is to be trusted: the root of the contact. A large fragment has
# many neighbours that touch it with a corner, in its slice and in the next ones, and all of them err together
# where one membrane is weak. Counted in full they outweigh the few edges to where the fragment goes on.


def _multicut(
    graph: UndirectedGraph, odds: NDArray[np.float64], trust: NDArray[np.floating]
) -> NDArray[np.uint64]:
    solver = ChainedMulticutSolvers(
        [GreedyAdditiveMulticut(), KernighanLinMulticut(number_of_outer_iterations=_SWEEPS)]
    )
    return np.asarray(solver.optimize(MulticutObjective(graph, odds * trust)))


def _mean_linkage(
    graph: UndirectedGraph, odds: NDArray[np.float64], trust: NDArray[np.floating]
) -> NDArray[np.uint64]:
    return np.asarray(GaspClusterPolicy(linkage="mean").optimize(graph, odds, edge_sizes=trust))


_SOLVERS = {"multicut": _multicut, "mean": _mean_linkage}


def _numbered(objects: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Number the objects of nodes 1, 2, … from 1, in the order in which they come; node 0 is 0."""
    _, first, which = np.unique(objects[1:], return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.uint32)
    numbers[np.argsort(first)] = np.arange(1, len(first) + 1)
    return np.concatenate([np.zeros(1, np.uint32), numbers[which]])
