"""A path, or an array, becomes a Volume."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from napari_dtn.volume.formats import locate, name_of, open_found, stacks
from napari_dtn.volume.geometry import ChoiceMissingError, check_voxel_size, count_of, name_axes, to_zyx
from napari_dtn.volume.lazy import to_dask
from napari_dtn.volume.ome_zarr import is_label_image
from napari_dtn.volume.stored import Computed, StoredArray

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_dtn.settings import VoxelSize
    from napari_dtn.volume.lazy import Found

_SAME_SIZE = 0.01  # of a voxel's side: less is rounding
_SMALLEST_ID = 4  # bytes: smaller integers are usually intensities


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
    channel
        Which one of the file's it is, where there are several.

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
    channel: int | None = None

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
    path: str | Path,
    voxel_size: Iterable[float] | None = None,
    channel: int | None = None,
    time: int | None = None,
) -> Volume:
    """Open a volume; nothing but its metadata is read.

    Parameters
    ----------
    path
        A TIFF, OME-TIFF or ImageJ stack; a folder of TIFF, PNG or JPEG slices; an OME-Zarr image (0.4 or
        0.5); a zarr array or group (``store.zarr/raw``); an HDF5 file (``file.h5::/volumes/raw``); an N5
        dataset or group (``store.n5/volumes/raw``); a neuroglancer precomputed folder; an MRC file. Local,
        or a URL that fsspec reads: ``https://``, ``s3://``.
    voxel_size
        In nm, (Z, Y, X), instead of what the file states.
    channel
        Which channel or colour, where there are several.
    time
        Which time point, where there are several stacks.

    Raises
    ------
    FileNotFoundError
        There is nothing at the path.
    ValueError
        It cannot be opened, a choice or a package is missing; the error names the path and the fix.
    """
    size = None if voxel_size is None else check_voxel_size(voxel_size)
    place, inner = locate(path)
    found = open_found(place, inner)
    volume = _volume(path, found, name_of(place, inner), channel, time)
    return volume if size is None else volume.with_voxel_size(size)


def check_same_voxels(one: Volume, other: Volume) -> None:
    """Refuse volumes that cannot be laid over each other voxel by voxel, where their sizes are known.

    Volumes of one shape pass: one of them may have been given another size by hand.

    Raises
    ------
    ValueError
        Their voxels differ.
    """
    if one.voxel_size is None or other.voxel_size is None or one.shape == other.shape:
        return
    if any(abs(a / b - 1) > _SAME_SIZE for a, b in zip(one.voxel_size, other.voxel_size, strict=True)):
        first, second = (" x ".join(f"{side:g}" for side in each.voxel_size or ()) for each in (one, other))
        raise ValueError(
            f"{one.name} has voxels of {first} nm (Z, Y, X), and {other.name} of {second}; give both at one "
            "resolution, or say by the voxel size which is right."
        )


def open_all(path: str | Path) -> list[tuple[Volume, ...]]:
    """Open every stack at a path: a row for each stack in the file and each of its channels.

    The volumes of a row are its time points. Errors as :func:`open_volume`.
    """
    rows = []
    for one in volumes_in(path):
        place, inner = locate(one)
        found, name = open_found(place, inner), name_of(place, inner)
        channels, times = count_of(found.axes, found.levels[0].shape)
        for channel in range(channels):
            title = name if channels == 1 else f"{name} channel {channel}"
            rows.append(tuple(_volume(one, found, title, channel, time) for time in range(times)))
    return rows


def _volume(path: str | Path, found: Found, name: str, channel: int | None, time: int | None) -> Volume:
    try:
        levels = tuple(to_zyx(level, found.axes, channel, time) for level in found.levels)
    except ChoiceMissingError as error:
        raise ChoiceMissingError(f"{path} {error.there}", f"{error.how}.") from error
    except ValueError as error:
        raise ValueError(f"{path} {error}.") from error
    several = count_of(found.axes, found.levels[0].shape)[0] > 1
    return Volume(levels, found.voxel_size, name, str(path), found.translation, channel if several else None)


def holds_ids(volume: Volume) -> bool:
    """Tell whether a volume holds ids or a mask rather than grey values: by its type, or as its file says."""
    dtype = volume.data.dtype
    if dtype.kind == "b" or (dtype.kind in "ui" and dtype.itemsize >= _SMALLEST_ID):
        return True
    return dtype.kind in "ui" and volume.path is not None and is_label_image(volume.path)


def volumes_in(path: str | Path) -> list[str]:
    """Return the paths of the volumes at a path: each stack where a file holds several, else the path itself.

    Raises
    ------
    FileNotFoundError, ValueError
        There is nothing at the path, or it is damaged.
    """
    place, inner = locate(path)
    names = [] if inner else [f"{path}{name}" for name in stacks(place)]
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
        if isinstance(array, da.Array) and not isinstance(array, StoredArray):
            array = Computed(array)
        lazy = array if isinstance(array, da.Array) else to_dask(array, axes)
        level = to_zyx(lazy, axes)
    except ValueError as error:
        raise ValueError(f"{name} {error}.") from error
    return Volume((level,), None if voxel_size is None else check_voxel_size(voxel_size), name)
