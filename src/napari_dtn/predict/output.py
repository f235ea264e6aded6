"""The OME-Zarr that a prediction goes into: begun, found again after a crash, and finished."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_dtn.durable import make_durable
from napari_dtn.predict.blending import Strip
from napari_dtn.predict.blocks import extent
from napari_dtn.predict.journal import Journal
from napari_dtn.predict.pipeline import BlockDone
from napari_dtn.settings import Box, VoxelSize
from napari_dtn.volume.writing import JOURNAL, KEY, UNFINISHED, create_image, read_attributes
from napari_dtn.words import changes

CHUNK = 512  # pixels of a side: one file
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PARTIAL = "*.partial"  # what zarr names a file until it is whole


@dataclass(frozen=True, eq=False)
class Store:
    """The output's array, as blocks are written into it; may be sent to another process.

    Parameters
    ----------
    path
        The OME-Zarr folder.
    box
        The part of the volume that it holds.
    """

    path: Path
    box: Box

    @property
    def array(self) -> zarr.Array[Any]:
        """The array, ``(Z, Y, X)`` or ``(C, Z, Y, X)``."""
        return zarr.open_array(str(self.path / "0"), mode="r+")

    @property
    def strip_height(self) -> int:
        """Rows that are written together: those of a chunk, or of a shard."""
        return written_together(self.array)[-2]

    def writer(self) -> BlockWriter:
        """Return what writes strips, and makes blocks durable."""
        return BlockWriter(self.array, self.path, self.box)


class BlockWriter:
    """Writes strips into an array.

    Parameters
    ----------
    array
        ``(Z, Y, X)`` or ``(C, Z, Y, X)``.
    path
        The OME-Zarr folder.
    box
        The part of the volume that the array holds.
    """

    def __init__(self, array: zarr.Array[Any], path: Path, box: Box) -> None:
        self._array, self._path, self._box = array, path, box

    def write(self, strip: Strip) -> None:
        """Write finished rows of a slice."""
        z, y, x = (side.start for side in self._box)
        rows = slice(strip.y.start - y, strip.y.stop - y)
        columns = slice(strip.x.start - x, strip.x.stop - x)
        values = strip.values if self._array.ndim > 3 else strip.values[0]
        with _room(self._path):
            self._array[..., strip.z - z, rows, columns] = values

    def record(self, done: BlockDone) -> None:
        """Return when a block's data are on the disk itself."""
        with _room(self._path):
            make_durable(self._path, self._files(done))

    def _files(self, done: BlockDone) -> Iterator[Path]:
        block, unit = done.block, written_together(self._array)
        outer = range(-(-self._array.shape[0] // unit[0])) if self._array.ndim > 3 else ()
        sides = [
            range((part.start - side.start) // size, -(-(part.stop - side.start) // size))
            for part, side, size in zip((block.z, block.y, block.x), self._box, unit[-3:], strict=True)
        ]
        for place in product(*([outer] if outer else []), *sides):
            yield self._path / "0" / self._array.metadata.encode_chunk_key(place)


@dataclass(frozen=True, eq=False)
class Output:
    """An output that is being filled.

    Parameters
    ----------
    store
        Its array.
    journal
        Its finished blocks.
    """

    store: Store
    journal: Journal

    def finish(self, found: dict[str, Any]) -> None:
        """Mark the output as finished, with what was found out on the way and what could not be read."""
        group = zarr.open_group(str(self.store.path), mode="r+")
        known: Any = group.attrs[KEY]
        attributes = {name: value for name, value in known.items() if name != UNFINISHED} | found
        if parts := self._unreadable():
            attributes["unreadable"] = parts
        with _room(self.store.path):
            group.update_attributes({KEY: attributes})
            make_durable(self.store.path, [self.store.path / "zarr.json"])
        self.journal.close()
        self.journal.path.unlink()

    def _unreadable(self) -> list[dict[str, Any]]:
        """Return what could not be read, in voxels of the output."""
        z0, y0, x0 = (side.start for side in self.store.box)
        return [
            {"z": z - z0, "y": [top - y0, bottom - y0], "x": [left - x0, right - x0]}
            for _, parts in sorted(self.journal.finished.items())
            for z, top, bottom, left, right in parts
        ]


@dataclass(frozen=True, eq=False)
class Wanted:
    """An output as it is asked for.

    Parameters
    ----------
    box
        The part of the volume.
    classes
        Maps of a prediction.
    voxel_size
        In nm, ``(Z, Y, X)``; None where nobody knows it.
    translation
        Centre of its first voxel in nm.
    provenance
        What it comes from, plain JSON values.
    state
        What else must be the same when an unfinished output is gone on with, plain JSON values.
    """

    box: Box
    classes: int
    voxel_size: VoxelSize | None
    translation: VoxelSize
    provenance: Mapping[str, Any]
    state: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        sides = tuple(map(extent, self.box))
        return (self.classes, *sides) if self.classes > 1 else sides

    @property
    def unit(self) -> tuple[int, int, int]:
        """What is written as one file, (Z, Y, X)."""
        y, x = self.shape[-2:]
        return 1, min(CHUNK, y), min(CHUNK, x)

    @property
    def attributes(self) -> dict[str, Any]:
        """The provenance, and the state until the output is finished."""
        region = {axis: [side.start, side.stop] for axis, side in zip("zyx", self.box, strict=True)}
        further = {**self.state, "region": region, "voxel_size": self.voxel_size}
        plain: dict[str, Any] = json.loads(json.dumps({**self.provenance, UNFINISHED: further}))
        return plain


def open_output(path: Path, wanted: Wanted, overwrite: bool = False) -> Output:
    """Begin an output, or go on with an unfinished one.

    Raises
    ------
    FileExistsError
        There is something else at the path, and ``overwrite`` is not set.
    ValueError
        The unfinished output was begun otherwise; the error says what has changed. Or another process writes
        it.
    """
    if (path / JOURNAL).exists():
        Journal(path / JOURNAL).close()  # nothing is deleted that somebody is writing
    if is_unfinished(path) and not overwrite:
        _check_same(path, wanted)
        for leftover in path.rglob(_PARTIAL):
            leftover.unlink(missing_ok=True)
        if not (path / "0" / "zarr.json").exists():
            _create(path, wanted, overwrite=True)
    else:
        _clear_stillborn(path)
        _create(path, wanted, overwrite)
    return Output(Store(path, wanted.box), Journal(path / JOURNAL))


def _create(path: Path, wanted: Wanted, overwrite: bool) -> None:
    several = wanted.classes > 1
    create_image(
        path,
        wanted.shape,
        np.uint8,
        voxel_size=wanted.voxel_size,
        translation=wanted.translation,
        axes="czyx" if several else "zyx",
        attributes=wanted.attributes,
        chunks=(1, *wanted.unit) if several else wanted.unit,
        overwrite=overwrite,
    )


def _clear_stillborn(path: Path) -> None:
    """Delete what a crash left of an output that had no metadata yet."""
    entries = list(path.iterdir()) if path.is_dir() and not path.is_symlink() else []
    if all(entry.match(_PARTIAL) for entry in entries):
        for entry in entries:
            entry.unlink()


def written_together(array: zarr.Array[Any]) -> tuple[int, ...]:
    """Return the shape of what is one file of an array: a shard, or a chunk."""
    return array.shards or array.chunks


def is_unfinished(path: str | Path) -> bool:
    """Whether there is an output at the path that can be gone on with."""
    return UNFINISHED in read_attributes(path)


def recorded_settings(path: str | Path) -> dict[str, Any]:
    """Return the settings that an unfinished output was begun with; empty where there is none."""
    attributes = read_attributes(path)
    return dict(attributes["settings"]) if UNFINISHED in attributes else {}


def _check_same(path: Path, wanted: Wanted) -> None:
    changed = changes(_facts(read_attributes(path)), _facts(wanted.attributes))
    if changed:
        raise ValueError(
            f"{path} is unfinished and cannot be gone on with, since something has changed: "
            f"{'; '.join(changed)}. Give what it was begun with, or begin anew with --overwrite."
        )


def _facts(attributes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every value with its dotted name.

    The input counts by its content, wherever it lies, and a backend by what it is, whyever it was chosen.
    """
    facts: dict[str, Any] = {}
    for name, value in attributes.items():
        if name == UNFINISHED:
            facts |= _facts(value)
        elif isinstance(value, Mapping):
            facts |= _facts(value, f"{prefix}{name}.")
        elif prefix + name not in ("input", "backend_choice"):
            facts[prefix + name] = value
    return facts


@contextmanager
def _room(path: Path) -> Iterator[None]:
    """Say what to do when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        reason = os.strerror(error.errno or 0)
        raise OSError(
            f"{path} cannot grow ({reason.lower()}); what is finished of it is kept. Make room, and run the "
            "same again to go on."
        ) from error
