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

from napari_dtn.settings import SegmentSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dtn.segment.graph import RegionGraph

_DEFAULT = SegmentSettings()
_CERTAIN = 0.001  # no probability counts as nearer to 0 or 1: one edge must not outweigh all others


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
    plain = UndirectedGraph.from_unique_edges(graph.nodes, graph.edges.astype(np.uint64))
    objects = _SOLVERS[settings.solver](plain, merge_weights(probability, settings.prior))
    return _numbered(objects)


def merge_weights(probability: NDArray[np.float32], prior: float) -> NDArray[np.float64]:
    """Return what a merge gains, shape (E,): the log odds of the probability against those of the prior."""
    p = np.clip(probability, _CERTAIN, 1 - _CERTAIN).astype(np.float64)
    return np.asarray(np.log(p / (1 - p)) - np.log(prior / (1 - prior)))


def _multicut(graph: UndirectedGraph, weights: NDArray[np.float64]) -> NDArray[np.uint64]:
    objective = MulticutObjective(graph, weights)
    solver = ChainedMulticutSolvers([GreedyAdditiveMulticut(), KernighanLinMulticut()])
    return np.asarray(solver.optimize(objective))


def _mean_linkage(graph: UndirectedGraph, weights: NDArray[np.float64]) -> NDArray[np.uint64]:
    return np.asarray(GaspClusterPolicy(linkage="mean").optimize(graph, weights))


_SOLVERS = {"multicut": _multicut, "mean": _mean_linkage}


def _numbered(objects: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Number the objects of nodes 1, 2, … from 1, in the order in which they come; node 0 is 0."""
    _, first, which = np.unique(objects[1:], return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.uint32)
    numbers[np.argsort(first)] = np.arange(1, len(first) + 1)
    return np.concatenate([np.zeros(1, np.uint32), numbers[which]])
