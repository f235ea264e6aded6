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
from napari_dtn.volume.opening import open_volume
from napari_dtn.volume.writing import create_labels, place_labels, read_attributes
from napari_dtn.words import size_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_dtn.volume.opening import Volume

JOURNAL = "journal.sqlite"
ANNOTATIONS = "annotations"
_METADATA = "zarr.json"
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
    remarks
        What of the volume is not as it was when the session was begun, in words.
    """

    history: History
    levels: Mapping[str, tuple[Any, ...]]
    remarks: tuple[str, ...] = ()

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
        The folder holds objects of a volume of another shape, or objects without their journal, or a journal
        without its objects; or another process works in it.
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
    _check_whole(folder)
    folder.mkdir(parents=True, exist_ok=True)
    begun = (folder / f"{OBJECTS}.zarr").exists()
    levels = {name: _levels(folder, name, volume) for name in _DTYPES}
    others, files = {ANNOTATIONS: levels[ANNOTATIONS][0]}, [_metadata(folder, name) for name in _DTYPES]
    history = History(folder / JOURNAL, levels[OBJECTS][0], others, files)
    try:
        return Store(history, levels, tuple(_remarks(folder, volume)) if begun else ())
    except BaseException:
        history.close()
        raise


def _check_whole(folder: Path) -> None:
    """Refuse half a session, which would begin anew: ids would be given twice, or objects be lost."""
    objects, journal = folder / f"{OBJECTS}.zarr", folder / JOURNAL
    if objects.exists() == journal.exists() or _is_blank(objects):
        return
    there, missing = (objects, journal) if objects.exists() else (journal, objects)
    raise ValueError(
        f"{folder} holds {there.name}, and {missing.name} is missing, which belongs to it: bring it back, as "
        "from a backup, or choose another folder."
    )


def _is_blank(labels: Path) -> bool:
    """Whether labels were made and never written: whoever was killed then had no journal yet."""
    return labels.exists() and all(one.name == _METADATA or one.is_dir() for one in labels.rglob("*"))


def _metadata(folder: Path, name: str) -> Path:
    return folder / f"{name}.zarr" / _METADATA


def _remarks(folder: Path, volume: Volume) -> Iterator[str]:
    """Say what is not as it was; where the volume lies counts, and how large its voxels are, by now."""
    objects = folder / f"{OBJECTS}.zarr"
    begun_on = Path(read_attributes(objects).get("input", ""))
    # A layer that was not opened from a file has but a name, which says little.
    if volume.path is not None and begun_on.is_absolute() and begun_on.name != Path(volume.path).name:
        yield (
            f"These objects were begun on {begun_on}, and this is {volume.path}: if it is another volume, "
            "choose another folder."
        )
    before, now = open_volume(objects), volume.voxel_size
    if now is None or (before.voxel_size, before.translation) == (now, volume.translation):
        return
    for name in _DTYPES:
        place_labels(folder / f"{name}.zarr", now, volume.translation)
    if before.voxel_size is not None and before.voxel_size != now:
        was, are = size_words(before.voxel_size), size_words(now)
        yield f"The objects had voxels of {was} (Z, Y, X); they have those of the image now, {are}."


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
