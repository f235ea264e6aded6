"""The folder of a session: labels as OME-Zarr, annotations beside them, and the journal of what was done."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from napari_dtn.segment.history import OBJECTS, History
from napari_dtn.volume.writing import create_labels

if TYPE_CHECKING:
    from napari_dtn.volume.opening import Volume

JOURNAL = "journal.sqlite"
ANNOTATIONS = "annotations"
_DTYPES = {OBJECTS: "uint32", ANNOTATIONS: "uint8"}

# A journal is opened once in a process: the panels for clicking and for teaching share it.
_open: dict[Path, History] = {}
_users: Counter[Path] = Counter()
_lock = threading.Lock()


def open_store(folder: Path, volume: Volume) -> History:
    """Open the session in a folder, or begin one; what this process has open already is returned.

    Parameters
    ----------
    folder
        Made where it is missing.
    volume
        What the objects are of.

    Returns
    -------
    History
        To be given back by :func:`close_store`, as often as it was opened.

    Raises
    ------
    ValueError
        The folder holds objects of a volume of another shape, or another process works in it.
    """
    place = folder.resolve()
    with _lock:
        history = _open.get(place) or History(place / JOURNAL, **_arrays(place, volume))
        _check_shape(history.labels, folder, volume)
        _open[place] = history
        _users[place] += 1
    return history


def close_store(history: History) -> None:
    """Let go of a session; its journal is closed when nobody uses it any more."""
    with _lock:
        place = next(place for place, one in _open.items() if one is history)
        _users[place] -= 1
        if not _users[place]:
            _open.pop(place).close()


def _arrays(folder: Path, volume: Volume) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    objects, annotations = (_array(folder, name, volume) for name in (OBJECTS, ANNOTATIONS))
    return {"labels": objects, "others": {ANNOTATIONS: annotations}}


def _array(folder: Path, name: str, volume: Volume) -> Any:
    path = folder / f"{name}.zarr"
    if not (path / "zarr.json").exists():
        create_labels(
            path,
            volume.shape,
            voxel_size=volume.voxel_size,
            translation=volume.translation,
            attributes={"input": volume.path or volume.name},
            dtype=_DTYPES[name],
        )
    array = zarr.open_array(str(path / "0"), mode="r+")
    _check_shape(array, folder, volume)
    return array


def _check_shape(array: Any, folder: Path, volume: Volume) -> None:
    if array.shape != volume.shape:
        raise ValueError(
            f"{folder} holds objects of a volume of shape {array.shape}, and {volume.name} has shape "
            f"{volume.shape}; choose another folder."
        )
