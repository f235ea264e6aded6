"""The centre lines of an object as trees, in nm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from napari_dtn.shapes.solid import factor_words

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from napari_dtn.shapes.solid import Factor, Solid

_SCALE = 1.5  # of the radius that a path takes up, to which TEASAR adds the spacing
_ROUNDS = 10  # from voxel to voxel a straight path is a quarter too long, after these some percent


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Trees along the middle of an object, one for each of its connected parts.

    Parameters
    ----------
    id
        Of the object.
    points
        (N, 3), float64, nm, each (z, y, x); a parent comes before its children.
    parents
        (N,): index of each point's parent, -1 at the root of a tree.
    radii
        (N,), nm: distance to the surface.
    factor
        How many voxels of the labels became one beforehand, along Z, Y and X.
    """

    id: int
    points: NDArray[np.float64]
    parents: NDArray[np.int64]
    radii: NDArray[np.float64]
    factor: Factor

    @property
    def edges(self) -> NDArray[np.int64]:
        """Each child with its parent, (N - trees, 2)."""
        children = np.flatnonzero(self.parents >= 0)
        return np.stack([children, self.parents[children]], axis=1)

    @property
    def length_um(self) -> float:
        """Length of all paths together, in µm."""
        child, parent = self.edges.T
        return float(np.linalg.norm(self.points[child] - self.points[parent], axis=1).sum()) / 1000

    @property
    def words(self) -> str:
        """``Object 12: 34.5 µm of path, 6 ends``."""
        return (
            f"Object {self.id}: {self.length_um:.4g} µm of path, {self.ends} ends{factor_words(self.factor)}"
        )

    @property
    def ends(self) -> int:
        """Points with one neighbour."""
        return int((np.bincount(self.edges.ravel(), minlength=len(self.points)) == 1).sum())


def skeleton_of(solid: Solid, spacing: float = 0.0) -> Skeleton:
    """Return the centre lines of an object, by TEASAR.

    Parameters
    ----------
    solid
        The object; its connected parts (26 neighbours) become a tree each.
    spacing
        Distance from a path, in nm and beyond 1.5 of its radius, within which there is no other.

    References
    ----------
    M. Sato et al., TEASAR: tree-structure extraction algorithm for accurate and robust skeletons, 2000.
    """
    from bioimage_cpp.skeleton import teasar

    points, edges, radii = teasar(solid.inside > 0, spacing=solid.voxel_size, scale=_SCALE, constant=spacing)
    pairs = edges.astype(np.int64)
    one_way = coo_array((np.ones(len(pairs)), pairs.T), (len(points), len(points))).tocsr()
    linked = one_way + one_way.T
    order, parents = _rooted(linked)
    smooth = _smoothed(points, linked)[order] + solid.first
    return Skeleton(solid.id, smooth, parents, radii[order].astype(np.float64), solid.factor)


def _smoothed(points: NDArray[np.float64], linked: csr_array) -> NDArray[np.float64]:
    """Move each point within a path to the mean of it and its neighbours, some times; ends and forks stay."""
    degrees = linked.sum(axis=1)
    within = degrees == 2
    points = points.copy()
    for _ in range(_ROUNDS):
        points[within] = ((linked @ points + points) / (degrees + 1)[:, None])[within]
    return points


def _rooted(linked: csr_array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order the points of trees, parents first; returns them so, and the new index of each one's parent."""
    degrees = linked.sum(axis=1)
    rank = np.full(len(degrees), -1)
    order: list[int] = []
    parents: list[int] = []
    for root in np.argsort(degrees != 1, kind="stable"):  # a tree is entered at one of its ends
        if rank[root] < 0:
            found, before = breadth_first_order(linked, root)
            rank[found] = len(order) + np.arange(len(found))
            order += found.tolist()
            parents += [-1, *rank[before[found[1:]]].tolist()]
    return np.array(order, np.int64), np.array(parents, np.int64)
