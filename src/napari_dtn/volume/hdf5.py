"""Datasets in HDF5 files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py

from napari_dtn.volume.geometry import in_order, name_axes, stated_axes, stated_by_attributes
from napari_dtn.volume.lazy import FileArray, Found, reading, to_dask
from napari_dtn.volume.places import readable

if TYPE_CHECKING:
    from napari_dtn.volume.places import Place

SUFFIXES = frozenset({".h5", ".hdf5", ".hdf"})


def open_hdf5(path: Place, inner: str) -> Found:
    """Open a dataset: the one named, or the only one with three axes.

    Raises
    ------
    ValueError
        The file is damaged, or it is not clear which dataset is meant; the error lists them.
    """
    name = inner.strip("/") or _only_volume(path)
    with reading(path), h5py.File(readable(path), "r") as file:
        found = file.get(name)
        known = isinstance(found, h5py.Dataset) and found.shape is not None
    if not known:
        raise ValueError(f"{path} has no dataset /{name}; it holds {_listing(path)}.")
    with reading(path):
        dataset = _open_dataset(path, name)
        stated = stated_axes(_axistags(dataset), dataset.ndim)
        voxel_size, translation = stated_by_attributes(in_order(dict(dataset.attrs), stated))
    try:
        axes = stated or name_axes(dataset.shape, dataset.dtype)
    except ValueError as error:
        raise ValueError(f"{path}::/{name} {error}.") from error
    array = FileArray(dataset, _open_dataset, path, name)
    return Found((to_dask(array, axes),), axes, voxel_size, translation)


def _axistags(dataset: Any) -> list[str] | None:
    """Return the names of the axes that ilastik states."""
    stated = dataset.attrs.get("axistags")
    try:
        return [str(axis["key"]) for axis in json.loads(stated)["axes"]] if stated else None
    except (ValueError, TypeError, KeyError):
        return None


def _open_dataset(path: Place, name: str) -> Any:
    # The dataset keeps its file open, and h5py lets one thread at a time into the library.
    return h5py.File(readable(path), "r")[name]


def stacks(path: Place) -> list[str]:
    """Return the names of the datasets with three axes."""
    return [name for name, shape, _ in _datasets(path) if len(shape) == 3]


def _only_volume(path: Place) -> str:
    volumes = stacks(path)
    if len(volumes) != 1:
        raise ValueError(f"{path} needs a dataset, as in {path.name}::/raw; it holds {_listing(path)}.")
    return volumes[0]


def _datasets(path: Place) -> list[tuple[str, tuple[int, ...], str]]:
    """List name, shape and type of every dataset."""
    found: list[tuple[str, tuple[int, ...], str]] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            found.append((name, item.shape, str(item.dtype)))

    with reading(path), h5py.File(readable(path), "r") as file:
        file.visititems(note)
    return found


def _listing(path: Place) -> str:
    return ", ".join(f"/{name} {dtype} {shape}" for name, shape, dtype in _datasets(path)) or "no dataset"
