"""Labels on disk whose every edit can be undone: each is in a journal before it is in the labels."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.segment.extents import Extent, changes_of
from napari_dtn.segment.patches import Patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_SCHEMA = """
create table if not exists edits (number integer primary key, what text not null);
create table if not exists patches (edit integer not null, z integer, y0 integer, y1 integer, x0 integer,
    x1 integer, changed blob, before blob, after blob);
create index if not exists patches_of on patches (edit);
create table if not exists extents (id integer, z integer, voxels integer, sum_y integer, sum_x integer,
    y0 integer, y1 integer, x0 integer, x1 integer, primary key (id, z));
create table if not exists notes (key text primary key, value text not null);
create table if not exists touched (number integer primary key, z integer, y0 integer, y1 integer, x0 integer,
    x1 integer);
"""
_PATCH = "insert into patches values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TOUCHED = "insert into touched (z, y0, y1, x0, x1) values (?, ?, ?, ?, ?)"


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
        Objects that gained or lost voxels.
    z
        Slices that changed.
    """

    number: int
    what: str
    ids: frozenset[int]
    z: frozenset[int]


class History:
    """Labels, and every edit that was made to them.

    An edit is first recorded, durably and as a whole, then made; opening the history makes what was recorded
    but not made, so that a process may be killed at any moment. SQLite keeps the record.

    Parameters
    ----------
    path
        The journal; made where it is missing.
    labels
        uint32, (Z, Y, X), 0 for background: reads and writes boxes, such as a zarr array.

    Raises
    ------
    ValueError
        Another process has opened the journal.
    """

    def __init__(self, path: Path, labels: Any) -> None:
        self.labels = labels
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1)
        try:
            self._db.execute("pragma locking_mode = exclusive")
            self._db.execute("pragma journal_mode = wal")
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            self._db.close()
            raise ValueError(f"{path} cannot be opened; is another session open on it? ({error})") from error
        pending = self.note("pending")
        if pending:
            self._make(*pending)

    def close(self) -> None:
        """Let go of the journal."""
        with self._lock:
            self._db.close()

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

    def edit(self, what: str, patches: Iterable[Patch], **notes: Any) -> Edit | None:
        """Record and make an edit; those that were undone can no longer be redone.

        Parameters
        ----------
        what
            In words.
        patches
            What changes, a slice at a time: they are taken one by one.
        notes
            To be written with it, or not at all.

        Returns
        -------
        Edit or None
            None where nothing changes.
        """
        with self._lock:
            number = self.position + 1
            with self._transaction():
                for table, key in (("edits", "number"), ("patches", "edit")):
                    self._db.execute(f"delete from {table} where {key} >= ?", (number,))
                recorded = self._record(number, patches)
                if recorded > 0:
                    self._db.execute("insert into edits values (?, ?)", (number, what))
                    self.write_note("pending", [number, 1])
                for key, value in notes.items():
                    self.write_note(key, value)
            return self._make(number, 1) if recorded > 0 else None

    def undo(self) -> Edit | None:
        """Take the last edit back; None where there is none."""
        return self._move(self.position, -1) if self.position else None

    def redo(self) -> Edit | None:
        """Make the next edit again; None where there is none."""
        return self._move(self.position + 1, 1) if self.position < self.last else None

    def _move(self, number: int, direction: int) -> Edit:
        with self._lock:
            self.write_note("pending", [number, direction])
            return self._make(number, direction)

    def _record(self, number: int, patches: Iterable[Patch]) -> int:
        rows = ((number, p.z, *p.y, *p.x, p.where, p.before, p.after) for p in patches)
        return self._db.executemany(_PATCH, rows).rowcount

    def _make(self, number: int, direction: int) -> Edit:
        """Bring the labels to the state after an edit, or before it; once or again."""
        extents: dict[tuple[int, int], Extent] = {}
        touched: list[tuple[int, ...]] = []
        for patch in self._patches(number, direction):
            touched.append((patch.z, *patch.y, *patch.x))
            self.labels[patch.place] = patch.on(np.asarray(self.labels[patch.place]))
            for change in changes_of(patch):
                key = change.id, change.z
                extents[key] = extents[key].plus(change) if key in extents else change
        with self._transaction():
            self._add(extents.values())
            self._db.executemany(_TOUCHED, touched)
            self.write_note("position", number if direction > 0 else number - 1)
            self.write_note("pending", None)
        (what,) = self._db.execute("select what from edits where number = ?", (number,)).fetchone()
        ids, z = (frozenset(key[axis] for key in extents) for axis in (0, 1))
        return Edit(number, what, ids, z)

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

    # ---- where labels changed, for whatever follows them

    def touched(self) -> list[tuple[int, ...]]:
        """Return where labels changed and nobody has followed: rows (number, z, y0, y1, x0, x1), by slice.

        A process that was killed finds here what it had not yet followed.
        """
        with self._lock:
            return self._db.execute("select * from touched order by z, number").fetchall()

    def forget_touched(self, numbers: Iterable[int]) -> None:
        """Forget rows of :meth:`touched`, durably: what follows the labels has followed there."""
        with self._lock, self._transaction():
            self._db.executemany("delete from touched where number = ?", ((one,) for one in numbers))

    # ---- where objects are

    def extents(self, number: int | None = None) -> list[Extent]:
        """Return where an object is, or all objects are, a slice at a time."""
        query = "select * from extents where voxels > 0"
        with self._lock:
            if number is None:
                rows = self._db.execute(f"{query} order by id, z").fetchall()
            else:
                rows = self._db.execute(f"{query} and id = ? order by z", (number,)).fetchall()
        return [Extent(*row) for row in rows]

    def _add(self, changes: Iterable[Extent]) -> None:
        for change in changes:
            key = (change.id, change.z)
            row = self._db.execute("select * from extents where id = ? and z = ?", key).fetchone()
            known = change if row is None or not row[2] else Extent(*row).plus(change)
            self._db.execute(
                "insert or replace into extents values (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(known)
            )
