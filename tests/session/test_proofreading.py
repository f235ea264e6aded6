"""Doubtful places are asked and remembered, a box confines, and bad slices are passed over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_dtn.predict import Predictor
from napari_dtn.session import ClickSession, Doubt, Grown, bad_slices
from napari_dtn.session.bad_slices import JudgedSlices
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.settings import ClickSettings
from napari_dtn.volume.defects import find_bad_slices
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.writing import create_image
from support.rooms import walls

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, SIXTH = (5, 17, 17), (5, 17, 48), (5, 48, 48)


def doubts(session: ClickSession) -> list[Doubt]:
    *_, found = session.doubts()
    return found


def said(steps) -> None:
    for _ in steps:
        pass


def along(session: ClickSession, at: tuple[int, int, int]) -> list[int]:
    """Return the slices in which the object is at a pixel."""
    return np.flatnonzero(np.asarray(session.mask)[:, at[1], at[2]]).tolist()


# ---- doubtful places


@pytest.fixture
def unsure(session: ClickSession) -> ClickSession:
    """The wall between the first two rooms is thin (0.6): the threshold just passes it."""
    session.settings = replace(session.settings, threshold=0.55)
    session.click(FIRST)
    return session


def test_the_thin_wall_is_the_doubtful_place(unsure) -> None:
    found = doubts(unsure)
    assert len(found) == 1
    doubt = found[0]
    assert doubt.joined
    assert doubt.probability == pytest.approx(0.6, abs=0.05)
    z, y, x = doubt.places[0]
    assert z == 5
    assert abs(x - 32) < 3
    assert abs(y - 17) < 3
    assert all(abs(x - 32) < 3 for _, _, x in doubt.places)
    assert {one[2] < 32 for one in (doubt.one, doubt.other)} == {True, False}


def test_a_wall_outside_of_the_object_is_asked_at_its_rim(session) -> None:
    session.settings = replace(session.settings, threshold=0.7)
    session.click(FIRST)
    (doubt,) = doubts(session)
    assert not doubt.joined
    assert doubt.one[2] < 32 < doubt.other[2]
    said(session.answer(doubt, together=True))
    assert session.mask[SECOND]
    assert doubts(session) == []


@pytest.mark.parametrize("together", [True, False])
def test_an_answer_is_done_remembered_and_undone(unsure, rooms, together: bool) -> None:
    before = np.asarray(unsure.mask)
    (doubt,) = doubts(unsure)
    said(unsure.answer(doubt, together))
    assert unsure.mask[FIRST]
    assert bool(unsure.mask[SECOND]) is together
    assert doubts(unsure) == []
    number = unsure.commit()
    unsure.activate(number)
    assert doubts(unsure) == []
    unsure.close()
    again = ClickSession(rooms.volume, boundaries=rooms.boundaries, folder=unsure.folder)
    assert doubts(again) == []
    again.close()
    assert before[SECOND]


@pytest.mark.parametrize("together", [True, False])
def test_an_answer_is_taken_back_and_given_again(unsure, together: bool) -> None:
    before = np.asarray(unsure.mask)
    (doubt,) = doubts(unsure)
    said(unsure.answer(doubt, together))
    after = np.asarray(unsure.mask)
    assert unsure.undo() == ("a confirmed place" if together else "a cut")
    assert (np.asarray(unsure.mask) == before).all()
    assert doubts(unsure) == [doubt]
    unsure.redo()
    assert (np.asarray(unsure.mask) == after).all()
    assert doubts(unsure) == []


def test_an_object_without_clicks_is_cut_too(unsure) -> None:
    """One that was merged has the clicks of one of its parts, one that was painted has none."""
    mask = unsure.mask
    unsure.drop()
    unsure.objects.paint(mask, 1, "keep", [])
    unsure.activate(1)
    (doubt,) = doubts(unsure)
    said(unsure.answer(doubt, together=False))
    assert unsure.mask[doubt.one]
    assert not unsure.mask[doubt.other]


def test_doubts_between_slices_are_places_in_both(session, rooms, monkeypatch) -> None:
    def half(graph):
        return np.where(graph.across, 0.9 - 0.35 * (graph.sizes[graph.edges[:, 0]] > 0), 0.05)

    monkeypatch.setattr("napari_dtn.session.evidence.merge_probabilities", half)
    session.settings = replace(session.settings, volume=True, threshold=0.5)
    session.click(SIXTH)
    found = doubts(session)
    assert len(found) == 11
    assert {one.one[0] - one.other[0] for one in found} <= {1, -1}
    assert {place[0] for place in found[0].places} == {found[0].one[0], found[0].other[0]}
    assert session.mask[found[0].places[0]]


def test_there_must_be_an_object(session) -> None:
    with pytest.raises(ValueError, match="no object in work"):
        doubts(session)


# ---- a box


BOX = (slice(3, 8), slice(40, 60), slice(36, 90))


def test_a_box_confines_the_object(session) -> None:
    session.settings = replace(session.settings, volume=True)
    free = session.click(SIXTH).box
    said(session.confine(BOX))
    z, y, x = session.mask.box
    assert z == BOX[0]
    assert y == BOX[1]
    assert (x.start, x.stop) == (BOX[2].start, free[2].stop)
    said(session.confine(None))
    assert session.mask.box == free


def test_a_click_outside_of_the_box_is_refused(session) -> None:
    said(session.confine(BOX))
    with pytest.raises(ValueError, match="outside of z 3:8, y 40:60, x 36:90"):
        session.click(FIRST)
    session.click(SIXTH)
    with pytest.raises(ValueError, match="outside of"):
        said(session.confine((slice(0, 12), slice(0, 32), slice(0, 32))))
    assert session.active.within == BOX


def test_a_box_without_boundaries_is_refused(session) -> None:
    with pytest.raises(ValueError, match="Nothing of z 0:12"):
        said(session.confine((slice(20, 30), slice(0, 32), slice(0, 32))))


def test_the_box_is_in_the_journal_with_what_was_said(session, rooms) -> None:
    said(session.confine(BOX))
    session.click(SIXTH)
    number = session.commit()
    assert session.active.within == BOX  # and holds for the next one
    said(session.confine(None))
    session.activate(number)
    assert session.active.within == BOX
    session.close()
    again = ClickSession(rooms.volume, boundaries=rooms.boundaries, folder=session.folder)
    assert again.active.within == BOX
    again.close()


# ---- bad slices


def spoiled(rooms, bad: set[int], folder: Path, reach: int = 4) -> ClickSession:
    """A session in which bad slices are all boundary, so that nothing gets through them."""
    stack = np.stack([rooms.boundaries.read(z, slice(0, 96), slice(0, 128)) for z in range(12)])
    stack[sorted(bad)] = 1
    boundaries = StoredBoundaries(stack, stack.shape, bad=frozenset(bad))
    settings = ClickSettings(window=64, reach=reach, threshold=0.8, volume=True)
    return ClickSession(rooms.volume, boundaries=boundaries, folder=folder, settings=settings)


@pytest.mark.parametrize(("bad", "reach"), [({4}, 4), ({3, 4}, 4), ({7, 8}, 4), ({2, 6, 9}, 1), ({4, 5}, 1)])
def test_an_object_goes_on_past_bad_slices(rooms, tmp_path: Path, bad: set[int], reach: int) -> None:
    session = spoiled(rooms, bad, tmp_path / "s", reach)
    first = min({*range(12)} - bad)
    session.click((first, *SIXTH[1:]))
    assert along(session, SIXTH) == sorted({*range(12)} - bad)
    session.close()


def test_without_the_mark_it_ends_there(rooms, tmp_path: Path) -> None:
    session = spoiled(rooms, {4}, tmp_path / "s")
    session._evidence.boundaries.bad = frozenset()
    session.click((1, *SIXTH[1:]))
    assert along(session, SIXTH) == [0, 1, 2, 3]
    session.close()


def test_a_click_in_a_bad_slice_counts_in_the_slice_alone(rooms, tmp_path: Path) -> None:
    session = spoiled(rooms, {5}, tmp_path / "s")
    with pytest.raises(ValueError, match="Slice 5 is bad"):
        session.click(SIXTH)
    session.settings = replace(session.settings, volume=False)
    assert session.click(SIXTH).slices == range(5, 6)
    session.close()


def test_the_search_goes_on_by_runs_past_bad_slices(rooms, tmp_path: Path) -> None:
    session = spoiled(rooms, {4, 7}, tmp_path / "s")
    session.click((1, *SIXTH[1:]))
    views = [step.view.z for step in session.grow_steps() if isinstance(step, Grown)]
    assert views == [tuple(z for z in range(stop) if z not in {4, 7}) for stop in (3, 4, 7, 12)]
    session.close()


def test_a_prediction_says_which_slices_are_bad(rooms, tmp_path: Path) -> None:
    marked = [{"z": 1, "kind": "blank"}, {"z": 2, "kind": "duplicated"}]
    create_image(
        tmp_path / "b.zarr",
        (6, 96, 128),
        np.uint8,
        voxel_size=(30, 6, 6),
        translation=(90, 0, 0),
        attributes={"bad_slices": marked},
    )
    prediction = open_volume(tmp_path / "b.zarr")
    assert StoredBoundaries.of(prediction, rooms.volume).bad == {4}


# ---- bad slices of a volume that is predicted as one clicks


def drifting(slices: int, bad: set[int]) -> np.ndarray:
    """Grey values that change from slice to slice as tissue does; the bad ones are black."""
    far = gaussian_filter(np.random.default_rng(0).random((slices, 96, 128)), (3, 4, 4))
    image = 50 + 150 * (far - far.min()) / np.ptp(far)
    image[sorted(bad)] = 0
    return image.astype(np.uint8)


class Walls:
    """A predictor that sees walls; in black slices it sees boundary all over."""

    def __init__(self, image: np.ndarray) -> None:
        self.stack = np.where(image.any(axis=(1, 2))[:, None, None], walls(image.shape), 1)

    def predict(self, z: int, y: slice, x: slice) -> np.ndarray:
        return self.stack[z, y, x][None].astype(np.float32)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the slices that are judged."""
    looked: list[int] = []
    monkeypatch.setattr(
        bad_slices,
        "find_bad_slices",
        lambda volume: looked.append(volume.shape[0]) or find_bad_slices(volume),
    )
    return looked


def test_a_session_that_predicts_finds_the_bad_slices_where_the_object_goes(
    rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[int]
) -> None:
    bad = {4, 5, 13}
    image = drifting(64, bad)
    predictor = Walls(image)
    predictor.stack[20] = 1  # a wall through all of it, in a slice that looks good
    monkeypatch.setattr(Predictor, "of", lambda *_: predictor)
    settings = ClickSettings(window=64, reach=4, threshold=0.8)
    session = ClickSession(volume_from_array(image), object(), settings=settings)
    session.click((4, *SIXTH[1:]))
    assert not counted, "in the slice, nobody asks"
    session.drop()
    session.settings = replace(settings, volume=True)
    session.click((2, *SIXTH[1:]))
    assert along(session, SIXTH) == sorted({*range(20)} - bad)
    assert sum(counted) < 48
    assert len(counted) == 3, "each run once"
    session.undo()
    with pytest.raises(ValueError, match="Slice 13 is bad"):
        session.click((13, *SIXTH[1:]))
    assert len(counted) == 3
    session.close()


def test_what_is_judged_in_runs_is_what_is_judged_as_a_whole(counted: list[int]) -> None:
    volume = volume_from_array(drifting(50, {0, 7, 8, 30, 49}))
    judged = JudgedSlices(volume)
    found = {z for z in (30, 8, 7, *range(49, -1, -1)) if z in judged}
    assert found == {one.z for one in find_bad_slices(volume).bad} == {0, 7, 8, 30, 49}
    assert len(counted) == 7
