"""Windows follow an object from slice to slice, and grow where it reaches them; what is known stays known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.segment.evidence import contact
from napari_dtn.segment.fragments import slice_fragments
from napari_dtn.segment.graph import FEATURES, RegionGraph, region_graph
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.session.click import ClickSession
from napari_dtn.session.evidence import Evidence, Stack
from napari_dtn.session.growing import Grown
from napari_dtn.session.prompts import Active, Prompt
from napari_dtn.session.view import Look, Pane, View
from napari_dtn.settings import ClickSettings
from napari_dtn.volume.intensity import estimate_intensity, normalise
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from collections.abc import Container

SHAPE = (40, 1024, 1024)
BOX = (slice(0, 40), slice(0, 1024), slice(0, 1024))
WINDOW, REACH = 256, 8
SETTINGS = ClickSettings(volume=True, window=WINDOW, reach=REACH)


def look(bad: Container[int] = ()) -> Look:
    return Look(SETTINGS, BOX, bad)


def clicked(*at: tuple[int, int, int]) -> Active:
    return Active((Prompt(at, True),))


def windows(view: View) -> dict[int, tuple[int, int, int, int]]:
    return {pane.z: (*pane.y, *pane.x) for pane in view.panes}


# ---- geometry


def test_the_first_view_is_around_the_click_and_in_the_slices_beside_it() -> None:
    view = look().first(clicked((10, 500, 300)))
    assert view.z == (9, 10, 11)
    assert view.linked == (True, True)
    for pane in view.panes:
        assert pane.y[1] - pane.y[0] == pane.x[1] - pane.x[0] == WINDOW
        assert pane.holds((500, 501, 300, 301))


def test_slices_past_bad_ones_follow_each_other_and_clicks_far_apart_do_not() -> None:
    view = look({11, 12}).first(clicked((10, 500, 300), (30, 100, 900)))
    assert view.z == (9, 10, 13, 29, 30, 31)
    assert view.linked == (True, True, False, True, True)


def test_the_next_slices_are_looked_at_only_around_the_object() -> None:
    view = look().first(clicked((10, 500, 300)))
    larger = look().larger(view, dict.fromkeys(view.z, (490, 510, 290, 310)))
    assert larger.z == (*range(8, 12), *range(12, 16))
    before, after = windows(view), windows(larger)
    assert all(after[z] == before[z] for z in before), "what the object does not reach stays as it is"
    margin, lattice = WINDOW // 8, WINDOW // 16
    for z in {*after} - {*before}:
        y0, y1, x0, x1 = after[z]
        assert 490 - margin - lattice < y0 <= 490 - margin
        assert 510 + margin <= y1 < 510 + margin + lattice
        assert (x1 - x0) < WINDOW / 2


def test_only_the_window_that_is_reached_grows_and_only_there() -> None:
    panes = tuple(Pane(z, (400, 500), (400, 500)) for z in range(8))
    view = View(panes, (True,) * 7)
    found = dict.fromkeys(range(8), (440, 460, 440, 460)) | {3: (440, 460, 440, 500)}
    larger = windows(replace(look(), box=(slice(0, 8), *BOX[1:])).larger(view, found))
    assert larger[3] == (400, 500, 400, 550)
    assert all(larger[z] == (400, 500, 400, 500) for z in (0, 1, 2, 4, 5, 6, 7))


def test_a_window_moves_on_to_where_the_object_is_in_the_next_slice() -> None:
    panes = Pane(0, (400, 600), (400, 600)), Pane(1, (400, 500), (400, 500)), Pane(2, (400, 500), (400, 500))
    found = {0: (420, 440, 540, 560), 1: (420, 440, 420, 440)}
    larger = replace(look(), box=(slice(0, 3), *BOX[1:])).larger(View(panes, (True, True)), found)
    assert larger.panes[0] == panes[0]
    assert all(pane.holds(found[0]) for pane in larger.panes)


def test_nothing_is_left_to_look_at_where_the_object_ends_inside() -> None:
    view = View(tuple(Pane(z, (400, 500), (400, 500)) for z in range(3)), (True, True))
    assert look().larger(view, {0: (440, 460, 440, 460), 1: (440, 460, 440, 460)}) is None


def test_at_the_edge_of_the_box_nothing_grows() -> None:
    view = View((Pane(0, (0, 1024), (0, 1024)),), ())
    assert replace(look(), box=(slice(0, 1), *BOX[1:])).larger(view, {0: (0, 1024, 0, 1024)}) is None


# ---- an oblique tube


def tube(z: int) -> tuple[int, int]:
    return 300, 60 + 6 * z


@pytest.fixture(scope="module")
def oblique() -> np.ndarray:
    """Boundaries of a tube, 24 pixels wide, that moves by 6 pixels a slice, through a grid of cells."""
    y, x = np.indices((600, 600))
    planes = []
    for z in range(40):
        walls = ((y % 40 < 3) | (x % 40 < 3)) * 0.9
        far = np.maximum(np.abs(y - tube(z)[0]), np.abs(x - tube(z)[1]))
        planes.append(np.where(far < 14, np.where(far < 12, 0.02, 0.95), np.maximum(walls, 0.02)))
    return np.stack(planes).astype(np.float32)


def test_windows_stay_small_along_an_object_that_goes_far(oblique) -> None:
    volume = volume_from_array(np.round(200 * (1 - oblique)).astype(np.uint8), (30, 6, 6))
    settings = ClickSettings(volume=True, window=128, reach=4, threshold=0.4)
    session = ClickSession(volume, boundaries=StoredBoundaries(oblique, volume.shape), settings=settings)
    session.prompt(Prompt(((20, *tube(20)),), True))
    steps = [step for step in session.grow_steps() if isinstance(step, Grown)]
    assert len(session.mask.slices) == 40
    assert all(session.mask[z, tube(z)[0], tube(z)[1]] for z in range(40))
    areas = [(pane.y[1] - pane.y[0]) * (pane.x[1] - pane.x[0]) for pane in steps[-1].view.panes]
    assert np.median(areas) <= 128**2
    session.close()


# ---- links


def sum_of_evidence(graph: RegionGraph) -> np.ndarray:
    unmoved = [i for i, name in enumerate(FEATURES) if "grey" not in name and "texture" not in name]
    return graph.features[:, unmoved] @ np.linspace(1, 2, len(unmoved), dtype=np.float32)


def test_links_by_slice_are_those_of_the_whole_stack_at_once(rooms, monkeypatch) -> None:
    """Of the same evidence, which is seen through what is made of it: a sum in place of the classifier."""
    monkeypatch.setattr("napari_dtn.session.evidence.merge_probabilities", sum_of_evidence)
    volume, stack = rooms.volume, np.asarray(rooms.boundaries._array)
    evidence = Evidence(rooms.boundaries, volume.data, 2**28)
    whole = (0, 96), (0, 128)
    for first, last in ((4, 6), (3, 8), (0, 12)):  # as a view grows
        view = View(tuple(Pane(z, *whole) for z in range(first, last)), (True,) * (last - first - 1))
        *_, found = evidence.steps(view, {})
    assert isinstance(found, Stack)
    planes = [slice_fragments(plane) for plane in stack]
    assert all((one == other).all() for one, other in zip(planes, found.planes, strict=True))
    fragments = np.stack(
        [plane + np.uint32(start) for plane, start in zip(planes, found.starts, strict=True)]
    )
    grey = normalise(volume.data.compute(), estimate_intensity(volume))
    wanted = region_graph(fragments, stack, grey)
    links = found.links
    np.testing.assert_array_equal(links.edges, wanted.edges)
    np.testing.assert_array_equal(links.sizes, wanted.sizes)
    np.testing.assert_allclose(links.contact, contact(wanted.features), rtol=1e-5)
    np.testing.assert_allclose(links.probability, sum_of_evidence(wanted), rtol=1e-4, atol=1e-4)
    evidence.close()
