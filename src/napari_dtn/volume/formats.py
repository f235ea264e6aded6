"""Which reader opens a path, and what is meant inside of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dtn.durable import check_readable
from napari_dtn.volume import hdf5, mrc, n5, ome_zarr, slices, tiff
from napari_dtn.volume.hdf5 import open_hdf5
from napari_dtn.volume.mrc import open_mrc
from napari_dtn.volume.n5 import is_n5, open_n5
from napari_dtn.volume.ome_zarr import is_zarr, open_zarr
from napari_dtn.volume.places import is_remote, place_of
from napari_dtn.volume.precomputed import is_precomputed, open_precomputed
from napari_dtn.volume.slices import open_slices, slice_files
from napari_dtn.volume.tiff import open_tiff

if TYPE_CHECKING:
    from napari_dtn.volume.lazy import Found
    from napari_dtn.volume.places import Place

_FILES = slices.SUFFIXES | hdf5.SUFFIXES | mrc.SUFFIXES
_FORMATS = "TIFF, PNG, JPEG, HDF5, zarr, OME-Zarr, N5, precomputed or MRC, or a folder of slices"


def locate(path: str | Path) -> tuple[Place, str]:
    """Split a path into the file or folder that a reader opens, and what is meant inside of it.

    Raises
    ------
    FileNotFoundError
        There is nothing at the path.
    PermissionError
        It may not be read.
    ValueError
        The path is a URL that cannot be read.
    """
    file, _, inner = str(path).partition("::")
    place = place_of(file)
    if isinstance(place, Path) and not is_remote(place):
        check_readable(place)
    if _is_container(place) or place.exists():
        return place, inner
    for parent in place.parents:
        if _has_inside(parent):
            rest = str(place.relative_to(parent)).replace("\\", "/")  # type: ignore[arg-type]
            return parent, f"{rest}/{inner.strip('/')}"
        if not is_remote(parent) and parent.exists():  # what holds the path is no container
            break
    raise FileNotFoundError(f"{place} does not exist; check the path.")


def open_found(place: Place, inner: str) -> Found:
    """Open what was located.

    Raises
    ------
    ValueError
        It is in no format that opens, is damaged, or needs a package that is not installed.
    """
    suffix = place.suffix.lower()
    if is_zarr(place):
        return open_zarr(place, inner)
    if suffix in hdf5.SUFFIXES and place.is_file():
        return open_hdf5(place, inner)
    if is_n5(place):
        return open_n5(place, inner)
    if inner:
        raise ValueError(f"{place} has nothing inside that could be {inner!r}; only HDF5, zarr and N5 have.")
    if is_precomputed(place):
        return open_precomputed(place)
    if suffix in mrc.SUFFIXES and place.is_file():
        return open_mrc(place)
    if suffix in tiff.SUFFIXES and place.is_file():
        return open_tiff(place)
    if suffix in slices.PICTURES or place.is_dir():
        return open_slices(place)
    raise ValueError(f"{place} is in no format that opens; convert it to {_FORMATS}.")


def stacks(place: Place) -> list[str]:
    """Return what to add to a place's path for each of the stacks in it; none where it is one itself."""
    if is_zarr(place):
        return [f"/{name}" for name in ome_zarr.stacks(place)]
    if place.suffix.lower() in hdf5.SUFFIXES and place.is_file():
        return [f"::/{name}" for name in hdf5.stacks(place)]
    return [f"/{name}" for name in n5.stacks(place)] if is_n5(place) else []


def sniff(path: str | Path) -> bool:
    """Tell, from names alone, whether a path could be a volume that opens."""
    try:
        place, _ = locate(path)
    except PermissionError:
        return Path(path).suffix.lower() in _FILES  # whoever opens it is told
    except (OSError, ValueError):
        return False
    if _is_container(place):
        return True
    if place.suffix.lower() in _FILES:
        return True
    return place.is_dir() and any(True for _ in slice_files(place))


def name_of(place: Place, inner: str) -> str:
    """Name a volume after its file, without its suffixes, and what was opened inside of it."""
    named = place.parent if place.name.isdigit() and is_zarr(place.parent) else place
    named = named if is_remote(named) else named.absolute()
    folders = (".zarr", n5.SUFFIX)
    stem = named.stem if named.suffix.lower() in (*_FILES, *folders) else named.name
    return " ".join([stem.removesuffix(".ome"), *inner.strip("/").split("/")[-1:]]).strip()


def _is_container(place: Place) -> bool:
    return is_zarr(place) or is_n5(place) or is_precomputed(place)


def _has_inside(parent: Place) -> bool:
    """Tell whether a path may go on inside of a place."""
    return is_zarr(parent) or is_n5(parent) or (parent.suffix.lower() in hdf5.SUFFIXES and parent.is_file())
