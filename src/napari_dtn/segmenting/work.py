"""What is done with one part of a volume, by any process: cut it into fragments, measure its borders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_dtn.durable import make_durable
from napari_dtn.segment.fragments import seeded_fragments
from napari_dtn.segment.graph import borders, measure
from napari_dtn.segment.joining import NO_BORDERS, NO_FRAGMENTS
from napari_dtn.segmenting.parts import Parts, grown, within
from napari_dtn.segmenting.tables import Measured, save_borders, save_measured
from napari_dtn.settings import FragmentSettings
from napari_dtn.volume.content import check_probabilities
from napari_dtn.volume.intensity import Intensity, normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALO = 64  # pixels around a part that its fragments are cut with: more than a fragment's half width


@dataclass(frozen=True, eq=False)
class Job:
    """All that any process needs to work on a part.

    Parameters
    ----------
    folder
        Of the unfinished work: fragments by part in ``fragments.zarr``, tables beside it.
    parts
        How the volume is cut.
    boundary, image
        (Z, Y, X); the image may be missing.
    intensity
        Of the image.
    settings
        How slices are cut.
    """

    folder: Path
    parts: Parts
    boundary: Any
    image: Any | None
    intensity: Intensity | None
    settings: FragmentSettings

    @property
    def fragments(self) -> zarr.Array[Any]:
        """Fragment ids, from 1 in each part; 0 in slices that are left out."""
        array: zarr.Array[Any] = zarr.open_array(str(self.folder / "fragments.zarr"), mode="r+")
        return array

    def chunks(self, zs: list[int], y: slice, x: slice) -> Iterator[Path]:
        """Yield the files that hold some fragments."""
        _, height, width = self.fragments.chunks
        rows = range(y.start // height, -(-y.stop // height))
        columns = range(x.start // width, -(-x.stop // width))
        for place in product(zs, rows, columns):
            yield self.folder.joinpath("fragments.zarr", "c", *map(str, place))

    def table(self, kind: str, number: int) -> Path:
        """Return the file of a part's table."""
        return self.folder / f"{kind}-{number}.npz"

    def missing(self, kind: str) -> list[int]:
        """Return the parts that have no such table yet."""
        return [number for number in range(len(self.parts)) if not self.table(kind, number).exists()]

    def planes(self, zs: list[int], y: slice, x: slice) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Read slices of boundary and image."""
        boundary = np.stack([_probability(self.boundary[z, y, x]) for z in zs])
        if self.image is None or self.intensity is None:
            return boundary, None
        return boundary, normalise(np.stack([np.asarray(self.image[z, y, x]) for z in zs]), self.intensity)


def cut(job: Job, number: int) -> None:
    """Cut a part into fragments, and measure them."""
    z, y, x = job.parts[number]
    zs = job.parts.good(z)
    _, height, width = job.parts.shape
    wide_y, wide_x = grown(y, _HALO, _HALO, height), grown(x, _HALO, _HALO, width)
    core = within(y, wide_y), within(x, wide_x)
    ids = np.zeros((len(zs), y.stop - y.start, x.stop - x.start), np.uint32)
    seeds = [np.zeros(1, np.int64)]
    for i, one in enumerate(zs):
        wide, places = seeded_fragments(_probability(job.boundary[one, wide_y, wide_x]), job.settings)
        kept, flat = np.unique(wide[core], return_inverse=True)
        ids[i] = flat.reshape(ids.shape[1:]) + sum(map(len, seeds))
        rows, columns = np.unravel_index(places[kept - 1], wide.shape)
        seeds.append(1 + (one * height + rows + wide_y.start) * width + columns + wide_x.start)
        job.fragments[one, y, x] = ids[i]
    found = measure(ids, *job.planes(zs, y, x), corner=(0, y.start, x.start)) if zs else NO_FRAGMENTS
    found.slices[1:] = np.asarray(zs, np.int64)[found.slices[1:]]
    make_durable(job.folder, job.chunks(zs, y, x))  # before the table that says that they are there
    save_measured(job.table("measured", number), Measured(found, np.concatenate(seeds)))


def connect(job: Job, number: int, first: NDArray[np.int64]) -> None:
    """Measure the borders that begin in a part; ``first`` is what each part adds to its own ids."""
    z, y, x = job.parts[number]
    own = job.parts.good(z)
    zs = own + job.parts.next_good(z.stop)
    _, height, width = job.parts.shape
    wide_y, wide_x = grown(y, 0, 1, height), grown(x, 0, 1, width)
    if not own:
        save_borders(job.table("borders", number), NO_BORDERS)
        return
    ids = np.stack([_global_ids(job, one, wide_y, wide_x, first) for one in zs])
    part = slice(0, len(own)), within(y, wide_y), within(x, wide_x)
    save_borders(job.table("borders", number), borders(ids, *job.planes(zs, wide_y, wide_x), own=part))


def _global_ids(job: Job, z: int, y: slice, x: slice, first: NDArray[np.int64]) -> NDArray[np.uint32]:
    ids = np.asarray(job.fragments[z, y, x])
    for number, rows, columns in job.parts.touching(y, x, z):
        ids[within(rows, y), within(columns, x)] += np.uint32(first[number])
    return ids


def _probability(stored: Any) -> NDArray[np.float32]:
    values = np.asarray(stored)
    check_probabilities(values)
    most = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1
    return values.astype(np.float32) / np.float32(most)
