"""A click becomes an object, in a slice and through them; all can be taken back, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn._napari.painted import PaintedLabels
from napari_dtn.annotate import open_annotations
from napari_dtn.segment.patches import patch_between
from napari_dtn.session import Changed, ClickSession, Grown, Prompt, growing
from napari_dtn.session.boundaries import PANE, PredictedBoundaries, StoredBoundaries
from napari_dtn.session.committed import Committed
from napari_dtn.settings import ClickSettings, usable_cores
from napari_dtn.volume.opening import open_volume, volume_from_array

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = 0.85  # of the IoU: walls are split between rooms
MIDDLES = {1: (5, 17, 17), 2: (5, 17, 48), 6: (5, 48, 48), 11: (5, 80, 80)}


def iou(mask: object, wanted: np.ndarray) -> float:
    found = np.asarray(mask)
    return float((found & wanted).sum() / (found | wanted).sum())


def room(rooms, number: int, z: int | None = 5) -> np.ndarray:
    wanted = rooms.truth == number
    return wanted if z is None else wanted & (np.arange(len(wanted)) == z)[:, None, None]


def through(session: ClickSession) -> ClickSession:
    session.settings = replace(session.settings, volume=True)
    return session


# ---- clicks


@pytest.mark.parametrize("number", [1, 6, 11])
def test_a_click_finds_the_room_in_its_slice(session, rooms, number: int) -> None:
    mask = session.click(MIDDLES[number])
    assert mask.shape == rooms.volume.shape
    assert iou(mask, room(rooms, number)) > GOOD
    assert mask[MIDDLES[number]]


def test_a_mask_ends_where_its_volume_does(session) -> None:
    mask = session.click(MIDDLES[1])
    planes = list(islice(mask, len(mask) + 1))
    assert (np.stack(planes) == np.asarray(mask)).all()
    assert (mask[-7] == mask[5]).all()
    for outside in (len(mask), -len(mask) - 1):
        with pytest.raises(IndexError):
            mask[outside]


def test_a_click_finds_the_room_through_all_slices(session, rooms) -> None:
    steps = []
    through(session).prompt(Prompt((MIDDLES[6],), True))
    steps += [step for step in session.grow_steps() if isinstance(step, Grown)]
    assert [step.slices for step in steps] == [3, 8, 12]
    assert [step.finished for step in steps] == [False, False, True]
    assert iou(session.mask, room(rooms, 6, None)) > GOOD


def test_an_object_larger_than_the_window_is_found_whole(session, rooms) -> None:
    session.threshold = 0.02  # every wall falls
    mask = session.click(MIDDLES[1])
    assert np.asarray(mask)[5].all()


def test_the_threshold_regrows_the_object(session, rooms) -> None:
    session.click(MIDDLES[1])
    session.threshold = 0.4
    both = room(rooms, 1) | room(rooms, 2)
    assert iou(session.mask, both) > GOOD
    session.threshold = 0.8
    assert iou(session.mask, room(rooms, 1)) > GOOD


def test_clicks_add_and_exclude(session, rooms) -> None:
    session.click(MIDDLES[1])
    both = session.click(MIDDLES[2])
    assert iou(both, room(rooms, 1) | room(rooms, 2)) > GOOD
    session.undo()
    session.threshold = 0.4
    assert iou(session.click(MIDDLES[2], positive=False), room(rooms, 1)) > GOOD


def test_opposing_clicks_split_a_fragment(session, rooms) -> None:
    whole = session.click((5, 40, 48)).voxels
    half = session.click((5, 56, 48), positive=False)
    assert 0.3 < half.voxels / whole < 0.7
    assert half[5, 40, 48]
    assert not half[5, 56, 48]


def test_an_excluding_click_alone_is_refused_and_forgotten(session) -> None:
    with pytest.raises(ValueError, match="click inside an object first"):
        session.click(MIDDLES[1], positive=False)
    assert session.active.prompts == ()


def test_a_click_outside_is_refused(session) -> None:
    with pytest.raises(ValueError, match="outside"):
        session.click((5, 500, 3))


def test_late_results_are_dropped(session, rooms) -> None:
    through(session).prompt(Prompt((MIDDLES[6],), True))
    old = session.grow_steps()
    next(old)
    session.prompt(Prompt((MIDDLES[11],), True))
    assert list(old) == []
    assert session.mask is None
    assert [step for step in session.grow_steps() if isinstance(step, Grown)]
    assert session.mask[MIDDLES[11]]


class Counted(StoredBoundaries):
    """Boundaries that know which slices were read."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array, array.shape)
        self.slices: Counter[int] = Counter()

    def read(self, z: int, y: slice, x: slice) -> np.ndarray:
        self.slices[z] += 1
        return super().read(z, y, x)


def test_slices_are_cut_once_however_often_the_view_grows(rooms) -> None:
    stack = np.asarray(rooms.boundaries._array).copy()
    stack[7:] = 1  # nothing goes on there
    boundaries = Counted(stack)
    settings = ClickSettings(volume=True, reach=2)
    session = ClickSession(rooms.volume, boundaries=boundaries, settings=settings)
    mask = np.asarray(session.click((2, *MIDDLES[6][1:])))
    assert mask.any(axis=(1, 2)).tolist() == [True] * 7 + [False] * 5
    assert boundaries.slices == Counter(range(8)), "each once, and none beyond the end's run"
    session.click((4, *MIDDLES[6][1:]))
    assert boundaries.slices == Counter(range(8))
    session.close()


def test_who_stops_looking_leaves_nothing_behind_that_delays_the_next(rooms) -> None:
    class Slow(Counted):
        """Gives the first slice at once, others only later."""

        permits = threading.Semaphore(0)

        def read(self, z: int, y: slice, x: slice) -> np.ndarray:
            if z:
                self.permits.acquire()
            return super().read(z, y, x)

    boundaries = Slow(np.asarray(rooms.boundaries._array))
    session = ClickSession(rooms.volume, boundaries=boundaries, settings=ClickSettings(volume=True))
    session.prompt(Prompt(tuple((z, *MIDDLES[6][1:]) for z in range(12)), True))
    steps = session.grow_steps()
    next(steps)
    steps.close()
    boundaries.permits.release(12)
    session._evidence._pool.shutdown(wait=True)
    assert 1 <= len(boundaries.slices) <= 1 + usable_cores()
    session.close()


# ---- objects


def test_committed_objects_get_fresh_ids_and_facts(session, rooms) -> None:
    seen: list[Changed] = []
    session.changed.connect(seen.append)
    voxels = session.click(MIDDLES[6]).voxels
    assert session.commit() == 1
    assert session.mask is None
    session.click(MIDDLES[11])
    assert session.commit() == 2
    facts = session.objects.all()
    assert [one.id for one in facts] == [1, 2]
    assert facts[0].voxels == voxels == (session.labels[:] == 1).sum()
    assert facts[0].um3 == pytest.approx(voxels * 30 * 6 * 6 / 1e9)
    assert facts[0].centroid == pytest.approx((5, 48.5, 48.5), abs=1.5)
    assert {number for one in seen for number in one.ids} == {1, 2}
    session.undo()
    session.click(MIDDLES[1])
    assert session.commit() == 3  # an id that was undone is not used again


def test_facts_follow_every_change_and_only_what_changed_is_looked_up(session, rooms, monkeypatch) -> None:
    for number in (1, 2, 6):
        session.click(MIDDLES[number])
        session.commit()
    session.objects.all()
    asked = []
    extents = session.objects.history.extents
    monkeypatch.setattr(session.objects.history, "extents", lambda *one: asked.append(one) or extents(*one))
    session.objects.colour(2, "#ff8800")
    session.objects.hide(3)
    asked.clear()
    facts = session.objects.all()
    assert asked == [(2,), (3,)]
    assert [(one.id, one.colour, one.hidden) for one in facts] == [
        (1, "", False),
        (2, "#ff8800", False),
        (3, "", True),
    ]
    session.objects.merge([1, 2])
    assert [one.id for one in session.objects.all()] == [1, 3]
    session.undo()
    restored = session.objects.all()
    assert restored == facts
    again = Committed(session.objects.history, rooms.volume.voxel_size, lambda edit: None)
    assert again.all() == restored


def test_a_committed_object_is_taken_up_again(session, rooms) -> None:
    session.click(MIDDLES[1])
    number = session.commit()
    session.activate(number)
    session.click(MIDDLES[2])
    assert session.commit() == number
    assert iou(session.labels[:] == number, room(rooms, 1) | room(rooms, 2)) > GOOD
    session.activate(number)
    session.click(MIDDLES[2], positive=False)
    session.commit()
    assert iou(session.labels[:] == number, room(rooms, 1)) > GOOD


def test_merge_split_delete_and_back(session, rooms) -> None:
    for number in (1, 2, 6):
        session.click(MIDDLES[number])
        session.commit()
    states = [session.labels[:]]
    assert session.objects.merge([1, 2]) == 1
    states.append(session.labels[:])
    assert iou(states[-1] == 1, room(rooms, 1) | room(rooms, 2)) > GOOD
    fresh = session.split([MIDDLES[1]], [MIDDLES[2]])
    states.append(session.labels[:])
    assert fresh == 4
    assert iou(states[-1] == fresh, room(rooms, 2)) > GOOD
    assert iou(states[-1] == 1, room(rooms, 1)) > GOOD
    session.objects.delete(3)
    states.append(session.labels[:])
    assert not (states[-1] == 3).any()
    for state in reversed(states[:-1]):
        assert session.undo()
        assert (session.labels[:] == state).all()
    for state in states[1:]:
        assert session.redo()
        assert (session.labels[:] == state).all()


def test_another_id_takes_along_what_is_known_and_is_undone(session) -> None:
    for number in (1, 2):
        session.click(MIDDLES[number])
        session.commit()
    session.objects.rename(1, "axon")
    session.objects.relabel(1, 9)
    assert {one.id: one.name for one in session.objects.all()} == {2: "", 9: "axon"}
    assert session.objects.fresh == 10
    session.objects.relabel(2, 9)
    assert [(one.id, one.name) for one in session.objects.all()] == [(9, "axon")]
    session.undo()
    session.undo()
    assert {one.id: one.name for one in session.objects.all()} == {1: "axon", 2: ""}
    for wrong in (0, 2**32):
        with pytest.raises(ValueError, match="ids go from 1"):
            session.objects.relabel(1, wrong)


def test_the_boxes_of_both_parts_of_a_split_are_as_small_as_can_be(session, rooms) -> None:
    session.click(MIDDLES[1])
    session.commit()
    alone = session.objects.all()[0].box
    session.activate(1)
    session.click(MIDDLES[2])
    session.commit()
    fresh = session.split([MIDDLES[1]], [MIDDLES[2]])
    facts = {one.id: one for one in session.objects.all()}
    for number in (1, fresh):
        z, y, x = np.nonzero(session.labels[:] == number)
        box = tuple((int(axis.min()), int(axis.max()) + 1) for axis in (z, y, x))
        assert facts[number].box == box
    assert facts[1].box == alone


def test_missing_slices_are_interpolated(session, rooms) -> None:
    for z in (2, 6):
        session.click((z, *MIDDLES[6][1:]))
    session.commit()
    assert {one.z for one in session.objects.history.extents(1)} == {2, 6}
    session.objects.interpolate(1)
    labels = session.labels[:]
    assert iou(labels[4] == 1, labels[2] == 1) > 0.95
    assert not labels[7:].any()


def test_locked_objects_are_left_alone(session) -> None:
    session.click(MIDDLES[1])
    session.commit()
    session.objects.lock(1)
    before = session.labels[:]
    for change in (session.objects.delete, session.objects.smooth, session.objects.fill_holes):
        with pytest.raises(ValueError, match="locked"):
            change(1)
    session.settings = replace(session.settings, overlap="cut", threshold=0.4)
    session.click(MIDDLES[2])
    session.commit()
    assert (session.labels[:][before == 1] == 1).all()


def test_prompts_are_undone_before_edits(session) -> None:
    session.click(MIDDLES[1])
    session.commit()
    session.click(MIDDLES[6])
    session.click(MIDDLES[11])
    assert session.undo() == "a click"
    assert not session.mask[MIDDLES[11]]
    assert session.redo() == "a click"
    assert session.mask[MIDDLES[11]]
    assert [session.undo(), session.undo(), session.undo(), session.undo()] == ["a click"] * 2 + [
        "object 1",
        "",
    ]


def test_what_was_undone_last_is_redone_first(session) -> None:
    session.click(MIDDLES[1])
    session.commit()
    session.click(MIDDLES[6])
    assert [session.undo(), session.undo()] == ["a click", "object 1"]
    assert [session.redo(), session.redo(), session.redo()] == ["object 1", "a click", ""]
    assert session.mask[MIDDLES[6]]
    assert session.objects.at(MIDDLES[1]) == 1


def test_an_edit_that_changes_nothing_leaves_what_can_be_redone(session) -> None:
    for number in (1, 2):
        session.click(MIDDLES[number])
        session.commit()
    session.undo()
    session.objects.fill_holes(1)  # it has none
    assert session.redo() == "object 2"


# ---- edits of the object in work


@pytest.fixture
def taken_up(session) -> ClickSession:
    """Objects 1 and 2, the first of which is in work."""
    for number in (1, 2):
        session.click(MIDDLES[number])
        session.commit()
    session.activate(1)
    return session


def committed(session: ClickSession) -> np.ndarray:
    """The labels after the object in work was put back."""
    session.commit()
    return session.labels[:]


def test_a_merge_of_the_object_in_work_stays(taken_up) -> None:
    taken_up.objects.merge([1, 2])
    merged = taken_up.labels[:]
    assert (np.asarray(taken_up.mask) == (merged == 1)).all()
    assert (committed(taken_up) == merged).all()


@pytest.mark.parametrize("change", ["smooth", "brush", "undo"])
def test_a_correction_of_the_object_in_work_stays(taken_up, change: str) -> None:
    if change == "smooth":
        taken_up.objects.smooth(1)
    elif change == "brush":
        ids = taken_up.labels[5, :8, :8]
        taken_up.objects.record("a stroke", [patch_between(5, (0, 0), ids, np.where(ids == 1, 0, 1))])
    else:
        taken_up.click(MIDDLES[6])
        taken_up.commit()
        taken_up.activate(1)
        taken_up.undo()
    corrected = taken_up.labels[:]
    assert (committed(taken_up) == corrected).all()


def test_what_was_said_holds_after_an_edit(taken_up, rooms) -> None:
    fragment = taken_up.labels[:] == 1
    taken_up.click(MIDDLES[6])
    taken_up.objects.smooth(1)
    smoothed = taken_up.labels[:] == 1
    grown = committed(taken_up) == 1
    assert (fragment & ~smoothed).any()
    assert (grown[fragment] == smoothed[fragment]).all()
    assert iou(grown, room(rooms, 1) | room(rooms, 6)) > GOOD


def test_an_object_in_work_that_is_deleted_does_not_come_back(taken_up) -> None:
    taken_up.objects.delete(1)
    assert taken_up.mask is None
    with pytest.raises(ValueError, match="no object to commit"):
        taken_up.commit()


def test_what_was_said_about_an_object_that_went_into_another_becomes_one(taken_up, rooms) -> None:
    taken_up.activate(2)
    taken_up.click(MIDDLES[6])
    taken_up.objects.merge([1, 2])
    labels = committed(taken_up)
    assert iou(labels == 3, room(rooms, 6)) > GOOD
    assert iou(labels == 1, room(rooms, 1) | room(rooms, 2)) > GOOD


def test_what_is_no_longer_so_is_not_said_again(taken_up, rooms) -> None:
    taken_up.click(MIDDLES[2], positive=True)
    taken_up.settings = replace(taken_up.settings, overlap="replace")
    taken_up.commit()
    taken_up.split([MIDDLES[1]], [MIDDLES[2]])
    taken_up.activate(1)
    assert taken_up.active.points(True) == [MIDDLES[1]]
    taken_up.click(MIDDLES[6])
    labels = committed(taken_up)
    assert iou(labels == 1, room(rooms, 1) | room(rooms, 6)) > GOOD


def test_a_brush_leaves_locked_objects_alone(taken_up) -> None:
    taken_up.drop()
    before = taken_up.labels[:]
    taken_up.objects.lock(1)
    stroke = [patch_between(5, (0, 0), before[5], np.full_like(before[5], 7))]
    taken_up.objects.record("a stroke", stroke)
    after = taken_up.labels[:]
    assert ((after == 1) == (before == 1)).all()
    assert (after[5][before[5] != 1] == 7).all()
    locked = before[5] == 1
    with pytest.raises(ValueError, match="locked"):
        taken_up.objects.record(
            "a stroke", [patch_between(5, (0, 0), after[5], np.where(locked, 2, after[5]))]
        )


def test_strokes_over_a_locked_object_leave_the_journal_whole(taken_up) -> None:
    """The second stroke begins from what the first one showed, which was not recorded where it was locked."""
    taken_up.drop()
    before = taken_up.labels[:]
    taken_up.objects.lock(1)
    painted = PaintedLabels((taken_up.labels,))
    for value in (9, 0):
        painted[5, :40, :40] = value
        taken_up.objects.record("a stroke", painted.take())
    assert ((taken_up.labels[:] == 1) == (before == 1)).all()
    while taken_up.undo():
        pass
    assert not taken_up.labels[:].any()
    while taken_up.redo():
        pass
    assert ((taken_up.labels[:] == 1) == (before == 1)).all()


def test_edits_that_end_while_a_stroke_is_drawn_stay(taken_up) -> None:
    taken_up.drop()
    painted = PaintedLabels((taken_up.labels,))
    painted[5, 40:42, 40:42] = 1
    taken_up.objects.delete(2)
    painted[5, 42:44, 40:42] = 1
    taken_up.objects.record("a stroke", painted.take())
    labels = taken_up.labels[:]
    assert (labels[5, 40:44, 40:42] == 1).all()
    assert not (labels == 2).any()
    assert [one.voxels for one in taken_up.objects.all()] == [(labels == 1).sum()]


def test_what_a_split_made_untrue_is_not_said_again_while_in_work(session, rooms) -> None:
    session.click(MIDDLES[1])
    session.click(MIDDLES[2])
    session.commit()
    session.activate(1)
    session.split([MIDDLES[1]], [MIDDLES[2]])
    session.click(MIDDLES[6])
    labels = committed(session)
    assert iou(labels == 1, room(rooms, 1) | room(rooms, 6)) > GOOD
    assert iou(labels == 2, room(rooms, 2)) > GOOD


def test_a_session_that_was_left_follows_no_more(rooms, tmp_path: Path) -> None:
    """Annotations keep the folder open, and another session goes on in it."""
    folder = tmp_path / "session"
    with closing(open_annotations(folder, rooms.volume)):
        left = ClickSession(rooms.volume, boundaries=rooms.boundaries, folder=folder)
        left.click(MIDDLES[1])
        left.commit()
        left.activate(1)
        left.click(MIDDLES[2])
        left.leave()
        with closing(ClickSession(rooms.volume, boundaries=rooms.boundaries, folder=folder)) as next_:
            next_.drop()
            next_.objects.smooth(1)
            assert next_.active.number == 0
        with closing(ClickSession(rooms.volume, boundaries=rooms.boundaries, folder=folder)) as again:
            assert again.active.number == 0


@pytest.mark.parametrize("outside", [(5, 80, 17), (5, 17, 17)])
def test_clicks_of_before_that_lie_outside_of_the_box_cut_nothing(session, rooms, outside) -> None:
    within = {(5, 80, 17): (5, 17, 17), (5, 17, 17): (5, 80, 17)}[outside]
    for at in (outside, within):
        session.click(at)
    session.commit()
    before = session.labels[:] == 1
    session.activate(1)
    y = slice(0, 60) if within[1] < 60 else slice(60, 96)
    for _ in session.confine((slice(0, 12), y, slice(0, 128))):
        pass
    session.click(within, positive=False)
    labels = committed(session) == 1
    rest = before & (rooms.truth == rooms.truth[outside])
    assert labels[rest].all()
    assert iou(labels, rest) > GOOD


def test_a_box_is_kept_by_an_object_that_was_there_before_it(session, rooms) -> None:
    through(session).click(MIDDLES[6])
    session.commit()
    before = session.labels[:]
    session.activate(1)
    for _ in session.confine((slice(2, 4), slice(0, 96), slice(40, 128))):
        pass
    session.click((3, 17, 48))
    labels = committed(session)
    gained = (labels == 1) & (before != 1)
    assert gained[2:4].any()
    assert not gained[:2].any()
    assert not gained[4:].any()
    assert not gained[..., :40].any()
    assert (labels == 1)[before == 1].all(), "what it was outside of the box stays"


def test_what_no_boundaries_are_like_is_refused(rooms) -> None:
    """Ids by their type, and an image by its values, when they are first read."""
    shape = rooms.volume.shape
    with pytest.raises(ValueError, match="holds int64, as ids do"):
        StoredBoundaries(np.zeros(shape, np.int64), shape)
    window = slice(0, 8), slice(0, 8)
    grey = StoredBoundaries(np.full(shape, 131.0, np.float32), shape)
    with pytest.raises(ValueError, match="hold 131 to 131, and probabilities are 0 to 1"):
        grey.read(0, *window)
    assert StoredBoundaries(np.full(shape, 65535, np.uint16), shape).read(0, *window).max() == 1


def test_an_object_that_leaves_the_boundaries_goes_on_inside_of_them(rooms, tmp_path: Path) -> None:
    part = StoredBoundaries(rooms.boundaries._array[4:8, :64], rooms.volume.shape, (4, 0, 0))
    folder, settings = tmp_path / "session", ClickSettings(window=64, reach=4, threshold=0.8)
    with closing(
        ClickSession(rooms.volume, boundaries=rooms.boundaries, folder=folder, settings=settings)
    ) as one:
        through(one).click(MIDDLES[1])
        one.commit()
    with closing(ClickSession(rooms.volume, boundaries=part, folder=folder)) as one:
        whole = one.labels[:] == 1
        one.activate(1)
        assert next(step for step in one.doubts() if isinstance(step, list)) is not None
        one.click(MIDDLES[2])
        labels = committed(one)
        assert (labels == 1)[whole].all()
        assert iou((labels == 1)[4:8], (room(rooms, 1, None) | room(rooms, 2, None))[4:8]) > GOOD
        assert ((labels == 1)[:4] == whole[:4]).all()


def test_what_fails_was_not_said(session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.click(MIDDLES[1])

    def broken(*place: object) -> None:
        raise OSError("the share is away")

    monkeypatch.setattr(session._work._evidence.boundaries, "read", broken)
    with pytest.raises(OSError, match="away"):
        session.click((9, 80, 80))
    assert session.active.points(True) == [MIDDLES[1]]
    assert session.mask[MIDDLES[1]]


# ---- what could not be written


class Disk:
    """Labels on a disk: something happens before each is written."""

    def __init__(self, session: ClickSession, happens: Callable[[], object]) -> None:
        self.labels, self.happens = session.labels, happens
        self.shape = self.labels.shape
        session.objects.history.arrays["objects"] = session.objects.history.labels = self

    def __getitem__(self, place: object) -> np.ndarray:
        return self.labels[place]

    def __setitem__(self, place: object, ids: np.ndarray) -> None:
        self.happens()
        self.labels[place] = ids


def full() -> None:
    raise OSError("no space left on device")


@pytest.fixture
def unwritten(session) -> ClickSession:
    """Object 1, and one that could not be written when it was kept; there is room by now."""
    session.click(MIDDLES[1])
    session.commit()
    session.click(MIDDLES[6])
    disk = Disk(session, full)
    with pytest.raises(OSError, match="no space"):
        session.commit()
    disk.happens = bool
    return session


@pytest.mark.parametrize("overlap", ["keep", "cut", "replace"])
def test_an_object_that_could_not_be_written_is_kept_when_it_is_asked_again(unwritten, overlap) -> None:
    unwritten.settings = replace(unwritten.settings, overlap=overlap)
    assert unwritten.mask[MIDDLES[6]], "it is still in work"
    assert unwritten.commit() == 2
    assert unwritten.mask is None
    assert not unwritten.active.prompts
    assert [one.id for one in unwritten.objects.all()] == [1, 2]
    assert [unwritten.undo(), unwritten.undo(), unwritten.undo()] == ["object 2", "object 1", ""]


def test_an_object_that_was_written_with_the_next_edit_is_no_longer_in_work(unwritten) -> None:
    unwritten.objects.delete(1)
    assert unwritten.mask is None
    unwritten.click(MIDDLES[11])
    assert unwritten.commit() == 3
    assert [one.id for one in unwritten.objects.all()] == [2, 3]


def test_an_object_that_could_not_be_written_can_be_deleted(unwritten) -> None:
    unwritten.drop()
    unwritten.objects.delete(2)
    assert np.unique(unwritten.labels[:]).tolist() == [0, 1]
    assert unwritten.undo() == "delete 2"
    assert [one.id for one in unwritten.objects.all()] == [1, 2]


def test_what_was_said_since_an_object_could_not_be_written_belongs_to_it(unwritten, rooms) -> None:
    unwritten.click(MIDDLES[11])
    assert unwritten.commit() == 2
    assert iou(unwritten.labels[:] == 2, room(rooms, 6) | room(rooms, 11)) > GOOD
    assert unwritten.mask is None


def test_keeping_that_failed_is_taken_back_whole(unwritten) -> None:
    assert unwritten.undo() == "object 2"
    assert [one.id for one in unwritten.objects.all()] == [1]
    assert unwritten.redo() == "object 2"
    assert [one.id for one in unwritten.objects.all()] == [1, 2]


def test_an_object_that_is_covered_stays_in_work(taken_up, rooms) -> None:
    taken_up.drop()
    taken_up.threshold = 0.9
    taken_up.click((5, 20, 20))
    with pytest.raises(ValueError, match="cover all of it"):
        taken_up.commit()
    taken_up.leave()
    options = {"boundaries": rooms.boundaries, "folder": taken_up.folder}
    with closing(ClickSession(rooms.volume, **options)) as again:
        assert again.active.points(True) == [(5, 20, 20)]


def test_a_session_that_is_killed_while_it_keeps_an_object_has_kept_it(session, rooms, tmp_path) -> None:
    """What lies in the folder at that moment is what a kill would leave."""
    left = tmp_path / "left"
    session.click(MIDDLES[1])
    Disk(session, lambda: left.exists() or shutil.copytree(session.folder, left))
    session.commit()
    with closing(ClickSession(rooms.volume, boundaries=rooms.boundaries, folder=left)) as again:
        assert [one.id for one in again.objects.all()] == [1]
        assert again.active.prompts == ()
        assert again.mask is None


# ---- what survives


def test_closing_and_opening_goes_on(session, rooms) -> None:
    session.click(MIDDLES[1])
    session.commit()
    session.objects.rename(1, "first")
    session.click(MIDDLES[6])
    session.threshold = 0.7
    mask = np.asarray(session.mask)
    session.close()
    again = ClickSession(rooms.volume, boundaries=rooms.boundaries, folder=session.folder)
    assert again.objects.all()[0].name == "first"
    assert again.threshold == 0.7
    assert list(again.grow_steps())
    assert (np.asarray(again.mask) == mask).all()
    assert again.commit() == 2
    assert [again.undo(), again.undo()] == ["object 2", "object 1"]
    again.close()


CLICKING = """
import sys, numpy as np
from napari_dtn.session import ClickSession
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.volume.opening import volume_from_array
stack = np.load(sys.argv[1])
volume = volume_from_array(np.zeros(stack.shape, np.uint8), (30, 6, 6))
session = ClickSession(volume, boundaries=StoredBoundaries(stack, stack.shape), folder=sys.argv[2])
for z in range(stack.shape[0]):
    for y, x in ((17, 17), (48, 48), (80, 80)):
        session.click((z, y, x))
        print(session.commit(), flush=True)
session.click((0, 80, 17))
print("clicked", flush=True)
input()
"""


def test_an_object_that_was_in_work_can_be_kept_after_reopening(rooms, tmp_path: Path) -> None:
    settings = ClickSettings(window=64, threshold=0.8)
    options = {"boundaries": rooms.boundaries, "folder": tmp_path / "session", "settings": settings}
    left = ClickSession(rooms.volume, **options)
    left.click(MIDDLES[1])
    left.leave()
    with closing(ClickSession(rooms.volume, **options)) as again:
        assert again.commit() == 1
        assert iou(again.labels[:] == 1, room(rooms, 1)) > GOOD


def test_a_search_that_takes_long_gives_way_to_the_next_click(session, monkeypatch) -> None:
    begun, goes_on, grow = threading.Event(), threading.Event(), growing.grow

    def slowly(*arguments: object) -> np.ndarray:
        begun.set()
        goes_on.wait(10)
        return grow(*arguments)

    monkeypatch.setattr(growing, "grow", slowly)
    session.prompt(Prompt((MIDDLES[1],), True))
    steps = session.grow_steps()
    while not begun.is_set():
        assert not isinstance(next(steps), Grown)
    session.prompt(Prompt((MIDDLES[2],), True))  # while the solver is at it
    assert list(steps) == [], "what the click has outdated is left alone"
    goes_on.set()
    assert isinstance(list(session.grow_steps())[-1], Grown)


def test_objects_follow_the_voxels_of_the_volume_and_another_one_is_noticed(rooms, tmp_path: Path) -> None:
    options = {"boundaries": rooms.boundaries, "folder": tmp_path / "session"}
    with closing(ClickSession(replace(rooms.volume, path="/data/rooms.tif"), **options)) as first:
        assert first.remarks == ()
    moved = replace(rooms.volume, path="/elsewhere/rooms.tif")
    with closing(ClickSession(moved, **options)) as again:
        assert again.remarks == ()
    other = replace(
        rooms.volume, path="/data/cells.tif", voxel_size=(40.0, 4.0, 4.0), translation=(0.0, 8.0, 0.0)
    )
    with closing(ClickSession(other, **options)) as session:
        begun_on, voxels = session.remarks
    assert "begun on /data/rooms.tif, and this is /data/cells.tif" in begun_on
    assert "had voxels of 30 × 6 × 6 nm" in voxels
    assert "40 × 4 × 4 nm" in voxels
    for name in ("objects", "annotations"):
        kept = open_volume(tmp_path / "session" / f"{name}.zarr")
        assert (kept.voxel_size, kept.translation) == ((40, 4, 4), (0, 8, 0))
        assert len(kept.levels) == len(open_volume(tmp_path / "session" / "objects.zarr").levels)


def test_a_folder_whose_metadata_are_damaged_is_let_go_of(rooms, tmp_path: Path, monkeypatch) -> None:
    options = {"boundaries": rooms.boundaries, "folder": tmp_path / "session"}
    ClickSession(rooms.volume, **options).close()
    with monkeypatch.context() as patch:
        patch.setattr("napari_dtn.session.store.open_volume", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ClickSession(rooms.volume, **options)
    ClickSession(rooms.volume, **options).close()


@pytest.mark.parametrize("missing", ["journal.sqlite", "objects.zarr"])
def test_half_a_folder_is_refused_and_left_as_it_is(rooms, tmp_path: Path, missing: str) -> None:
    options = {"boundaries": rooms.boundaries, "folder": tmp_path / "session"}
    with closing(ClickSession(rooms.volume, **options)) as session:
        session.click(MIDDLES[1])
        session.commit()
    (tmp_path / "session" / missing).rename(tmp_path / missing)
    with pytest.raises(ValueError, match=f"{missing} is missing.*choose another folder"):
        ClickSession(rooms.volume, **options)
    (tmp_path / missing).rename(tmp_path / "session" / missing)
    with closing(ClickSession(rooms.volume, **options)) as session:
        assert [one.id for one in session.objects.all()] == [1]


def test_a_session_that_was_killed_before_it_had_a_journal_begins(rooms, tmp_path: Path) -> None:
    options = {"boundaries": rooms.boundaries, "folder": tmp_path / "session"}
    ClickSession(rooms.volume, **options).close()
    (tmp_path / "session" / "journal.sqlite").unlink()
    with closing(ClickSession(rooms.volume, **options)) as session:
        session.click(MIDDLES[1])
        assert session.commit() == 1


def test_nothing_is_written_where_the_folder_was_until_it_is_back(session, rooms, tmp_path: Path) -> None:
    session.click(MIDDLES[1])
    session.commit()
    session.click(MIDDLES[6])
    there, moved = session.folder, tmp_path / "moved"
    there.rename(moved)
    for change in (session.commit, lambda: session.objects.delete(1), session.objects.undo, session.follow):
        with pytest.raises(FileNotFoundError, match="nothing was written: if its folder was moved"):
            list(change() or ())
    assert not there.exists()
    moved.rename(there)
    assert session.commit() == 2
    there.rename(moved)
    session.click(MIDDLES[11])
    with pytest.raises(FileNotFoundError):
        session.close()
    assert not there.exists()
    options = {"boundaries": rooms.boundaries, "folder": moved, "settings": session.settings}
    with closing(ClickSession(rooms.volume, **options)) as again:
        assert [one.id for one in again.objects.all()] == [1, 2]
        assert again.commit() == 3, "what was in work is there too"


def test_a_session_that_cannot_be_opened_lets_go_of_its_folder(rooms, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise OSError("the share is away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_dtn.session.click.evidence_of", broken)
        with pytest.raises(OSError, match="away"):
            ClickSession(rooms.volume, boundaries=rooms.boundaries, folder=tmp_path / "session")
    moved = tmp_path / "session" / "journal.sqlite"
    with closing(sqlite3.connect(moved, timeout=1)) as journal:
        journal.execute("begin exclusive")


def test_an_opened_prediction_is_laid_over_the_volume(rooms, tmp_path: Path) -> None:
    prediction = volume_from_array(rooms.boundaries._array, (30, 6, 6))
    settings = ClickSettings(window=64, threshold=0.8)
    with closing(ClickSession(rooms.volume, boundaries=prediction, settings=settings)) as session:
        assert iou(session.click(MIDDLES[1]), room(rooms, 1)) > GOOD


def test_a_split_needs_places_of_both_parts(taken_up) -> None:
    for one, other in (([MIDDLES[1]], []), ([], [MIDDLES[1]]), ([MIDDLES[1]], [MIDDLES[1]])):
        with pytest.raises(ValueError, match="places of both parts"):
            taken_up.split(one, other)


def test_a_killed_session_is_complete_to_the_last_commit(rooms, tmp_path: Path) -> None:
    stack = np.stack([rooms.boundaries.read(z, slice(0, 96), slice(0, 128)) for z in range(3)])
    np.save(tmp_path / "b.npy", stack)
    command = [sys.executable, "-c", CLICKING, str(tmp_path / "b.npy"), str(tmp_path / "s")]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    while run.stdout.readline() != "clicked\n":
        assert run.poll() is None
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    volume = replace(rooms.volume, levels=(rooms.volume.data[:3],))
    session = ClickSession(volume, boundaries=StoredBoundaries(stack, stack.shape), folder=tmp_path / "s")
    assert [one.id for one in session.objects.all()] == list(range(1, 10))
    assert session.active.prompts == (Prompt(((0, 80, 17),), True),)
    while session.undo():
        pass
    assert not session.labels[:].any()
    session.close()


def test_labels_are_read_back_as_labels(session, rooms) -> None:
    session.click(MIDDLES[1])
    session.commit()
    volume = open_volume(session.folder / "objects.zarr")
    assert volume.voxel_size == (30, 6, 6)
    assert (volume.data.compute() == session.labels[:]).all()


# ---- boundaries


class Counting:
    """A predictor whose answer is known, and which counts the pixels that it was asked for."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.stack = np.random.default_rng(0).random(shape, dtype=np.float32)
        self.pixels = 0

    def predict(self, z: int, y: slice, x: slice) -> np.ndarray:
        self.pixels += (y.stop - y.start) * (x.stop - x.start)
        return self.stack[z, y, x][None]


def test_panes_are_predicted_once_and_fit_together() -> None:
    shape = (2, 2 * PANE + 30, PANE + 100)
    predictor = Counting(shape)
    boundaries = PredictedBoundaries(lambda: predictor, shape)
    for y, x in ((slice(0, 40), slice(3, 9)), (slice(PANE - 9, 2 * PANE + 30), slice(0, PANE + 100))):
        assert (boundaries.read(1, y, x) == predictor.stack[1, y, x]).all()
    before = predictor.pixels
    boundaries.read(1, slice(0, shape[1]), slice(0, PANE))
    assert predictor.pixels == before


def test_a_prediction_of_a_region_confines_the_clicks(rooms) -> None:
    part = StoredBoundaries(
        rooms.boundaries.read(5, slice(0, 64), slice(0, 64))[None], rooms.volume.shape, (5, 0, 0)
    )
    session = ClickSession(rooms.volume, boundaries=part)
    assert session.click(MIDDLES[1]).slices == range(5, 6)
    with pytest.raises(ValueError, match="z 5:6"):
        session.click((6, 17, 17))
    session.close()
    assert not session.folder.exists()
