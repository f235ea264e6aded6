"""What is said about pixels is on disk at once, in a line of edits with the objects, and survives kills."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.annotate import LEAVE, Annotations, open_annotations
from napari_dtn.annotate.sources import BOUNDARY, INSIDE, from_ids, from_object
from napari_dtn.segment.patches import patch_between
from napari_dtn.session import ClickSession, Mask
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.volume.opening import open_volume, volume_from_array

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_dtn.volume.opening import Volume

SHAPE = (6, 80, 100)


@pytest.fixture(scope="module")
def volume() -> Volume:
    return volume_from_array(np.zeros(SHAPE, np.uint8), (30, 6, 6), "tissue")


@pytest.fixture
def annotations(volume: Volume, tmp_path: Path) -> Iterator[Annotations]:
    made = open_annotations(tmp_path / "s", volume)
    yield made
    made.close()


@pytest.fixture
def session(volume: Volume, tmp_path: Path) -> Iterator[ClickSession]:
    made = ClickSession(
        volume, boundaries=StoredBoundaries(np.zeros(SHAPE, np.float32), SHAPE), folder=tmp_path / "s"
    )
    yield made
    made.close()


def box(z: int, y: int, x: int, height: int = 8, width: int = 12) -> tuple[slice, slice, slice]:
    return slice(z, z + 1), slice(y, y + height), slice(x, x + width)


def stroke(value: int, height: int = 8, width: int = 12) -> np.ndarray:
    return np.full((1, height, width), value, np.uint8)


def disc(z: int, y: int, x: int, radius: int = 12) -> Mask:
    rows, columns = np.ogrid[: SHAPE[1], : SHAPE[2]]
    inside = ((rows - y) ** 2 + (columns - x) ** 2 < radius**2)[None]
    return Mask.around(SHAPE, (z, 0, 0), inside)


# ---- what is said


def test_what_is_painted_is_there_and_counted(annotations: Annotations) -> None:
    wanted = np.zeros(SHAPE, np.uint8)
    for number, value in enumerate((1, 2, 1, 0)):
        place = box(number % 2, 10 * number, 9 * number)
        assert annotations.paint(place, stroke(value)) is bool(value)
        wanted[place] = value
    assert (annotations.labels[:] == wanted).all()
    assert annotations.pixels == ((wanted == 1).sum(), (wanted == 2).sum())
    assert [region.z for region in annotations.regions()] == [0, 1]
    assert np.sum([one.pixels for one in annotations.regions()], axis=0).tolist() == [*annotations.pixels]


def test_pixels_that_are_to_be_left_are_left(annotations: Annotations) -> None:
    annotations.paint(box(1, 5, 5), stroke(1))
    values = stroke(LEAVE)
    values[0, :2] = 2
    annotations.paint(box(1, 5, 5), values)
    assert (annotations.labels[1, 5:7, 5:17] == 2).all()
    assert (annotations.labels[1, 7:13, 5:17] == 1).all()


def test_a_stroke_is_recorded_upon_what_is_there_by_then(annotations: Annotations) -> None:
    def pixels() -> tuple[int, ...]:
        return tuple(int((annotations.labels[:] == value).sum()) for value in (1, 2))

    before = np.zeros((8, 12), np.uint8)
    waiting = [patch_between(1, (5, 5), before, np.full_like(before, 1))]
    annotations.add_ids(np.ones((1, 20, 30), np.uint8), (1, 0, 0))
    said = annotations.labels[:]
    assert annotations.record("a stroke", waiting)
    assert annotations.pixels == pixels()
    assert (annotations.labels[1, 5:13, 5:17] == 1).all()
    assert not annotations.record("a stroke", waiting), "it is there already"
    assert annotations.undo() == "a stroke"
    assert annotations.pixels == pixels()
    assert (annotations.labels[:] == said).all()


def test_regions_follow_every_edit(annotations: Annotations) -> None:
    for number in range(3):
        annotations.paint(box(2, 0, 33 * number, 4, 4), stroke(number % 2 + 1, 4, 4))
        there = annotations.regions()
        assert sum(one.size for one in there) == 16 * (number + 1)
    annotations.undo()
    assert sum(one.size for one in annotations.regions()) == 32
    annotations.paint((slice(0, 6), slice(0, 80), slice(0, 100)), np.zeros(SHAPE, np.uint8))
    assert annotations.regions() == []


def test_a_reviewed_box_and_a_segmentation_are_what_their_rules_say(annotations: Annotations) -> None:
    annotations.paint(box(3, 20, 20), stroke(BOUNDARY))
    annotations.review(box(3, 10, 10, 40, 50))
    window = annotations.labels[3, 10:50, 10:60]
    assert ((window == BOUNDARY).sum(), (window == INSIDE).sum()) == (96, 40 * 50 - 96)
    ids = np.random.default_rng(0).integers(0, 3, (2, 10, 10)).repeat(5, 1).repeat(5, 2)
    annotations.add_ids(ids, (4, 20, 30))
    assert (annotations.labels[4:, 20:70, 30:80] == from_ids(ids)).all()
    assert not annotations.labels[4:, :20].any()


def test_a_region_that_is_alone_is_held_back_in_parts(annotations: Annotations) -> None:
    annotations.paint(box(1, 5, 5), stroke(1))
    assert annotations.folds() == []
    ids = np.random.default_rng(0).integers(1, 9, (1, 16, 20)).repeat(5, 1).repeat(5, 2)
    annotations.add_ids(ids, (1, 0, 0))
    assert len(annotations.regions()) == 1
    held = [fold.held for fold in annotations.folds()]
    assert [[one.x for one in regions] for regions in held] == [[slice(0, 50)], [slice(50, 100)]]


def test_what_cannot_be_said_is_refused(annotations: Annotations) -> None:
    with pytest.raises(ValueError, match="leaves the volume"):
        annotations.paint(box(1, 78, 5), stroke(1))
    with pytest.raises(ValueError, match=r"values have shape .*, and the box \(1, 6, 5\)"):
        annotations.paint((slice(1, 2), slice(0, 6), slice(0, 5)), stroke(1)[:, :, :2])
    with pytest.raises(ValueError, match="holds 3"):
        annotations.paint(box(1, 5, 5), stroke(3))
    with pytest.raises(ValueError, match="no object 4"):
        annotations.add_object(4)
    assert annotations.history.position == 0


# ---- beside the objects


def test_an_object_becomes_annotation_and_again_when_it_was_corrected(
    session: ClickSession, annotations: Annotations
) -> None:
    for radius in (12, 16):
        session.objects.paint(disc(2, 40, 50, radius), 1, "keep", [])
        assert annotations.add_object(1)
        wanted = from_object(session.labels[2], 1)
        assert (annotations.labels[2] == np.where(wanted == LEAVE, 0, wanted)).all()
    assert min(annotations.pixels) > 50
    assert not annotations.add_object(1)


def test_objects_and_annotations_are_undone_in_the_order_they_were_made(
    session: ClickSession, annotations: Annotations
) -> None:
    states = []
    for step in range(6):
        states.append((session.labels[:], annotations.labels[:]))
        if step % 2:
            annotations.paint(box(step, 10 * step, 5 * step), stroke(1 + step // 4), f"stroke {step}")
        else:
            session.objects.paint(disc(step, 40, 50), step + 1, "keep", [])
    told = [(annotations if step % 2 == 0 else session).undo() for step in range(3)]
    assert told == ["stroke 5", "object 5", "stroke 3"]
    labels, annotation = states[3]
    assert (session.labels[:] == labels).all()
    assert (annotations.labels[:] == annotation).all()
    assert [session.redo(), annotations.redo(), session.redo()] == told[::-1]
    while session.undo():
        pass
    assert not session.labels[:].any()
    assert not annotations.labels[:].any()


def test_each_hears_of_its_own_whoever_did_it(session: ClickSession, annotations: Annotations) -> None:
    objects, strokes = [], []
    session.changed.connect(objects.append)
    annotations.changed.connect(strokes.append)
    session.objects.paint(disc(2, 40, 50), 1, "keep", [])
    annotations.paint(box(3, 5, 5), stroke(1))
    session.undo()
    annotations.undo()
    assert [one.z for one in strokes] == [{3}, {3}]
    assert [(one.ids, one.z) for one in objects if one.ids] == [({1}, {2})] * 2
    assert session.objects.changes == 2


def test_two_panels_share_one_store_until_the_last_has_left(
    volume: Volume, tmp_path: Path, session: ClickSession
) -> None:
    one = open_annotations(tmp_path / "s", volume)
    other = open_annotations(tmp_path / "s", volume)
    one.paint(box(1, 5, 5), stroke(1))
    assert other.pixels == (96, 0)
    one.close()
    session.close()
    other.paint(box(1, 25, 5), stroke(2))
    assert other.pixels == (96, 96)
    command = "import sys; from napari_dtn.segment.history import History; History(sys.argv[1], None)"
    journal = [sys.executable, "-c", command, str(tmp_path / "s" / "journal.sqlite")]
    assert b"another session" in subprocess.run(journal, capture_output=True).stderr
    other.close()
    assert subprocess.run(journal, capture_output=True).returncode == 0


# ---- what survives


def test_classes_stay_and_may_become_more(volume: Volume, tmp_path: Path) -> None:
    names = ("boundary", "inside", "mitochondria")
    for classes, wanted in ((None, names[:2]), (names, names), (None, names)):
        annotations = open_annotations(tmp_path / "s", volume, classes)
        assert annotations.classes == wanted
        annotations.paint(box(1, 5, 5), stroke(len(wanted)))
        annotations.close()
    with pytest.raises(ValueError, match="add others after them"):
        open_annotations(tmp_path / "s", volume, ("inside", "boundary"))
    open_annotations(tmp_path / "s", volume).close()


def test_annotations_are_read_back_as_labels(volume: Volume, tmp_path: Path) -> None:
    annotations = open_annotations(tmp_path / "s", volume)
    annotations.paint(box(1, 5, 5), stroke(2))
    annotations.close()
    found = open_volume(tmp_path / "s" / "annotations.zarr")
    assert (found.voxel_size, found.data.dtype) == ((30, 6, 6), np.uint8)
    assert found.data[1, 5:13, 5:17].compute().min() == 2


def test_a_session_from_before_annotations_gets_them(volume: Volume, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    boundaries = StoredBoundaries(np.zeros(SHAPE, np.float32), SHAPE)
    session = ClickSession(volume, boundaries=boundaries, folder=folder)
    session.objects.paint(disc(2, 40, 50), 1, "keep", [])
    session.close()
    shutil.rmtree(folder / "annotations.zarr")
    annotations = open_annotations(folder, volume)
    assert annotations.add_object(1)
    annotations.close()


ANNOTATING = """
import sys, numpy as np
from napari_dtn.annotate import open_annotations
from napari_dtn.volume.opening import volume_from_array
volume = volume_from_array(np.zeros((6, 80, 100), np.uint8), (30, 6, 6))
annotations = open_annotations(sys.argv[1], volume)
whole = tuple(slice(0, side) for side in volume.shape)
for number in range(annotations.history.position, 100000):
    annotations.paint(whole, np.full(volume.shape, 1 + number % 2, np.uint8))
    print(number + 1, flush=True)
"""


def test_killed_while_annotating_nothing_is_lost(volume: Volume, tmp_path: Path) -> None:
    done = 0
    for seconds in (0.05, 0.12):
        command = [sys.executable, "-c", ANNOTATING, str(tmp_path)]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        first = run.stdout.readline()
        time.sleep(seconds)
        os.kill(run.pid, signal.SIGKILL)
        told = int((first + run.stdout.read()).split()[-1])
        run.wait()
        annotations = open_annotations(tmp_path, volume)
        position = annotations.history.position
        assert max(told, done + 1) <= position <= told + 1
        assert (annotations.labels[:] == 2 - position % 2).all()
        assert annotations.pixels[1 - position % 2] == np.prod(SHAPE)
        annotations.close()
        done = position


def test_boundary_and_inside_have_the_values_that_their_names_have(volume: Volume, tmp_path: Path) -> None:
    classes = ("myelin", "inside", "boundary")
    ids = np.random.default_rng(0).integers(0, 3, (1, 10, 10)).repeat(5, 1).repeat(5, 2)
    with closing(open_annotations(tmp_path / "named", volume, classes)) as annotations:
        annotations.add_ids(ids)
        assert (annotations.labels[:1, :50, :50] == np.array([0, 3, 2])[from_ids(ids)]).all()
    others = open_annotations(tmp_path / "others", volume, ("a", "b", "c"))
    with closing(others), pytest.raises(ValueError, match="one called boundary and one called inside"):
        others.add_ids(ids)


def test_a_folder_with_more_classes_is_opened_by_the_first_ones(volume: Volume, tmp_path: Path) -> None:
    classes = ("boundary", "inside", "myelin")
    with closing(open_annotations(tmp_path / "three", volume, classes)) as annotations:
        annotations.paint(box(1, 5, 5), stroke(3))
    with closing(open_annotations(tmp_path / "three", volume, classes[:2])) as annotations:
        assert annotations.classes == classes
        annotations.undo()
    with closing(open_annotations(tmp_path / "three", volume, classes[:2])) as annotations:
        assert annotations.classes == classes[:2], "nobody has said anything of the third"
        annotations.redo()
    others = open_annotations(tmp_path / "named", volume, ("membrane", "inside", "mito"))
    with closing(others):
        assert others.review(box(1, 5, 5)), "it needs inside alone"
