"""The graph of a whole volume on disk: fragments and links, found once, for clicks to use at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_dtn.segment.clicks import Links, Seeds, grow

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dtn.segment.patches import Rectangle

    Point = tuple[int, int, int]

IMAGE = "fragments.zarr"
_TABLES = ("first", "rows", "neighbours", "probability", "contact", "places")
_HOPS = 8  # how far around an object is looked at a time


@dataclass(frozen=True, eq=False)
class KeptGraph:
    """Fragments of a volume and what may belong together; its arrays stay on disk.

    Parameters
    ----------
    fragments
        Ids from 1, numbered on from slice to slice, (Z, Y, X); 0 in slices that were left out.
    first
        Id before the first one of each slice, and the last id, (Z + 1,).
    rows
        Where the neighbours of each id begin, and where the last ones end, (nodes + 1,).
    neighbours, probability, contact
        Of each id after the other: who touches it, how probable it is that both belong to one object, and
        how much they touch for their size.
    places
        The rectangle of each id in its slice, (nodes, 4): y0, y1, x0, x1.
    origin
        First voxel of the fragments in the volume, (Z, Y, X).
    """

    fragments: Any
    first: NDArray[np.int64]
    rows: NDArray[np.int64]
    neighbours: NDArray[np.uint32]
    probability: NDArray[np.float32]
    contact: NDArray[np.float32]
    places: NDArray[np.int32]
    origin: Point = (0, 0, 0)

    @staticmethod
    def load(folder: Path, origin: Point = (0, 0, 0)) -> KeptGraph:
        """Open what :func:`save_tables` and whoever wrote the fragments left."""
        tables = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _TABLES}
        return KeptGraph(zarr.open_array(str(folder / IMAGE), mode="r"), **tables, origin=origin)

    def has(self, z: int) -> bool:
        """Whether there are fragments in a slice of the volume."""
        here = z - self.origin[0]
        return 0 <= here < len(self.first) - 1 and bool(self.first[here] < self.first[here + 1])

    def read(self, z: int, y: slice, x: slice) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Return the fragments in a window of a slice, by their own numbers from 1, and the id of each."""
        dz, dy, dx = self.origin
        ids = np.asarray(
            self.fragments[z - dz, slice(y.start - dy, y.stop - dy), slice(x.start - dx, x.stop - dx)]
        )
        before, last = self.first[z - dz : z - dz + 2].tolist()
        there = np.zeros(last - before + 1, np.uint32)
        there[ids - np.uint32(before)] = 1
        return np.cumsum(there, dtype=np.uint32)[ids - np.uint32(before)], before + np.flatnonzero(there)

    def links(self, ids: NDArray[np.int64]) -> Links:
        """Return what is known about some fragments alone, in order, each once.

        Node i is the i-th of them, from 1; their sizes are not known, and 1.
        """
        entries, owners = self._entries(ids)
        others = np.asarray(self.neighbours[entries], np.int64)
        places = np.minimum(np.searchsorted(ids, others), len(ids) - 1)
        mine = (ids[places] == others) & (places > owners) if len(ids) else np.zeros(0, bool)
        edges = 1 + np.column_stack([owners[mine], places[mine]])
        chosen = entries[mine]
        probability, contact = np.asarray(self.probability[chosen]), np.asarray(self.contact[chosen])
        return Links(edges, probability, contact, np.ones(len(ids) + 1, np.int64))

    def at(self, points: list[Point]) -> NDArray[np.int64]:
        """Return the ids at some voxels of the volume that are in it."""
        inside = [tuple(np.subtract(point, self.origin).tolist()) for point in points]
        sizes = self.fragments.shape
        there = [p for p in inside if all(0 <= at < size for at, size in zip(p, sizes, strict=True))]
        found = np.array([int(self.fragments[point]) for point in there], np.int64)
        return np.unique(found[found > 0])

    def object_around(
        self, inside: NDArray[np.int64], outside: NDArray[np.int64], threshold: float
    ) -> NDArray[np.int64]:
        """Return the ids of the object that holds some; others are known not to belong to it.

        What is around it is joined, farther and farther, until nothing is added.
        """
        found = inside
        while len(found):
            around = self._around(found, threshold)
            mine, others = (1 + np.flatnonzero(np.isin(around, ids)) for ids in (found, outside))
            taken = grow(self.links(around), Seeds(mine, others, np.zeros(0, np.int64)), threshold)
            larger = np.union1d(found, around[taken[1:]])
            if len(larger) == len(found):
                break
            found = larger
        return np.setdiff1d(found, outside)

    def rectangles(self, ids: NDArray[np.int64]) -> dict[int, Rectangle]:
        """Return the rectangle of the volume that holds some fragments, in each slice that they are in."""
        dz, dy, dx = self.origin
        slices = np.searchsorted(self.first, ids, side="left") - 1
        places = np.asarray(self.places[ids]) + np.array([dy, dy, dx, dx])
        found = {}
        for z in np.unique(slices):
            y0, y1, x0, x1 = places[slices == z].T
            found[int(z) + dz] = int(y0.min()), int(y1.max()), int(x0.min()), int(x1.max())
        return found

    def _around(self, ids: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
        """Return some fragments, those that some links lead to which speak for a merge, and all beside."""
        known = newest = ids
        for _ in range(_HOPS):
            entries, _ = self._entries(newest)
            linked = entries[self.probability[entries] >= threshold]
            newest = np.setdiff1d(np.asarray(self.neighbours[linked], np.int64), known)
            known = np.union1d(known, newest)
        entries, _ = self._entries(known)
        return np.union1d(known, np.asarray(self.neighbours[entries], np.int64))

    def _entries(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the neighbours of some ids stand, and of which of them each is a neighbour."""
        begin, end = self.rows[ids], self.rows[ids + 1]
        count = end - begin
        owners = np.repeat(np.arange(len(ids)), count)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(count) - count, count)
        return begin[owners] + within, owners


def save_tables(
    folder: Path,
    edges: NDArray[np.int64],
    probability: NDArray[np.float32],
    contact: NDArray[np.float32],
    slices: NDArray[np.int64],
    depth: int,
    places: NDArray[np.int32],
) -> None:
    """Write a graph for :meth:`KeptGraph.load`.

    Parameters
    ----------
    folder
        Where the fragments are, or will be.
    edges, probability, contact
        Pairs of ids, (E, 2), and what is known of each.
    slices
        Slice of each id, (nodes,); those of a slice follow each other. Row 0 is none.
    depth
        Number of slices.
    places
        Rectangle of each id, (nodes, 4).
    """
    ends = np.concatenate([edges, edges[:, ::-1]])
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    twice = np.concatenate([np.arange(len(edges))] * 2)[order]
    tables = {
        "first": np.searchsorted(slices[1:], np.arange(depth + 1)).astype(np.int64),
        "rows": np.searchsorted(ends[order, 0], np.arange(len(slices) + 1)).astype(np.int64),
        "neighbours": ends[order, 1].astype(np.uint32),
        "probability": np.asarray(probability, np.float32)[twice],
        "contact": np.asarray(contact, np.float32)[twice],
        "places": np.asarray(places, np.int32),
    }
    for name in _TABLES:
        np.save(folder / f"{name}.npy", tables[name])
