"""The folder of a session: labels as OME-Zarr, annotations beside them, and the journal of what was done."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from napari_dtn.segment.history import OBJECTS, History
from napari_dtn.session.pyramid import LabelPyramid
from napari_dtn.volume.content import ANNOTATION, KIND
from napari_dtn.volume.writing import create_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dtn.volume.opening import Volume

JOURNAL = "journal.sqlite"
ANNOTATIONS = "annotations"
_DTYPES = {OBJECTS: "uint32", ANNOTATIONS: "uint8"}
_SAID = {OBJECTS: {}, ANNOTATIONS: {KIND: ANNOTATION}}  # of what their values are


@dataclass(frozen=True, eq=False)
class Store:
    """An open session.

    Parameters
    ----------
    history
        What was done to its arrays.
    levels
        The arrays by name, (Z, Y, X), each with its coarser levels.
    """

    history: History
    levels: Mapping[str, tuple[Any, ...]]

    def pyramid(self, name: str) -> LabelPyramid:
        """Return an array whose coarser levels follow its edits."""
        return LabelPyramid(self.history, name, self.levels[name])


# A journal is opened once in a process: the panels for clicking and for teaching share it.
_open: dict[Path, Store] = {}
_users: Counter[Path] = Counter()
_lock = threading.Lock()


def open_store(folder: Path, volume: Volume) -> Store:
    """Open the session in a folder, or begin one; what this process has open already is returned.

    Parameters
    ----------
    folder
        Made where it is missing.
    volume
        What the objects are of.

    Returns
    -------
    Store
        To be given back by :func:`close_store`, as often as it was opened.

    Raises
    ------
    ValueError
        The folder holds objects of a volume of another shape, or another process works in it.
    """
    place = folder.resolve()
    with _lock:
        store = _open.get(place) or _opened(place, volume)
        _check_shape(store.history.labels, folder, volume)
        _open[place] = store
        _users[place] += 1
    return store


def close_store(store: Store) -> None:
    """Let go of a session; its journal is closed when nobody uses it any more."""
    with _lock:
        place = next(place for place, one in _open.items() if one is store)
        _users[place] -= 1
        if not _users[place]:
            _open.pop(place).history.close()


def _opened(folder: Path, volume: Volume) -> Store:
    folder.mkdir(parents=True, exist_ok=True)
    levels = {name: _levels(folder, name, volume) for name in _DTYPES}
    others = {ANNOTATIONS: levels[ANNOTATIONS][0]}
    return Store(History(folder / JOURNAL, levels[OBJECTS][0], others), levels)


def _levels(folder: Path, name: str, volume: Volume) -> tuple[Any, ...]:
    labels = folder / f"{name}.zarr"
    if not labels.exists():
        _create(labels, name, volume)
    group = zarr.open_group(str(labels), mode="r+")
    levels = tuple(group[name] for name in sorted(group.array_keys(), key=int))
    _check_shape(levels[0], folder, volume)
    return levels


def _create(labels: Path, name: str, volume: Volume) -> None:
    """Create empty labels, which appear whole or not at all."""
    part = labels.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    create_labels(
        part,
        volume.shape,
        voxel_size=volume.voxel_size,
        translation=volume.translation,
        attributes={"input": volume.path or volume.name, **_SAID[name]},
        dtype=_DTYPES[name],
    )
    part.rename(labels)


def _check_shape(array: Any, folder: Path, volume: Volume) -> None:
    if array.shape != volume.shape:
        raise ValueError(
            f"{folder} holds objects of a volume of shape {array.shape}, and {volume.name} has shape "
            f"{volume.shape}; choose another folder."
        )
