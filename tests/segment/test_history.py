"""Edits of labels on disk: undone and redone exactly, small, and whole after a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_dtn.segment.history import History
from napari_dtn.segment.patches import patch_between

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (5, 60, 70)


def random_ids(rng: np.random.Generator, shape: tuple[int, ...] = SHAPE[1:]) -> np.ndarray:
    return rng.integers(0, 4, shape, dtype=np.uint32)


def some_patches(rng: np.random.Generator, labels: np.ndarray) -> list:
    """Random rectangles of random ids in some slices."""
    patches = []
    for z in rng.choice(len(labels), 3, replace=False):
        y, x = rng.integers(0, 40, 2)
        before = np.asarray(labels[z, y : y + 15, x : x + 20])
        patches.append(patch_between(int(z), (int(y), int(x)), before, random_ids(rng, before.shape)))
    return [patch for patch in patches if patch is not None]


def test_a_patch_leads_there_and_back() -> None:
    rng = np.random.default_rng(0)
    before, after = random_ids(rng), random_ids(rng)
    after[:10] = before[:10]
    patch = patch_between(3, (100, 200), before, after)
    assert patch.place == (3, slice(110, 160), slice(200, 270))
    assert (patch.on(before[10:]) == after[10:]).all()
    assert (patch.on(after[10:]) == after[10:]).all()
    assert (patch.inverse.on(after[10:]) == before[10:]).all()
    assert patch_between(0, (0, 0), before, before) is None


class FullDisk:
    """Labels that can be written so many times more."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels, self.left = labels, 1
        self.shape = labels.shape

    def __getitem__(self, place: object) -> np.ndarray:
        return self.labels[place]

    def __setitem__(self, place: object, ids: np.ndarray) -> None:
        if not self.left:
            raise OSError("no space left on device")
        self.left -= 1
        self.labels[place] = ids


@pytest.mark.parametrize("after", ["edit", "undo", "redo"])
def test_an_edit_that_could_not_be_written_is_made_before_the_next(tmp_path: Path, after: str) -> None:
    disk = FullDisk(np.zeros(SHAPE, np.uint32))
    before = np.zeros((15, 20), np.uint32)

    def stroke(number: int) -> list:
        return [patch_between(z, (3, 4), before, np.full_like(before, number)) for z in range(3)]

    with closing(History(tmp_path / "journal.sqlite", disk)) as history:
        with pytest.raises(OSError, match="no space"):
            history.edit("first", stroke(5))
        disk.left = 100
        if after == "edit":
            history.edit("second", [patch_between(4, (0, 0), before, np.full_like(before, 6))])
            assert history.undo().what == "second"
        elif after == "redo":
            assert history.redo().what == "first"
            assert history.redo() is None
            assert (disk.labels[:3, 3:18, 4:24] == 5).all()
        assert history.undo().what == "first"
        assert not disk.labels.any()
        assert history.extents() == []


def test_an_undo_or_redo_that_failed_is_finished_when_it_is_asked_for_again(tmp_path: Path) -> None:
    disk = FullDisk(np.zeros(SHAPE, np.uint32))
    disk.left = 100
    before = np.zeros((15, 20), np.uint32)
    with closing(History(tmp_path / "journal.sqlite", disk)) as history:
        for number in (1, 2, 3):
            after = np.full_like(before, number)
            history.edit(f"edit {number}", [patch_between(z, (3, 4), before, after) for z in range(3)])
            before = after
        for move, what, position, held in ((history.undo, "edit 3", 2, 2), (history.redo, "edit 3", 3, 3)):
            disk.left = 1
            with pytest.raises(OSError, match="no space"):
                move()
            disk.left = 100
            assert move().what == what
            assert history.position == position
            assert (disk.labels[:3, 3:18, 4:24] == held).all()
        disk.left = 1
        with pytest.raises(OSError, match="no space"):
            history.undo()
        disk.left = 100
        assert history.redo().what == "edit 3", "what was half undone is redone"
        assert (disk.labels[:3, 3:18, 4:24] == 3).all()


def boxes_of(labels: np.ndarray) -> dict[tuple[int, int], tuple[int, int, int, int, int]]:
    """Voxels and the smallest box of each object in each slice, by looking."""
    found = {}
    for z, plane in enumerate(labels):
        for number in {*np.unique(plane).tolist()} - {0}:
            y, x = np.nonzero(plane == number)
            found[number, z] = (len(y), y.min(), y.max() + 1, x.min(), x.max() + 1)
    return found


def test_boxes_are_as_small_as_can_be_after_every_edit_and_on_the_way_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    labels = zarr.create_array(str(tmp_path / "l"), shape=SHAPE, chunks=(1, 32, 32), dtype="uint32")
    with closing(History(tmp_path / "journal", labels)) as history:

        def check() -> None:
            known = {
                (one.id, one.z): (one.voxels, one.y0, one.y1, one.x0, one.x1) for one in history.extents()
            }
            assert known == boxes_of(labels[:])

        for number in range(12):
            history.edit(f"edit {number}", some_patches(rng, labels[:]))
            check()
        for move in (history.undo, history.redo):
            while move():
                check()


def test_every_state_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels = zarr.create_array(str(tmp_path / "l"), shape=SHAPE, chunks=(1, 32, 32), dtype="uint32")
    history = History(tmp_path / "journal", labels)
    states = [labels[:]]
    for number in range(1, 9):
        assert history.edit(f"edit {number}", some_patches(rng, labels[:])).number == number
        states.append(labels[:])
    for state in reversed(states[:-1]):
        history.undo()
        assert (labels[:] == state).all()
    assert history.undo() is None
    for state in states[1:]:
        history.redo()
        assert (labels[:] == state).all()
    assert history.redo() is None
    for _ in range(3):
        history.undo()
    history.edit("another", some_patches(rng, labels[:]))
    assert (history.position, history.last) == (6, 6)


def test_extents_are_those_of_the_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    labels = np.zeros(SHAPE, np.uint32)
    history = History(tmp_path / "journal", labels)
    for _ in range(12):
        history.edit("", some_patches(rng, labels))
    for _ in range(5):
        history.undo()
    found = {(one.id, one.z): one for one in history.extents()}
    there = {(int(i), z) for z in range(SHAPE[0]) for i in np.unique(labels[z]) if i}
    assert set(found) == there
    for (number, z), extent in found.items():
        y, x = np.nonzero(labels[z] == number)
        assert (extent.voxels, extent.sum_y, extent.sum_x) == (len(y), y.sum(), x.sum())
        assert extent.y0 <= y.min() <= y.max() < extent.y1
        assert extent.x0 <= x.min() <= x.max() < extent.x1


def test_an_edit_that_fails_leaves_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    labels = np.zeros(SHAPE, np.uint32)
    history = History(tmp_path / "journal", labels)

    def breaking():
        yield from some_patches(rng, labels)
        raise OSError("cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        history.edit("breaking", breaking())
    assert (history.position, history.size, labels.any()) == (0, 0, False)


def test_a_hundred_edits_of_a_large_volume_take_little(tmp_path: Path) -> None:
    shape = (100, 1024, 1024)
    labels = zarr.create_array(str(tmp_path / "l"), shape=shape, chunks=(1, 256, 256), dtype="uint32")
    history = History(tmp_path / "journal", labels)
    y, x = np.ogrid[:200, :200]
    disc = (y - 100) ** 2 + (x - 100) ** 2 < 95**2
    rng = np.random.default_rng(4)
    for number in range(1, 101):
        top, left = rng.integers(0, 800, 2)
        patches = []
        for z in range(0, 100, 10):  # a tenth of the slices: ten times as much is still below the limit
            place = z, slice(top, top + 200), slice(left, left + 200)
            before = np.asarray(labels[place])
            patches.append(patch_between(z, (top, left), before, np.where(disc, np.uint32(number), before)))
        history.edit("paint", patches)
    assert 0 < history.size < 10e6


def test_only_one_process_may_open_it(tmp_path: Path) -> None:
    history = History(tmp_path / "journal", np.zeros(SHAPE, np.uint32))
    history.write_note("a", 1)
    with pytest.raises(ValueError, match="another session"):
        History(tmp_path / "journal", np.zeros(SHAPE, np.uint32))
    history.close()
    assert History(tmp_path / "journal", np.zeros(SHAPE, np.uint32)).note("a") == 1


EDITING = """
import sys, zarr, numpy as np
from pathlib import Path
from napari_dtn.segment.history import History
from napari_dtn.segment.patches import patch_between
labels = zarr.open_array(sys.argv[1] + "/l", mode="r+")
history = History(Path(sys.argv[1]) / "journal", labels)
for number in range(history.position + 1, 100000):
    ids = np.full(labels.shape[1:], number, np.uint32)
    patches = (patch_between(z, (0, 0), np.asarray(labels[z]), ids) for z in range(labels.shape[0]))
    history.edit("all", patches)
    print(number, flush=True)
"""


def test_killed_at_any_moment_it_opens_at_the_last_edit(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "l"), shape=(4, 64, 64), chunks=(1, 32, 32), dtype="uint32")
    done = 0
    for seconds in (0.05, 0.13, 0.21):
        run = subprocess.Popen(
            [sys.executable, "-c", EDITING, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        first = run.stdout.readline()
        time.sleep(seconds)
        os.kill(run.pid, signal.SIGKILL)
        told = int((first + run.stdout.read()).split()[-1])
        run.wait()
        labels = zarr.open_array(str(tmp_path / "l"), mode="r+")
        history = History(tmp_path / "journal", labels)
        assert told <= history.position <= told + 1
        assert (labels[:] == history.position).all()
        done, before = history.position, done
        assert done > before
        history.undo()
        assert (labels[:] == done - 1).all()
        history.redo()
        history.close()


def test_two_arrays_have_one_line_of_edits(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    labels, beside = np.zeros(SHAPE, np.uint32), np.zeros(SHAPE, np.uint8)
    history = History(tmp_path / "journal", labels, {"beside": beside})
    told = []
    history.made.connect(told.append)
    states = [(labels.copy(), beside.copy())]
    for array, name in ((labels, "objects"), (beside, "beside")) * 3:
        history.edit("", some_patches(rng, array), name)
        states.append((labels.copy(), beside.copy()))
    for state in reversed(states[:-1]):
        history.undo()
        assert (labels == state[0]).all()
        assert (beside == state[1]).all()
    for state in states[1:]:
        history.redo()
        assert (labels == state[0]).all()
        assert (beside == state[1]).all()
    order = ["objects", "beside"] * 3
    assert [edit.array for edit in told] == order + order[::-1] + order
    for name, array in history.arrays.items():
        voxels = sum(one.voxels for one in history.extents(array=name))
        assert voxels == np.count_nonzero(array)


OLD_JOURNAL = """
create table edits (number integer primary key, what text not null);
create table patches (edit integer not null, z integer, y0 integer, y1 integer, x0 integer,
    x1 integer, changed blob, before blob, after blob);
create table extents (id integer, z integer, voxels integer, sum_y integer, sum_x integer,
    y0 integer, y1 integer, x0 integer, x1 integer, primary key (id, z));
create table notes (key text primary key, value text not null);
insert into edits values (1, 'object 7');
insert into extents values (7, 2, 6, 3, 6, 0, 2, 0, 3);
insert into notes values ('position', '1');
"""


def test_a_journal_of_objects_alone_goes_on(tmp_path: Path) -> None:
    """Written by the first version, which knew one array."""
    labels, beside = np.zeros(SHAPE, np.uint32), np.zeros(SHAPE, np.uint8)
    labels[2, :2, :3] = 7
    patch = patch_between(2, (0, 0), np.zeros((2, 3), np.uint32), labels[2, :2, :3])
    row = (1, patch.z, *patch.y, *patch.x, patch.where, patch.before, patch.after)
    with closing(sqlite3.connect(tmp_path / "journal")) as old:
        old.executescript(OLD_JOURNAL)
        old.execute("insert into patches values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        old.commit()
    history = History(tmp_path / "journal", labels, {"beside": beside})
    history.edit("", some_patches(np.random.default_rng(6), beside), "beside")
    history.undo()
    assert not beside.any()
    assert history.undo().what == "object 7"
    assert not labels.any()
    history.redo()
    assert [one.voxels for one in history.extents(7)] == [6]
