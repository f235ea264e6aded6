"""What is read is not written over, and does not change unnoticed."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dtn.volume.n5 import is_n5
from napari_dtn.volume.ome_zarr import is_zarr
from napari_dtn.volume.places import is_remote, place_of
from napari_dtn.volume.precomputed import is_precomputed
from napari_dtn.volume.slices import SUFFIXES, slice_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST_FILES = 10_000  # that are looked at to tell whether a folder has changed
_FURTHER = {".zarr", ".graph", ".unfinished"}  # suffixes of what may lie in a store beside its volume
_LABELS = "labels"  # of an image, which may be added to it


def check_apart(output: str | Path, *inputs: str | None) -> None:
    """Refuse an output that would take the place of what it is made from.

    Parameters
    ----------
    output
        Where something is to be written.
    inputs
        Paths of what is read; what lies behind a URL, and None, are left out.

    Raises
    ------
    ValueError
        The output is an input, holds one, or is a part of one: of a store, where there is room for labels and
        further stores, or a picture among slices.
    """
    there = _resolved(output)
    for one, read in _read(inputs):
        if _below(read, there) is not None or _is_part(there, read):
            raise ValueError(f"{output} would be written over {one}, which is read; choose another path.")
        if _is_among(there, read):
            raise ValueError(
                f"{output} would be taken for a slice of {one}, which is read; choose another folder."
            )


def check_folder(folder: str | Path, *inputs: str | None) -> None:
    """Refuse a folder for several files that is an input itself; it may hold one, or lie in one.

    Parameters as :func:`check_apart`.

    Raises
    ------
    ValueError
        The folder is an input: pictures would lie among its slices, or files replace its own.
    NotADirectoryError
        It is a file.
    """
    there = _resolved(folder)
    for one, read in _read(inputs):
        if _same(there, read):
            raise ValueError(f"{folder} is {one} itself, which is read; choose another folder.")
    if there.is_file():
        raise NotADirectoryError(f"{folder} is a file; choose another folder.")


def state_of(path: str) -> dict[str, int]:
    """Return what tells that a local file, or the files of a volume, have changed; empty for a URL.

    Of a folder, the first 10,000 files by name count: the newest time, and all their bytes. What lies beside
    the volume, such as labels and further stores, does not.
    """
    place = _local(path)
    there = next((one for one in (place, *place.parents) if one.exists()), None) if place else None
    if there is None or (there != place and there.is_dir()):  # the file of a dataset in it may be a parent
        return {}
    found = [file.stat() for file in islice(_files_of(there), _MOST_FILES)]
    if not found:
        return {}
    return {
        "input_bytes": sum(one.st_size for one in found),
        "input_modified": max(one.st_mtime_ns for one in found),
    }


def _resolved(path: str | Path) -> Path:
    return Path(path).expanduser().resolve()


def _read(inputs: Iterable[str | None]) -> Iterator[tuple[str, Path]]:
    """Yield the inputs that lie on this machine, with their places."""
    for one in inputs:
        place = None if one is None else _local(one)
        if one is not None and place is not None:
            yield one, place


def _below(place: Path, folder: Path) -> Path | None:
    """Return the way from a folder to what is in it, or is it; None where it is elsewhere."""
    above = next((one for one in (place, *place.parents) if _same(one, folder)), None)
    return None if above is None else place.relative_to(above)


def _same(place: Path, other: Path) -> bool:
    """Whether two names are one place: capitals do not count on every file system."""
    if place == other:
        return True
    try:
        return place.samefile(other)
    except OSError:  # one of them is not there, or may not be looked at
        return False


def _is_part(there: Path, read: Path) -> bool:
    """Whether something lies in a store, and is not beside the volume in it."""
    inside = _below(there, read)
    if inside is None or not there.exists() or not _is_store(read):
        return False
    return not any(_is_further(name) for name in inside.parts)


def _is_among(there: Path, read: Path) -> bool:
    """Whether something would be one of the slices in a folder."""
    return _same(there.parent, read) and there.suffix.lower() in SUFFIXES and not _is_store(read)


def _local(path: str) -> Path | None:
    """Return the file or folder that a path names; None behind a URL."""
    place = place_of(path.partition("::")[0])
    return None if is_remote(place) else Path(str(place)).resolve()


def _is_further(name: str) -> bool:
    """Whether a folder in a store lies beside the volume: labels, or a store of its own."""
    return name == _LABELS or Path(name).suffix in _FURTHER


def _is_store(place: Path) -> bool:
    return is_zarr(place) or is_n5(place) or is_precomputed(place)


def _files_of(place: Path) -> Iterable[Path]:
    if place.is_file():
        return [place]
    return _all_files(place) if _is_store(place) else sorted(Path(str(one)) for one in slice_files(place))


def _all_files(place: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(place):
        folders[:] = sorted(one for one in folders if not _is_further(one))
        yield from (Path(folder, file) for file in sorted(files))
