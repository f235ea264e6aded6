"""Fragments become a graph: what touches what, within a slice and across, and what speaks for a merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bioimage_cpp.graph import region_adjacency_graph
from bioimage_cpp.graph.features import COMPLEX_EDGE_FEATURE_NAMES, edge_map_features_complex

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What each column of ``RegionGraph.features`` holds.
FEATURES = (
    *(f"boundary {name}" for name in COMPLEX_EDGE_FEATURE_NAMES),  # size: pairs of touching pixels
    "smaller fragment",
    "larger fragment",
    "share of the smaller",
    "share of the larger",
    "difference of grey values",
)


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Fragments and what touches what.

    Parameters
    ----------
    nodes
        Number of nodes, one more than the largest fragment id: node and fragment have the same number, and
        node 0 stands for no fragment and has no edge.
    edges
        Pairs of fragments that touch, u < v, sorted, int64, shape (E, 2).
    across
        True where the two lie in different slices, shape (E,).
    features
        Evidence, float32, shape (E, F); the columns are ``FEATURES``.
    sizes
        Pixels of each fragment, int64, shape (nodes,).
    """

    nodes: int
    edges: NDArray[np.int64]
    across: NDArray[np.bool_]
    features: NDArray[np.float32]
    sizes: NDArray[np.int64]


def region_graph(
    fragments: NDArray[np.uint32], boundary: NDArray[np.float32], image: NDArray[Any] | None = None
) -> RegionGraph:
    """Find what touches what, and gather the evidence for and against a merge.

    Slices follow each other as they are given: leave a bad slice out and its neighbours become neighbours of
    each other.

    Parameters
    ----------
    fragments
        Ids from 1, each within one slice, shape (Z, Y, X).
    boundary
        Probability of boundary in [0, 1], same shape.
    image
        Grey values in any unit, same shape; without it their differences count as none.
    """
    rag = region_adjacency_graph(fragments)
    edges = np.asarray(rag.uv_ids()).astype(np.int64)
    sizes = np.bincount(fragments.ravel(), minlength=rag.number_of_nodes)
    slices = _slice_of_each(fragments, rag.number_of_nodes)
    grey = _grey_values(fragments, image, sizes)
    borders = edge_map_features_complex(rag, fragments, np.asarray(boundary, np.float32))
    features = np.column_stack([borders, _pair_features(edges, borders[:, -1], sizes, grey)])
    u, v = edges.T
    return RegionGraph(len(sizes), edges, slices[u] != slices[v], features.astype(np.float32), sizes)


def _slice_of_each(fragments: NDArray[np.uint32], nodes: int) -> NDArray[np.int64]:
    slices = np.zeros(nodes, np.int64)
    for z, plane in enumerate(fragments):
        slices[np.unique(plane)] = z
    return slices


def _grey_values(
    fragments: NDArray[np.uint32], image: NDArray[Any] | None, sizes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Average the grey values of each fragment, in standard deviations of the image."""
    if image is None:
        return np.zeros(len(sizes))
    sums = np.bincount(fragments.ravel(), image.ravel(), minlength=len(sizes))
    return sums / np.maximum(sizes, 1) / (float(image.std()) or 1.0)


def _pair_features(
    edges: NDArray[np.int64],
    contact: NDArray[np.float64],
    sizes: NDArray[np.int64],
    grey: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compare the two fragments of every edge; ``contact`` counts the pairs of pixels that touch."""
    smaller, larger = np.sort(sizes[edges], axis=1).T
    u, v = edges.T
    return np.column_stack([smaller, larger, contact / smaller, contact / larger, np.abs(grey[u] - grey[v])])
