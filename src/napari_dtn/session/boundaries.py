"""Boundaries where they are asked for: read from a prediction, or predicted then and there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_dtn.bounded import Bounded
from napari_dtn.segment.windows import lay
from napari_dtn.segmenting.keeping import kept_graph
from napari_dtn.session.bad_slices import JudgedSlices
from napari_dtn.volume.content import check_boundary_type, check_probabilities
from napari_dtn.volume.opening import check_same_voxels
from napari_dtn.volume.writing import bad_slices_of, check_finished

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from numpy.typing import NDArray

    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.predict import Predictor
    from napari_dtn.segment.kept_graph import KeptGraph
    from napari_dtn.settings import Box, PredictSettings
    from napari_dtn.volume.opening import Volume

Shape = tuple[int, int, int]
PANE = 512  # pixels of a side: what is predicted at least


class Boundaries(Protocol):
    """Probabilities of boundary of a volume, or of a box of it, and its slices that are no good.

    Where the fragments of the box, and their links, were found and kept before, there is a graph of them.
    """

    box: Box
    bad: Container[int]
    graph: KeptGraph | None

    def prepare(self) -> None:
        """Get ready for the first :meth:`read`."""

    def read(self, z: int, y: slice, x: slice) -> NDArray[np.float32]:
        """Return a window of a slice, in [0, 1]."""
        ...


class StoredBoundaries:
    """A prediction on disk, or any array of probabilities.

    Parameters
    ----------
    array
        (Z, Y, X): uint8 = 255 p, uint16 = 65535 p, or floats from 0 to 1.
    shape
        Of the volume.
    origin
        First voxel of the array in the volume, (Z, Y, X).
    bad
        Slices of the volume that objects are led past.
    graph
        Of the array's fragments, where there is one.

    Raises
    ------
    ValueError
        The array leaves the volume, or is of a type that boundaries never have.
    """

    def __init__(
        self,
        array: Any,
        shape: Shape,
        origin: Shape = (0, 0, 0),
        bad: Container[int] = frozenset(),
        graph: KeptGraph | None = None,
    ) -> None:
        check_boundary_type(array.dtype, "The array of boundaries")
        self.bad: Container[int] = bad
        self.graph = graph
        self._array, self._origin = array, origin
        z, y, x = (slice(start, start + size) for start, size in zip(origin, array.shape, strict=True))
        self.box = z, y, x
        if any(one.start < 0 or one.stop > size for one, size in zip(self.box, shape, strict=True)):
            raise ValueError(
                f"The boundaries have shape {tuple(array.shape)} from voxel {origin} on, and the volume has "
                f"{shape}; choose the boundaries that were predicted from this volume."
            )

    def prepare(self) -> None:
        """Do nothing: the array is there."""

    @staticmethod
    def of(prediction: Volume, volume: Volume) -> StoredBoundaries:
        """Lay a prediction over the volume by its stored place, with all that is known of it on disk."""
        check_same_voxels(prediction, volume)
        z, y, x = (round(a - b) for a, b in zip(prediction.origin, volume.origin, strict=True))
        return StoredBoundaries.at(prediction.data, prediction.path, volume.shape, (z, y, x))

    @staticmethod
    def at(array: Any, path: str | None, shape: Shape, origin: Shape) -> StoredBoundaries:
        """Lay an array over the volume, with the bad slices and the graph that are on disk with its file."""
        check_finished(path)
        marked = bad_slices_of(path) if path else frozenset()
        bad = frozenset(one + origin[0] for one in marked)
        graph = kept_graph(path, array.shape, origin) if path else None
        return StoredBoundaries(array, shape, origin, bad, graph)

    def read(self, z: int, y: slice, x: slice) -> NDArray[np.float32]:
        """Return a window of a slice, in [0, 1]; ValueError where its floats are no probabilities."""
        dz, dy, dx = self._origin
        window = (z - dz, slice(y.start - dy, y.stop - dy), slice(x.start - dx, x.stop - dx))
        values = np.asarray(self._array[window])
        check_probabilities(values)
        most = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1
        return values.astype(np.float32) / np.float32(most)


class PredictedBoundaries:
    """Predicts panes of slices when they are first looked at, and keeps the last ones.

    Parameters
    ----------
    make
        Sets the model up; called once, when a first pane is needed.
    shape
        Of the volume.
    memory
        Bytes to keep.
    bad
        Slices of the volume that objects are led past.
    """

    def __init__(
        self,
        make: Callable[[], Predictor],
        shape: Shape,
        memory: int = 2**30,
        bad: Container[int] = frozenset(),
    ) -> None:
        self.graph: KeptGraph | None = None
        self.bad: Container[int] = bad
        self._make, self._shape = make, shape
        self.box = slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
        self._panes = Bounded(memory)
        self._predictor: Predictor | None = None
        self._lock = threading.Lock()

    @staticmethod
    def of(model: Model, volume: Volume, settings: PredictSettings, memory: int) -> PredictedBoundaries:
        """Predict a volume by a model; its bad slices are those that look bad when they are reached."""

        def make() -> Predictor:
            from napari_dtn.predict import Predictor

            return Predictor.of(model, volume, settings)

        return PredictedBoundaries(make, volume.shape, memory, JudgedSlices(volume))

    def read(self, z: int, y: slice, x: slice) -> NDArray[np.float32]:
        """Return a window of a slice, in [0, 1]; the panes under it that are missing are predicted."""
        rows, columns = _panes(y, self._shape[1]), _panes(x, self._shape[2])
        wanted = [(row, column) for row in rows for column in columns]
        with self._lock:  # a network uses every core by itself
            panes = {place: self._panes.get((z, *place)) for place in wanted}
            predicted = self._predict(z, [place for place, pane in panes.items() if pane is None])
            for place, pane in predicted.items():
                self._panes.put((z, *place), pane)
        out = np.empty((y.stop - y.start, x.stop - x.start), np.float32)
        for place, pane in (panes | predicted).items():
            lay(pane, place, out, y, x)
        return out

    def prepare(self) -> None:
        """Set the model up."""
        with self._lock:
            if self._predictor is None:
                self._predictor = self._make()

    def _predict(self, z: int, panes: list[tuple[int, int]]) -> dict[tuple[int, int], NDArray[np.float32]]:
        """Predict some panes in one region, with what lies between them: each tile is then computed once."""
        if not panes:
            return {}
        if self._predictor is None:
            self._predictor = self._make()
        (a0, a1), (b0, b1) = ((min(ends), max(ends) + PANE) for ends in zip(*panes, strict=True))
        y, x = slice(a0, min(a1, self._shape[1])), slice(b0, min(b1, self._shape[2]))
        plane = self._predictor.predict(z, y, x)[0]
        return {(a, b): plane[a - a0 : a - a0 + PANE, b - b0 : b - b0 + PANE].copy() for a, b in panes}


def _panes(along: slice, size: int) -> list[int]:
    """Return where the panes under a range begin."""
    return list(range(along.start // PANE * PANE, min(along.stop, size), PANE))
