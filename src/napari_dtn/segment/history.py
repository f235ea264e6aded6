"""Arrays on disk whose every edit can be undone: each is in a journal before it is in its array."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from napari_dtn.segment.extents import Extent, changes_of
from napari_dtn.segment.patches import Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

OBJECTS = "objects"

_SCHEMA = """
create table if not exists edits (number integer primary key, what text not null);
create table if not exists patches (edit integer not null, z integer, y0 integer, y1 integer, x0 integer,
    x1 integer, changed blob, before blob, after blob);
create index if not exists patches_of on patches (edit);
create table if not exists notes (key text primary key, value text not null);
create table if not exists touched (number integer primary key, array text not null, z integer, y0 integer,
    y1 integer, x0 integer, x1 integer);
"""
_EXTENTS = """
create table if not exists {table} (id integer, z integer, voxels integer, sum_y integer, sum_x integer,
    y0 integer, y1 integer, x0 integer, x1 integer, primary key (id, z));
"""
# Journals that were begun when there was one array do not say which.
_WHICH = f"alter table edits add column array text not null default '{OBJECTS}'"
_PATCH = "insert into patches values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TOUCHED = "insert into touched (array, z, y0, y1, x0, x1) values (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class Edit:
    """What was done, undone or redone.

    Parameters
    ----------
    number
        Of the edit, from 1.
    what
        In words.
    ids
        Objects, or classes of annotations, that gained or lost voxels.
    z
        Slices that changed.
    array
        What was edited.
    """

    number: int
    what: str
    ids: frozenset[int]
    z: frozenset[int]
    array: str = OBJECTS


class History:
    """Labels and what lies beside them, and every edit that was made to them, in one line.

    An edit is first recorded, durably and as a whole, then made; opening the history makes what was recorded
    but not made, so that a process may be killed at any moment; so does the next edit where a disk was full.
    SQLite keeps the record.

    Parameters
    ----------
    path
        The journal; made where it is missing.
    labels
        uint32, (Z, Y, X), 0 for background: reads and writes boxes, such as a zarr array.
    others
        Further arrays of that shape by name, of any integers.
    files
        What must be in its place, beside the journal, whenever something is written: the arrays' metadata.

    Attributes
    ----------
    made
        Signal, emitted with every :class:`Edit` that was made, undone or redone, in the thread that did it.

    Raises
    ------
    ValueError
        Another process has opened the journal.
    """

    made: ClassVar[Signal] = Signal(Edit)

    def __init__(
        self, path: Path, labels: Any, others: Mapping[str, Any] | None = None, files: Iterable[Path] = ()
    ) -> None:
        self._files = (Path(path).absolute(), *files)
        self.labels = labels
        self.arrays: dict[str, Any] = {OBJECTS: labels, **(others or {})}
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1)
        try:
            self._db.execute("pragma locking_mode = exclusive")
            self._db.execute("pragma journal_mode = wal")
            self._set_up()
        except sqlite3.OperationalError as error:
            self._db.close()
            raise ValueError(f"{path} cannot be opened; is another session open on it? ({error})") from error
        self.finish()

    def _set_up(self) -> None:
        """Make the tables that are missing."""
        self._db.executescript(_SCHEMA)
        for name in self.arrays:
            self._db.executescript(_EXTENTS.format(table=_extents_of(name)))
        if "array" not in {row[1] for row in self._db.execute("pragma table_info(edits)")}:
            self._db.execute(_WHICH)

    def close(self) -> None:
        """Let go of the journal."""
        with self._lock:
            self._db.close()

    def check_there(self) -> None:
        """Refuse to write where the folder has been moved: zarr would make its place anew.

        Raises
        ------
        FileNotFoundError
            The journal, or one of the files, is no longer in its place.
        """
        gone = next((one for one in self._files if not one.exists()), None)
        if gone is not None:
            raise FileNotFoundError(
                f"{gone} is no longer there, so nothing was written: if its folder was moved, move it back, "
                "or open it where it is now."
            )

    # ---- notes: whatever else must survive

    def note(self, key: str, default: Any = None) -> Any:
        """Return what was noted under a key."""
        with self._lock:
            row = self._db.execute("select value from notes where key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])

    def write_note(self, key: str, value: Any) -> None:
        """Note a plain JSON value, durably."""
        with self._lock:
            self._db.execute("insert or replace into notes values (?, ?)", (key, json.dumps(value)))

    def write_notes(self, notes: Mapping[str, Any]) -> None:
        """Note several plain JSON values by their keys, durably: all of them or none."""
        with self._lock, self._transaction():
            for key, value in notes.items():
                self.write_note(key, value)

    def notes(self, prefix: str) -> dict[str, Any]:
        """Return all notes whose keys begin like this, by the rest of the key."""
        with self._lock:
            rows = self._db.execute(
                "select key, value from notes where key glob ?", (prefix + "*",)
            ).fetchall()
        return {key.removeprefix(prefix): json.loads(value) for key, value in rows}

    # ---- edits

    @property
    def position(self) -> int:
        """Number of the last edit that stands; 0 where there is none."""
        return int(self.note("position", 0))

    @property
    def last(self) -> int:
        """Number of the last edit that can be redone."""
        with self._lock:
            row = self._db.execute("select max(number) from edits").fetchone()
        return row[0] or 0

    @property
    def size(self) -> int:
        """Bytes that all patches take."""
        query = "select sum(length(changed) + length(before) + length(after)) from patches"
        with self._lock:
            return self._db.execute(query).fetchone()[0] or 0

    def edit(
        self,
        what: str,
        patches: Iterable[Patch],
        array: str = OBJECTS,
        notes: Mapping[str, Any] | None = None,
        recorded: Callable[[], object] | None = None,
    ) -> Edit | None:
        """Record and make an edit; those that were undone can then no longer be redone, if anything changes.

        Parameters
        ----------
        what
            In words.
        patches
            What changes, a slice at a time: they are taken one by one.
        array
            Which array.
        notes
            To be written with it, or not at all.
        recorded
            Called once it is recorded, before it is made: from then on it can be late, but not lost.

        Returns
        -------
        Edit or None
            None where nothing changes.

        Raises
        ------
        FileNotFoundError
            The arrays or the journal are no longer in their place; then nothing is recorded.
        """
        with self._lock:
            self.finish()
            number, coming = self.position + 1, iter(patches)
            first = next(coming, None)
            if first is None:
                return None
            with self._transaction():
                self._record(number, what, array, chain([first], coming))
                for key, value in (notes or {}).items():
                    self.write_note(key, value)
            if recorded is not None:
                recorded()
            edit = self._make(number, 1)
        return self._told(edit)

    def undo(self) -> Edit | None:
        """Take the last edit back, or finish taking it back where that failed; None where there is none."""
        with self._lock:
            if (late := self._finished(-1)) is not None:
                return late
            edit = self._move(self.position, -1) if self.position else None
        return self._told(edit)

    def redo(self) -> Edit | None:
        """Make the next edit again, or finish making one where that failed; None where there is none."""
        with self._lock:
            if (late := self._finished(1)) is not None:
                return late
            edit = self._move(self.position + 1, 1) if self.position < self.last else None
        return self._told(edit)

    def _told(self, edit: Edit | None) -> Edit | None:
        if edit is not None:
            self.made.emit(edit)
        return edit

    def _move(self, number: int, direction: int) -> Edit:
        self.write_note("pending", [number, direction])
        return self._make(number, direction)

    def finish(self) -> Edit | None:
        """Make what was recorded and could not be made, as when the disk was full; errors as :meth:`edit`."""
        with self._lock:
            self.check_there()
            pending = self.note("pending")
            return self._told(self._make(*pending)) if pending else None

    def _finished(self, direction: int) -> Edit | None:
        """Make what could not be made; return it where it goes this way: nothing else has to be moved."""
        _, way = pending if (pending := self.note("pending")) else (0, 0)
        late = self.finish()
        return late if way == direction else None

    def _record(self, number: int, what: str, array: str, patches: Iterable[Patch]) -> None:
        """Record an edit in the place of those that were undone."""
        for table, key in (("edits", "number"), ("patches", "edit")):
            self._db.execute(f"delete from {table} where {key} >= ?", (number,))
        rows = ((number, p.z, *p.y, *p.x, p.where, p.before, p.after) for p in patches)
        self._db.executemany(_PATCH, rows)
        row = (number, what, array)
        self._db.execute("insert into edits (number, what, array) values (?, ?, ?)", row)
        self.write_note("pending", [number, 1])

    def _make(self, number: int, direction: int) -> Edit:
        """Bring an array to the state after an edit, or before it; once or again."""
        query = "select what, array from edits where number = ?"
        what, name = self._db.execute(query, (number,)).fetchone()
        array = self.arrays[name]
        extents: dict[tuple[int, int], Extent] = {}
        touched: list[tuple[Any, ...]] = []
        for patch in self._patches(number, direction):
            touched.append((name, patch.z, *patch.y, *patch.x))
            array[patch.place] = patch.on(np.asarray(array[patch.place]))
            for change in changes_of(patch):
                key = change.id, change.z
                extents[key] = extents[key].plus(change) if key in extents else change
        with self._transaction():
            self._add(name, extents.values())
            self._db.executemany(_TOUCHED, touched)
            self.write_note("position", number if direction > 0 else number - 1)
            self.write_note("pending", None)
        ids, z = (frozenset(key[axis] for key in extents) for axis in (0, 1))
        return Edit(number, what, ids, z, name)

    def _patches(self, number: int, direction: int) -> Iterator[Patch]:
        order = "asc" if direction > 0 else "desc"
        columns = "z, y0, y1, x0, x1, changed, before, after"
        query = f"select {columns} from patches where edit = ? order by rowid {order}"
        for z, y0, y1, x0, x1, *blobs in self._db.execute(query, (number,)):
            patch = Patch(z, (y0, y1), (x0, x1), *blobs)
            yield patch if direction > 0 else patch.inverse

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    # ---- where an array changed, for whatever follows it

    def touched(self, array: str = OBJECTS) -> list[tuple[int, ...]]:
        """Return where an array changed and nobody has followed: rows (number, z, y0, y1, x0, x1), by slice.

        A process that was killed finds here what it had not yet followed.
        """
        with self._lock:
            query = "select number, z, y0, y1, x0, x1 from touched where array = ? order by z, number"
            return self._db.execute(query, (array,)).fetchall()

    def forget_touched(self, numbers: Iterable[int]) -> None:
        """Forget rows of :meth:`touched`, durably: what follows the array has followed there."""
        with self._lock, self._transaction():
            self._db.executemany("delete from touched where number = ?", ((one,) for one in numbers))

    # ---- where objects are

    def extents(self, number: int | None = None, array: str = OBJECTS) -> list[Extent]:
        """Return where an object is, or all objects of an array are, a slice at a time."""
        query = f"select * from {_extents_of(array)} where voxels > 0"
        with self._lock:
            if number is None:
                rows = self._db.execute(f"{query} order by id, z").fetchall()
            else:
                rows = self._db.execute(f"{query} and id = ? order by z", (number,)).fetchall()
        return [Extent(*row) for row in rows]

    def _add(self, name: str, changes: Iterable[Extent]) -> None:
        table, labels = _extents_of(name), self.arrays[name]
        for change in changes:
            key = (change.id, change.z)
            row = self._db.execute(f"select * from {table} where id = ? and z = ?", key).fetchone()
            before = None if row is None or not row[2] else Extent(*row)
            known = _after(before, change, labels)
            self._db.execute(
                f"insert or replace into {table} values (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(known)
            )


def _after(before: Extent | None, change: Extent, labels: Any) -> Extent:
    """Return where an object is after a change that is in the labels already."""
    if before is None:
        return change
    known = before.plus(change)
    return known.fitted(labels) if known.voxels and change.touches_edge_of(before) else known


def _extents_of(array: str) -> str:
    """The table of an array's extents; that of the objects has had its name from the start."""
    return "extents" if array == OBJECTS else f"extents_{array}"
