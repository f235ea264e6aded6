"""A graph that was kept gives the objects that cutting anew gives, and at once."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_dtn.cli import main
from napari_dtn.segmenting import segment_steps
from napari_dtn.segmenting.keeping import graph_beside, kept_graph
from napari_dtn.session import ClickSession, Grown, Prompt
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.settings import ClickSettings, Roi, SegmentSettings
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.writing import write_image
from support.rooms import by_walls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SETTINGS = ClickSettings(window=64, reach=4, threshold=0.8)
IN_PARTS = SegmentSettings(part_slices=5, part_side=256)
INSIDE, BESIDE = (6, 48, 48), (6, 48, 80)
Sessions = tuple[ClickSession, ClickSession]


def segmented(folder: Path, values: np.ndarray, bad: tuple[int, ...] = ()) -> Path:
    """Write boundaries, segment them in parts, and keep the graph."""
    path = folder / "rooms boundaries.zarr"
    marked = [{"z": z, "kind": "black"} for z in bad]
    write_image(path, values, voxel_size=(30, 6, 6), attributes={"bad_slices": marked})
    for _ in segment_steps(path, folder / "objects.zarr", settings=IN_PARTS, keep_graph=True):
        pass
    return path


@pytest.fixture(autouse=True)
def _by_walls_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("segmenting.running", "session.kept_evidence"):
        monkeypatch.setattr(f"napari_dtn.{module}.merge_probabilities", by_walls)


@pytest.fixture
def open_both(rooms, tmp_path: Path) -> Iterator[Callable[..., Sessions]]:
    """Open a session with the graph of some boundaries, and one without."""
    opened: list[ClickSession] = []

    def both(values: np.ndarray | None = None, bad: tuple[int, ...] = (), **changed: object) -> Sessions:
        stack = np.round(255 * np.asarray(rooms.boundaries._array)) if values is None else values
        path = segmented(tmp_path, stack.astype(np.uint8), bad)
        laid = StoredBoundaries.of(open_volume(path), rooms.volume)
        assert laid.graph is not None
        plain = StoredBoundaries(laid._array, rooms.volume.shape, bad=laid.bad)
        opened.extend(
            ClickSession(rooms.volume, boundaries=one, settings=replace(SETTINGS, **changed))
            for one in (laid, plain)
        )
        return opened[0], opened[1]

    yield both
    for one in opened:
        one.close()


def same(sessions: Sessions, at: tuple[int, int, int], positive: bool = True) -> np.ndarray:
    """Click in both sessions; the object that both find."""
    one, other = (np.asarray(session.click(at, positive)) for session in sessions)
    np.testing.assert_array_equal(one, other)
    return one


def test_the_graph_finds_what_cutting_finds(open_both) -> None:
    sessions = open_both(volume=True)
    found = same(sessions, INSIDE)
    assert found.any(axis=(1, 2)).all()
    both = same(sessions, BESIDE)
    assert both.sum() > 1.5 * found.sum()
    np.testing.assert_array_equal(same(sessions, BESIDE, False), found)


def test_nothing_is_cut_and_the_first_view_is_the_last(open_both, monkeypatch) -> None:
    session, _ = open_both(volume=True)
    monkeypatch.delattr("napari_dtn.session.evidence.slice_fragments")
    monkeypatch.delattr("napari_dtn.session.evidence.borders_across")
    steps = [step for step in session.steps(Prompt((INSIDE,), True)) if isinstance(step, Grown)]
    assert [step.finished for step in steps] == [True]
    assert len(session.mask.slices) == 12


def test_in_a_slice_it_stays_in_the_slice(open_both) -> None:
    sessions = open_both()
    same(sessions, INSIDE)
    found = same(sessions, (7, *INSIDE[1:]))
    assert found.any(axis=(1, 2)).nonzero()[0].tolist() == [6, 7]


@pytest.mark.parametrize("through", [False, True])
def test_opposing_clicks_split_a_fragment_alike(open_both, through: bool) -> None:
    sessions = open_both(volume=through)
    whole = same(sessions, (6, 40, 48))
    half = same(sessions, (6, 56, 48), False)
    assert 0.3 < half[6].sum() / whole[6].sum() < 0.7
    same(sessions, (7, 56, 48), False)


def test_objects_are_led_past_bad_slices_and_found_in_them_by_cutting(open_both, rooms) -> None:
    values = np.round(255 * np.asarray(rooms.boundaries._array))
    sessions = open_both(values, bad=(4,), volume=True)
    found = same(sessions, INSIDE)
    assert found.any(axis=(1, 2)).nonzero()[0].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    for session in sessions:
        session.drop()
        session.settings = replace(session.settings, volume=False)
    assert same(sessions, (4, *INSIDE[1:]))[4].any()


def test_a_box_confines_it(open_both) -> None:
    sessions = open_both(volume=True)
    for session in sessions:
        for _ in session.confine((slice(3, 9), slice(0, 96), slice(40, 128))):
            pass
    found = same(sessions, INSIDE)
    assert found.any(axis=(1, 2)).nonzero()[0].tolist() == [3, 4, 5, 6, 7, 8]
    assert not found[..., :40].any()


def test_doubtful_places_are_between_the_rooms_that_cutting_doubts(open_both, rooms) -> None:
    sessions = open_both(volume=True, threshold=0.7)
    same(sessions, (6, 17, 17))
    one, other = (
        sorted((d.one[0], rooms.truth[d.one], rooms.truth[d.other]) for d in [*session.doubts()][-1])
        for session in sessions
    )
    assert one == other
    assert one


def test_boundaries_that_lie_elsewhere_have_their_graph_there(rooms, tmp_path: Path) -> None:
    values = np.round(255 * np.asarray(rooms.boundaries._array)[:, 32:])
    path = segmented(tmp_path, values.astype(np.uint8))
    laid = StoredBoundaries.at(open_volume(path).data, str(path), (20, 200, 200), (3, 50, 60))
    volume = volume_from_array(np.zeros((20, 200, 200), np.uint8), (30, 6, 6))
    session = ClickSession(volume, boundaries=laid, settings=replace(SETTINGS, volume=True))
    found = session.click((9, 50 + 16, 60 + 48))
    assert (found.slices.start, found.slices.stop) == (3, 15)
    assert found.box[1].start >= 50
    assert found.box[2].start >= 60 + 32
    session.close()


def test_a_graph_of_other_boundaries_is_left_alone(rooms, tmp_path: Path) -> None:
    values = np.round(255 * np.asarray(rooms.boundaries._array)).astype(np.uint8)
    path = segmented(tmp_path, values)
    assert kept_graph(path) is not None
    assert kept_graph(path, values.shape) is not None
    assert kept_graph(path, (3, 4, 5)) is None
    write_image(path, values, voxel_size=(30, 6, 6), attributes={"model": "another"}, overwrite=True)
    assert kept_graph(path) is None
    assert StoredBoundaries.of(open_volume(path), rooms.volume).graph is None


def test_a_file_that_is_newer_than_its_graph_is_another(rooms, tmp_path: Path) -> None:
    path = tmp_path / "boundaries.tif"
    tifffile.imwrite(path, np.round(255 * np.asarray(rooms.boundaries._array)).astype(np.uint8))
    for _ in segment_steps(path, tmp_path / "objects.zarr", settings=IN_PARTS, keep_graph=True):
        pass
    assert kept_graph(path) is not None
    later = (graph_beside(path) / "facts.json").stat().st_mtime + 10
    os.utime(path, (later, later))
    assert kept_graph(path) is None


def test_what_cannot_be_kept_is_refused_before_any_work(rooms, tmp_path: Path) -> None:
    values = np.round(255 * np.asarray(rooms.boundaries._array)).astype(np.uint8)
    path, output = segmented(tmp_path, values), tmp_path / "again.zarr"
    with pytest.raises(FileExistsError, match="replace it with --overwrite"):
        segment_steps(path, output, settings=IN_PARTS, keep_graph=True)
    with pytest.raises(ValueError, match="whole boundaries"):
        segment_steps(path, output, roi=Roi(z=(0, 3)), keep_graph=True, overwrite=True)
    assert not output.exists()
    assert not output.with_name("again.zarr.unfinished").exists()


def test_work_that_wrote_its_graph_already_goes_on(rooms, tmp_path: Path) -> None:
    path, output = tmp_path / "boundaries.zarr", tmp_path / "objects.zarr"
    values = np.round(255 * np.asarray(rooms.boundaries._array)).astype(np.uint8)
    write_image(path, values, voxel_size=(30, 6, 6), attributes={})

    def steps():
        return segment_steps(path, output, settings=IN_PARTS, keep_graph=True)

    for step in steps():
        if step.stage == "objects":
            break
    assert graph_beside(path).exists()
    assert not output.exists()
    assert [step.stage for step in steps()] == ["objects", "labels"]
    assert kept_graph(path) is not None
    with pytest.raises(FileExistsError, match="replace it with --overwrite"):
        segment_steps(path, tmp_path / "others.zarr", settings=IN_PARTS, keep_graph=True)


def test_the_command_keeps_the_graph_and_replaces_it(rooms, tmp_path: Path) -> None:
    path, output = tmp_path / "boundaries.zarr", tmp_path / "objects.zarr"
    values = np.round(255 * np.asarray(rooms.boundaries._array)).astype(np.uint8)
    write_image(path, values, voxel_size=(30, 6, 6), attributes={})
    words = ["segment", str(path), "-o", str(output), "--keep-graph"]
    assert main(words) == 0
    graph = kept_graph(path)
    assert graph is not None
    assert graph.fragments.shape == values.shape
    (graph_beside(path) / "facts.json").unlink()
    assert main([*words, "--overwrite"]) == 0
    assert kept_graph(path) is not None
