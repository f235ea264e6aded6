"""MRC files of electron tomography, read rows at a time."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.volume.geometry import stated_voxel_size
from napari_dtn.volume.lazy import Found, reading, to_dask
from napari_dtn.volume.places import needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dtn.settings import VoxelSize
    from napari_dtn.volume.places import Place

SUFFIXES = frozenset({".mrc", ".mrcs", ".rec", ".st"})
_HEADER = 1024  # bytes, before the extended header
_EXTENDED = slice(92, 96)  # of these: the size of the extended header
_IMOD = slice(152, 160)  # bytes of the header: IMOD's stamp and its flags
_STAMP, _SIGNED = 1146047817, 1


@dataclass(frozen=True)
class MrcArray:
    """The values of a file as (sections, rows, columns); only the rows that are asked for are read.

    Parameters
    ----------
    place
        The file.
    start
        Its first value, in bytes.
    shape, dtype
        Of all values.
    """

    place: Place
    start: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    ndim = 3

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        sections, rows, columns = key
        with reading(self.place), self.place.open("rb") as file:
            if not isinstance(sections, slice):
                return self._rows(file, int(sections), rows)[..., columns]
            chosen = range(self.shape[0])[sections]
            planes = [self._rows(file, section, rows)[..., columns] for section in chosen]
            none = np.empty((0, *self.shape[1:]), self.dtype)[:, rows][..., columns]
        return np.stack(planes) if planes else none

    def _rows(self, file: Any, section: int, rows: Any) -> NDArray[Any]:
        """Read the rows from the first to the last that is asked for."""
        _, height, width = self.shape
        numbers = np.arange(height)[rows]
        if numbers.size == 0:
            return np.empty((0, width), self.dtype)
        first, last = int(numbers.min()), int(numbers.max())
        file.seek(self.start + (section * height + first) * width * self.dtype.itemsize)
        content = file.read((last - first + 1) * width * self.dtype.itemsize)
        found: NDArray[Any] = np.frombuffer(content, self.dtype).reshape(-1, width)[numbers - first]
        return found


def open_mrc(place: Place) -> Found:
    """Open an MRC file by its header; a cell without a size states no voxel size.

    Raises
    ------
    ValueError
        The package mrcfile is missing; or the file is damaged or incomplete, or holds several volumes.
    """
    mrcfile = needed("mrcfile", "mrc", place)
    with reading(place), place.open("rb") as file:
        header, extended = _header(mrcfile, file.read(_HEADER))
        dtype = _dtype(header, mrcfile.utils.data_dtype_from_header(header))
        start = _HEADER + extended
        shape = (int(header.nz), int(header.ny), int(header.nx))
        file.seek(0, 2)
        size = file.tell()
    if size < start + np.prod(shape, dtype=np.int64) * dtype.itemsize:
        raise ValueError(f"{place} is incomplete: it ends before its last slice; copy or download it again.")
    if 401 <= header.ispg <= 630:
        raise ValueError(f"{place} holds {shape[0] // int(header.mz)} volumes; save one of them by itself.")
    axes = "".join("_xyz"[int(number)] for number in (header.maps, header.mapr, header.mapc))
    axes = axes if sorted(axes) == ["x", "y", "z"] else "zyx"  # old programs leave the order 0
    return Found((to_dask(MrcArray(place, start, shape, dtype), axes),), axes, _voxel_size(header))


def _header(mrcfile: Any, content: bytes) -> tuple[Any, int]:
    """Let mrcfile check and name the header's fields; return them, and the size of the extended header.

    On a copy without its extended header: mrcfile would write to a stream that it can write to.
    """
    copy = bytearray(content)
    copy[_EXTENDED] = bytes(4)
    header = mrcfile.mrcinterpreter.MrcInterpreter(iostream=io.BytesIO(copy), header_only=True).header
    (extended,) = np.frombuffer(content[_EXTENDED], header.nx.dtype)
    return header, int(extended)


def _dtype(header: Any, stated: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of the values: bytes of IMOD are unsigned unless its flag says otherwise."""
    stamp, flags = np.frombuffer(header.tobytes()[_IMOD], header.nx.dtype)
    return np.dtype(np.uint8) if stated == np.int8 and stamp == _STAMP and not flags & _SIGNED else stated


def _voxel_size(header: Any) -> VoxelSize | None:
    """Read the cell, in Angstrom, and into how many voxels it is divided."""
    counts = [int(header[f"m{axis}"]) for axis in "zyx"]
    sides = [float(header.cella[axis]) for axis in "zyx"]
    if min(counts) < 1:
        return None
    return stated_voxel_size(
        [side / count for side, count in zip(sides, counts, strict=True)], ["angstrom"] * 3
    )
