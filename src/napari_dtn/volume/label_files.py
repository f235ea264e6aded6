"""Labels become a file for other programs: OME-Zarr, TIFF or HDF5, by its suffix."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import tifffile

from napari_dtn.volume import hdf5, tiff
from napari_dtn.volume.description import Description
from napari_dtn.volume.pyramid import regions
from napari_dtn.volume.writing import check_deletable, delete_image, label_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dtn.volume.opening import Volume

DATASET = "labels"
_WINDOWS = os.name == "nt"
_SIDE = 2048  # pixels of a slice that are read and written at once
_IMAGEJ_BYTES = 2**32 - 2**20  # of a stack; ImageJ has no larger file
_IMAGEJ_LARGEST, _TIFF_LARGEST = 2**16 - 1, 2**32 - 1
_SPARE = 2**22  # bytes that stay free: what HDF5 holds back and writes at the end


@dataclass(frozen=True)
class Written:
    """Some of the labels are written.

    Parameters
    ----------
    done, total
        Parts.
    """

    done: int
    total: int


def save_labels(labels: Volume, path: str | Path, overwrite: bool = False) -> Path:
    """Write a volume of ids into a file; parameters and errors as :func:`save_label_steps`."""
    for _ in save_label_steps(labels, path, overwrite):
        pass
    return Path(path)


def save_label_steps(labels: Volume, path: str | Path, overwrite: bool = False) -> Iterator[Written]:
    """Write a volume of ids into a file, part by part; it is at its place when it is complete.

    Parameters
    ----------
    labels
        Ids, 0 for background.
    path
        Ends in ``.zarr``: OME-Zarr 0.5 with a pyramid. ``.tif``, ``.tiff``: a stack for ImageJ where ids are
        below 65,536 and it has less than 4 GB, else a BigTIFF with OME metadata; both state the voxel size.
        ``.h5``, ``.hdf5``: the dataset ``/labels`` with the attributes ``resolution`` and ``offset``, in nm.
    overwrite
        Replace a file that is there.

    Raises
    ------
    FileExistsError
        Something is there; a folder is replaced only if it is an OME-Zarr image and nothing else.
    ValueError
        The suffix says no format, or the volume holds no ids.
    """
    path = Path(path)
    write = _writer_of(path)
    if labels.data.dtype.kind not in "bui":
        raise ValueError(f"{labels.name} holds {labels.data.dtype}; labels are integer ids.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another path.")
    if path.is_dir():
        check_deletable(path)
    _check_closed(path)
    with _put_in_place(path) as unfinished:
        yield from write(labels, unfinished)


def _writer_of(path: Path) -> Any:
    suffix = path.suffix.lower()
    for suffixes, write in (
        ({".zarr"}, _write_zarr),
        (tiff.SUFFIXES, _write_tiff),
        (hdf5.SUFFIXES, _write_hdf5),
    ):
        if suffix in suffixes:
            return write
    raise ValueError(f"{path.name} has no format for labels in its name; end it with .zarr, .tif or .h5.")


def _check_closed(path: Path) -> None:
    """Refuse a file that Windows would not let be replaced, since it is open, as by a layer of it."""
    if not _WINDOWS or not path.is_file():
        return
    aside = path.with_name(path.name + ".aside")
    try:
        path.rename(aside)
    except PermissionError as error:
        raise PermissionError(
            f"{path} is open, perhaps as a layer: remove that first, or choose another name."
        ) from error
    aside.rename(path)


@contextmanager
def _put_in_place(path: Path) -> Iterator[Path]:
    """Give a place to write to; what is there when all went well replaces the path, else it is deleted."""
    unfinished = path.with_name(path.name + ".unfinished")
    _delete(unfinished)
    try:
        yield unfinished
    except BaseException:  # also where nobody iterates any more
        with suppress(OSError):  # what is still being written to; the error itself is what is told
            _delete(unfinished)
        raise
    if path.is_dir():
        delete_image(path)
    unfinished.replace(path)


def _delete(unfinished: Path) -> None:
    shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink(missing_ok=True)


def _write_zarr(labels: Volume, path: Path) -> Iterator[Written]:
    described = Description("zyx", labels.voxel_size, labels.translation, downscaling="mode", is_labels=True)
    for done, total in label_steps(path, labels.data, described, {}):
        yield Written(done, total)


def _write_hdf5(labels: Volume, path: Path) -> Iterator[Written]:
    chunks = (1, *(min(256, size) for size in labels.shape[1:]))
    how = {"chunks": chunks, "compression": "gzip", "compression_opts": 1}
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(DATASET, labels.shape, _unsigned(labels), **how)
        if labels.voxel_size is not None:
            dataset.attrs.update(resolution=labels.voxel_size, offset=labels.translation, units="nm")
        yield from _filled(dataset, labels, path)


def _write_tiff(labels: Volume, path: Path) -> Iterator[Written]:
    """Read all once for the largest id, which decides about the format, and again to write it."""
    places, largest = list(regions(labels.shape, _SIDE)), 0
    for done, place in enumerate(places, start=1):
        largest = max(largest, int(np.asarray(labels.data[place]).max()))
        yield Written(done, 2 * len(places))
    imagej = largest <= _IMAGEJ_LARGEST and 2 * labels.data.size < _IMAGEJ_BYTES
    if largest > _TIFF_LARGEST:
        raise ValueError(
            f"A TIFF holds ids up to {_TIFF_LARGEST}, and there is {largest}; save as .h5 or .zarr."
        )
    how = _imagej(labels) if imagej else _ome(labels)
    stack = tifffile.memmap(path, shape=labels.shape, **how)
    for step in _filled(stack, labels, path):
        yield Written(step.total + step.done, 2 * step.total)
    stack.flush()


def _imagej(labels: Volume) -> dict[str, Any]:
    how: dict[str, Any] = {"imagej": True, "dtype": np.uint16, "metadata": {"axes": "ZYX"}}
    if labels.voxel_size is not None:
        z, y, x = labels.voxel_size
        how["metadata"] |= {"spacing": z, "unit": "nm"}
        how["resolution"] = 1 / x, 1 / y  # pixels in a nm
    return how


def _ome(labels: Volume) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "ZYX"}
    for axis, size in zip("ZYX", labels.voxel_size or (), strict=False):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
    return {"ome": True, "bigtiff": True, "dtype": np.uint32, "metadata": metadata}


def _filled(target: Any, labels: Volume, path: Path) -> Iterator[Written]:
    places = list(regions(labels.shape, _SIDE))
    for done, place in enumerate(places, start=1):
        values = np.asarray(labels.data[place])
        if values.min() < 0:
            raise ValueError(f"{labels.name} holds the id {values.min()}; ids are 0 and up.")
        _check_room(path, target.dtype.itemsize * values.size)
        target[place] = values
        yield Written(done, len(places))


def _check_room(path: Path, wanted: int) -> None:
    """Refuse to fill a disk, with an OSError: a mapped file, or HDF5, would end the process there."""
    if shutil.disk_usage(path.parent).free < wanted + _SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _unsigned(labels: Volume) -> np.dtype[Any]:
    return np.dtype(np.uint64 if labels.data.dtype.itemsize > 4 else np.uint32)
