"""Fragments become a graph: what touches what, within a slice and across, and what speaks for a merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bioimage_cpp.graph.distributed import block_edge_map_stats, finalize_edge_features

from napari_dtn.segment.evidence import FEATURES as FEATURES
from napari_dtn.segment.evidence import Fragments, evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Borders:
    """Pairs of fragments that touch, and what lies along their common border.

    Parameters
    ----------
    edges
        The pairs, u < v, int64, shape (E, 2).
    boundary, grey
        Mean, standard deviation, minimum, maximum and number of the pairs of touching pixels, of the
        probability of boundary and of the grey values, shape (E, 5).
    """

    edges: NDArray[np.int64]
    boundary: NDArray[np.float64]
    grey: NDArray[np.float64]

    @property
    def nbytes(self) -> int:
        """Bytes that they take."""
        return self.edges.nbytes + self.boundary.nbytes + self.grey.nbytes


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
        Grey values in any unit, same shape; without it the evidence of grey values is unknown (NaN).
    """
    grey = None if image is None else standardised(image)
    return graph_of(borders(fragments, boundary, grey), measure(fragments, boundary, grey))


def standardised(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return grey values as standard deviations from their mean."""
    return np.asarray((image - image.mean()) / (image.std() or 1.0), np.float32)


def graph_of(found: Borders, fragments: Fragments) -> RegionGraph:
    """Make the graph of borders in any order, and of the fragments that they belong to."""
    order = np.lexsort((found.edges[:, 1], found.edges[:, 0]))
    found = Borders(found.edges[order], found.boundary[order], found.grey[order])
    u, v = found.edges.T
    across = fragments.slices[u] != fragments.slices[v]
    features = evidence(found, fragments, across)
    return RegionGraph(len(fragments.sizes), found.edges, across, features, fragments.sizes)


def borders(
    fragments: NDArray[np.uint32],
    boundary: NDArray[np.float32],
    grey: NDArray[np.float32] | None = None,
    own: Box | None = None,
) -> Borders:
    """Measure the borders of a stack, or of a part of it.

    Parameters
    ----------
    fragments
        Ids, shape (Z, Y, X).
    boundary, grey
        Same shape.
    own
        Only pairs of pixels whose first pixel lies in this part count; with one more pixel at its far faces,
        the parts that a volume is cut into count every pair once.
    """
    part = own or tuple(slice(0, size) for size in fragments.shape)
    begin, shape = [side.start for side in part], [side.stop - side.start for side in part]

    def along(values: NDArray[np.float32]) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        edges, table = block_edge_map_stats(fragments, values, begin, shape, number_of_threads=1)
        return edges, finalize_edge_features(table, compute_complex_features=True)

    edges, of_boundary = along(boundary)
    of_grey = np.full_like(of_boundary, np.nan) if grey is None else along(grey)[1]
    return Borders(edges.astype(np.int64), of_boundary, of_grey)


def measure(
    fragments: NDArray[np.uint32],
    boundary: NDArray[np.float32],
    grey: NDArray[np.float32] | None = None,
    corner: Sequence[int] = (0, 0, 0),
) -> Fragments:
    """Measure the fragments of a stack: row i is fragment i.

    Parameters
    ----------
    fragments
        Ids, shape (Z, Y, X).
    boundary, grey
        Same shape.
    corner
        Where the first pixel lies in the volume, (Z, Y, X).
    """
    ids = fragments.ravel().astype(np.intp)  # once, and not anew for each sum
    sizes = np.bincount(ids)

    def average(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.bincount(ids, np.broadcast_to(values, fragments.shape).ravel(), len(sizes))
        return sums / np.maximum(sizes, 1)

    z, y, x = (np.arange(size) + start for size, start in zip(fragments.shape, corner, strict=True))
    slices = np.zeros(len(sizes), np.int64)
    for number, plane in zip(z, fragments, strict=True):
        slices[plane] = number
    unknown = np.full(len(sizes), np.nan)
    mean = unknown if grey is None else average(grey)
    variance = unknown if grey is None else average(grey * grey) - mean * mean
    centres = np.column_stack([average(y[:, None]), average(x)])
    return Fragments(sizes, slices, centres, average(boundary), mean, np.sqrt(np.maximum(variance, 0)))
