"""What is known about two fragments that touch, as numbers: one row for each pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dtn.segment.graph import Borders

#: What each column of ``RegionGraph.features`` holds. Lengths are in pixels, grey values in standard
#: deviations from the mean of the volume; "lesser" and "greater" are the two fragments' values in order.
FEATURES = (
    "border boundary mean",
    "border boundary deviation",
    "border boundary minimum",
    "border boundary maximum",
    "border grey mean",
    "border grey deviation",
    "border length",  # logarithm of the pairs of pixels that touch; across slices of the overlap
    "border over size",  # the same over the square root of the smaller size
    "overlap",  # intersection over union, if the two were laid on each other
    "distance",  # of the centres, in the plane
    "distance over size",
    "boundary lesser",
    "boundary greater",
    "grey lesser",
    "grey greater",
    "grey difference",
    "texture lesser",  # standard deviation of the grey values
    "texture greater",
    "texture difference",
    "size lesser",  # logarithm
    "size greater",
    "outline lesser",  # contact within the slice over the square root of the size
    "outline greater",
    "share lesser",  # of a fragment's area (within a slice: of its outline) that this border is
    "share greater",
    "rank lesser",  # this border over the fragment's longest one in the same direction
    "rank greater",
    "bridges",  # how far the same fragments of other slices cover both
    "bridges by share",
)


@dataclass(frozen=True, eq=False)
class Fragments:
    """What is known about single fragments; row i is fragment i, and row 0 is none.

    Parameters
    ----------
    sizes
        Pixels, int64, shape (nodes,).
    slices
        Slice of each.
    centres
        Centre of each in its slice, (Y, X), shape (nodes, 2).
    boundary
        Mean probability of boundary.
    grey, texture
        Mean and standard deviation of the grey values; NaN where they are not known.
    """

    sizes: NDArray[np.int64]
    slices: NDArray[np.int64]
    centres: NDArray[np.float64]
    boundary: NDArray[np.float64]
    grey: NDArray[np.float64]
    texture: NDArray[np.float64]


def evidence(borders: Borders, fragments: Fragments, across: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the evidence of every pair, float32, shape (E, F); the columns are ``FEATURES``."""
    u, v = borders.edges.T
    length, sizes = borders.boundary[:, 4], fragments.sizes
    outline = _outlines(borders.edges[~across], length[~across], len(sizes))
    distance = np.hypot(*(fragments.centres[u] - fragments.centres[v]).T)
    side = np.sqrt(np.minimum(sizes[u], sizes[v]))
    of_u = length / np.where(across, sizes[u], outline[u])
    of_v = length / np.where(across, sizes[v], outline[v])
    columns = (
        *borders.boundary.T[:4],
        *borders.grey.T[:2],
        np.log(length),
        length / side,
        length / (sizes[u] + sizes[v] - length),
        distance,
        distance / side,
        *_ordered(fragments.boundary[u], fragments.boundary[v]),
        *_ordered(fragments.grey[u], fragments.grey[v]),
        np.abs(fragments.grey[u] - fragments.grey[v]),
        *_ordered(fragments.texture[u], fragments.texture[v]),
        np.abs(fragments.texture[u] - fragments.texture[v]),
        *_ordered(np.log(sizes[u]), np.log(sizes[v])),
        *_ordered(outline[u] / np.sqrt(sizes[u]), outline[v] / np.sqrt(sizes[v])),
        *_ordered(of_u, of_v),
        *_ordered(*_ranks(borders.edges, fragments.slices, length)),
        *_bridges(borders.edges, across, of_u, of_v, len(sizes)),
    )
    return np.column_stack(columns).astype(np.float32)


def contact(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much two fragments touch for their size, from evidence (E, F) -> (E,): a column of it."""
    return features[:, FEATURES.index("border over size")]


def _ordered(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.minimum(first, second), np.maximum(first, second)


def _outlines(edges: NDArray[np.int64], length: NDArray[np.float64], nodes: int) -> NDArray[np.float64]:
    """Add up how long each fragment touches others of its slice; at least 1."""
    return np.maximum(np.bincount(edges.T.ravel(), np.tile(length, 2), nodes), 1)


def _ranks(
    edges: NDArray[np.int64], slices: NDArray[np.int64], length: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare each border with the longest that either fragment has within, after or before its slice."""
    u, v = edges.T
    towards = np.sign(slices[v] - slices[u])  # 0, 1 or -1, which is the last column
    longest = np.zeros((len(slices), 3))
    np.maximum.at(longest, (u, towards), length)
    np.maximum.at(longest, (v, -towards), length)
    return length / longest[u, towards], length / longest[v, -towards]


def _bridges(
    edges: NDArray[np.int64],
    across: NDArray[np.bool_],
    of_u: NDArray[np.float64],
    of_v: NDArray[np.float64],
    nodes: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum, over the fragments w of other slices, what both have in common: share times share, and the lesser.

    A wide w above two fragments that are one object covers them both.
    """
    u, v = edges.T
    ends = np.concatenate([u[across], v[across]]), np.concatenate([v[across], u[across]])
    covered = csr_array((np.concatenate([of_u[across], of_v[across]]), ends), shape=(nodes, nodes))
    first, second = covered[u], covered[v]
    return first.multiply(second).sum(axis=1), first.minimum(second).sum(axis=1)
