"""A path, or an array, becomes a Volume."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from napari_dtn.volume import hdf5, ome_zarr, slices, tiff
from napari_dtn.volume.geometry import check_voxel_size, name_axes, to_zyx
from napari_dtn.volume.hdf5 import open_hdf5
from napari_dtn.volume.lazy import Found, to_dask
from napari_dtn.volume.ome_zarr import is_zarr, open_zarr
from napari_dtn.volume.slices import open_slices, slice_files
from napari_dtn.volume.tiff import open_tiff

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_dtn.settings import VoxelSize

_SUFFIXES = slices.SUFFIXES | hdf5.SUFFIXES
_FORMATS = "TIFF, PNG, JPEG, HDF5, zarr or OME-Zarr, or a folder of slices"


@dataclass(frozen=True, eq=False)
class Volume:
    """A stack of grey slices or of labels, on disk or in memory.

    Parameters
    ----------
    levels
        Lazy arrays (Z, Y, X), finest first.
    voxel_size
        Of the finest level, in nm, (Z, Y, X); None where nobody has stated it.
    name
        For people.
    path
        Where it was opened from.
    translation
        Centre of the first voxel, (Z, Y, X): in nm, or in voxels where the voxel size is None.

    Raises
    ------
    ValueError
        A level is not (Z, Y, X), is empty, or holds no real numbers; or the voxel size is no such thing.
    """

    levels: tuple[da.Array, ...]
    voxel_size: VoxelSize | None
    name: str
    path: str | None = None
    translation: VoxelSize = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.voxel_size is not None:
            object.__setattr__(self, "voxel_size", check_voxel_size(self.voxel_size))
        if not self.levels:
            raise ValueError(f"{self.name} has no image in it; a volume needs at least one level.")
        for level in self.levels:
            if level.ndim != 3 or 0 in level.shape:
                raise ValueError(f"{self.name} has shape {level.shape}; a volume is (Z, Y, X) and not empty.")
            if level.dtype.kind not in "buif":
                raise ValueError(f"{self.name} holds {level.dtype}; convert it to integers or floats.")

    @property
    def data(self) -> da.Array:
        """The finest level, (Z, Y, X)."""
        return self.levels[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the finest level, (Z, Y, X)."""
        z, y, x = self.data.shape
        return int(z), int(y), int(x)

    @property
    def origin(self) -> VoxelSize:
        """Centre of the first voxel, counted in voxels, (Z, Y, X)."""
        z, y, x = (a / b for a, b in zip(self.translation, self.voxel_size or (1, 1, 1), strict=True))
        return z, y, x

    def with_voxel_size(self, voxel_size: Iterable[float]) -> Volume:
        """Return the volume with this voxel size in nm, (Z, Y, X); its origin stays at the same voxel."""
        size = check_voxel_size(voxel_size)
        z, y, x = (a * b for a, b in zip(self.origin, size, strict=True))
        return replace(self, voxel_size=size, translation=(z, y, x))


def open_volume(
    path: str | Path, voxel_size: Iterable[float] | None = None, channel: int | None = None
) -> Volume:
    """Open a volume; nothing but its metadata is read.

    Parameters
    ----------
    path
        A TIFF, OME-TIFF or ImageJ stack; a folder of TIFF, PNG or JPEG slices; an OME-Zarr image (0.4 or
        0.5); a zarr array or group (``store.zarr/raw``); an HDF5 file (``file.h5::/volumes/raw``).
    voxel_size
        In nm, (Z, Y, X), instead of what the file states.
    channel
        Which channel or colour, where there are several.

    Raises
    ------
    FileNotFoundError
        There is nothing at the path.
    ValueError
        It cannot be opened, or a choice is missing; the error names the path and the fix.
    """
    size = None if voxel_size is None else check_voxel_size(voxel_size)
    place, inner = _locate(path)
    found = _open(place, inner)
    try:
        levels = tuple(to_zyx(level, found.axes, channel) for level in found.levels)
    except ValueError as error:
        raise ValueError(f"{path} {error}.") from error
    volume = Volume(levels, found.voxel_size, _name(place, inner), str(path), found.translation)
    return volume if size is None else volume.with_voxel_size(size)


def volumes_in(path: str | Path) -> list[str]:
    """Return the paths of the volumes at a path: each stack where a file holds several, else the path itself.

    Raises
    ------
    FileNotFoundError, ValueError
        There is nothing at the path, or it is damaged.
    """
    place, inner = _locate(path)
    if inner:
        return [str(path)]
    if is_zarr(place):
        names = [f"{path}/{name}" for name in ome_zarr.stacks(place)]
    elif place.suffix.lower() in hdf5.SUFFIXES and place.is_file():
        names = [f"{path}::/{name}" for name in hdf5.stacks(place)]
    else:
        names = []
    return names if len(names) > 1 else [str(path)]


def volume_from_array(array: Any, voxel_size: Iterable[float] | None = None, name: str = "array") -> Volume:
    """Make a volume of an array in memory, or of a lazy one.

    Parameters
    ----------
    array
        NumPy, dask, zarr or HDF5: (Y, X), (Z, Y, X), or more axes of length 1.
    voxel_size
        In nm, (Z, Y, X).
    name
        For people.

    Raises
    ------
    ValueError
        The array is no such stack; the error names its shape.
    """
    if not hasattr(array, "shape"):
        array = np.asarray(array)
    try:
        axes = name_axes(tuple(array.shape), array.dtype)
        lazy = array if isinstance(array, da.Array) else to_dask(array, axes)
        level = to_zyx(lazy, axes, None)
    except ValueError as error:
        raise ValueError(f"{name} {error}.") from error
    return Volume((level,), None if voxel_size is None else check_voxel_size(voxel_size), name)


def sniff(path: str | Path) -> bool:
    """Tell, from names alone, whether a path could be a volume that opens."""
    try:
        place, _ = _locate(path)
    except (OSError, ValueError):
        return False
    if place.is_dir():
        return is_zarr(place) or any(True for _ in slice_files(place))
    return place.suffix.lower() in _SUFFIXES


def _locate(path: str | Path) -> tuple[Path, str]:
    """Split a path into the file or folder that exists, and what is meant inside of it."""
    file, _, inner = str(path).partition("::")
    place = Path(file).expanduser()
    if place.exists():
        return place, inner
    parent = next((parent for parent in place.parents if parent.exists()), Path())
    if is_zarr(parent) or (parent.is_file() and parent.suffix.lower() in hdf5.SUFFIXES):
        return parent, f"{place.relative_to(parent).as_posix()}/{inner.strip('/')}"
    raise FileNotFoundError(f"{place} does not exist; check the path.")


def _open(place: Path, inner: str) -> Found:
    suffix = place.suffix.lower()
    if is_zarr(place):
        return open_zarr(place, inner)
    if suffix in hdf5.SUFFIXES and place.is_file():
        return open_hdf5(place, inner)
    if inner:
        raise ValueError(f"{place} has nothing inside that could be {inner!r}; only HDF5 and zarr have.")
    if suffix in tiff.SUFFIXES and place.is_file():
        return open_tiff(place)
    if suffix in slices.PICTURES or place.is_dir():
        return open_slices(place)
    raise ValueError(f"{place} is in no format that opens; convert it to {_FORMATS}.")


def _name(place: Path, inner: str) -> str:
    """Name a volume after its file, without its suffixes, and what was opened inside of it."""
    named = Path(place.parent if place.name.isdigit() and is_zarr(place.parent) else place).absolute()
    stem = named.stem if named.suffix.lower() in (*_SUFFIXES, ".zarr") else named.name
    return " ".join([stem.removesuffix(".ome"), *inner.strip("/").split("/")[-1:]]).strip()
