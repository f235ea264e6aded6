"""Proofreading in the click panel: merges by mouse, scribbles, doubtful places, a box, keys of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_dtn._napari.click_keys import KEYS
from napari_dtn.predict import Predictor
from support.canvas import canvas_of, place_of
from support.clicking import (
    FIRST,
    SECOND,
    SHAPE,
    THIRD,
    begin,
    click,
    control,
    key,
    labels,
    rest,
    work,
)
from support.rooms import walls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtWidgets import QWidget


@pytest.fixture
def panel(click_panel):
    return click_panel


def drag(qtbot, panel: QWidget, voxels, keys) -> None:
    """Draw a line from voxel to voxel, with the events that a mouse makes."""
    canvas, places = canvas_of(panel), [place_of(panel, voxel) for voxel in voxels]
    QTest.mouseMove(canvas, places[0])
    QTest.mousePress(canvas, Qt.LeftButton, keys, places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas, place)
        qtbot.wait(20)
    QTest.mouseRelease(canvas, Qt.LeftButton, keys, places[-1])
    rest(qtbot, panel)


def keep(qtbot, panel: QWidget, *voxels) -> None:
    for voxel in voxels:
        click(qtbot, panel, voxel)
        key(qtbot, panel, Qt.Key_C)


def status(panel: QWidget) -> str:
    return control(panel, "status").text()


# ---- merge and split


def test_alt_drag_across_objects_merges_them(qtbot, panel) -> None:
    begin(qtbot, panel)
    keep(qtbot, panel, FIRST, SECOND, THIRD)
    centre = panel._viewer.camera.center
    drag(qtbot, panel, [FIRST, SECOND, THIRD], Qt.AltModifier)
    assert {int(labels(panel)[one]) for one in (FIRST, SECOND, THIRD)} == {1}
    assert panel._viewer.camera.center == centre  # the view has not moved
    key(qtbot, panel, Qt.Key_Z, Qt.ControlModifier)
    assert [int(labels(panel)[one]) for one in (FIRST, SECOND, THIRD)] == [1, 2, 3]


def test_two_clicks_merge_while_the_button_is_down(qtbot, panel) -> None:
    begin(qtbot, panel)
    keep(qtbot, panel, FIRST, THIRD)
    control(panel, "merging").click()
    click(qtbot, panel, FIRST)
    assert "merges with the next" in status(panel)
    click(qtbot, panel, THIRD)
    assert labels(panel)[THIRD] == 1
    control(panel, "merging").click()
    click(qtbot, panel, SECOND)
    assert work(panel)[SECOND]


def test_the_first_of_a_merge_is_forgotten_in_another_folder(qtbot, panel, tmp_path) -> None:
    begin(qtbot, panel)
    keep(qtbot, panel, FIRST)
    control(panel, "merging").click()
    click(qtbot, panel, FIRST)
    assert "Object 1 merges with the next" in status(panel)
    control(panel, "merging").click()
    control(panel, "on").click()
    rest(qtbot, panel)
    control(panel, "folder").setText(str(tmp_path / "other"))
    begin(qtbot, panel)
    keep(qtbot, panel, FIRST, THIRD)
    control(panel, "merging").click()
    click(qtbot, panel, THIRD)
    assert "Object 2 merges with the next" in status(panel)
    assert [int(labels(panel)[one]) for one in (FIRST, THIRD)] == [1, 2]


def test_opposing_scribbles_cut_within_a_fragment(qtbot, panel) -> None:
    begin(qtbot, panel)
    drag(qtbot, panel, [(2, 40, 38), (2, 40, 48), (2, 40, 58)], Qt.ShiftModifier)
    whole = work(panel).sum()
    drag(qtbot, panel, [(2, 57, 38), (2, 57, 48), (2, 57, 58)], Qt.ShiftModifier | Qt.ControlModifier)
    first, second = panel._desk.session.active.prompts
    assert (first.positive, second.positive) == (True, False)
    assert min(len(first.points), len(second.points)) > 1  # Qt may take moves together
    assert 0.3 < work(panel).sum() / whole < 0.7
    assert work(panel)[2, 40, 38:58].all()
    assert not work(panel)[2, 57, 38:58].any()
    key(qtbot, panel, Qt.Key_Z, Qt.ControlModifier)
    assert work(panel).sum() == whole


# ---- doubtful places


def test_doubtful_places_by_keys(qtbot, panel) -> None:
    begin(qtbot, panel)
    control(panel, "threshold").setValue(55)
    click(qtbot, panel, FIRST)
    assert work(panel)[SECOND]
    key(qtbot, panel, Qt.Key_D)
    assert "One object here?" in status(panel)
    places = panel._viewer.layers["em doubtful place"].data
    assert abs(places[0][2] - 32) < 3
    key(qtbot, panel, Qt.Key_N)
    assert work(panel)[FIRST] != work(panel)[SECOND]
    assert "No doubtful place is left" in status(panel)
    assert "em doubtful place" not in panel._viewer.layers
    key(qtbot, panel, Qt.Key_Z, Qt.ControlModifier)
    assert work(panel)[SECOND]
    key(qtbot, panel, Qt.Key_D)
    key(qtbot, panel, Qt.Key_Y)
    assert work(panel)[SECOND]
    key(qtbot, panel, Qt.Key_C)
    control(panel, "objects").selectAll()
    key(qtbot, panel, Qt.Key_D)  # of the kept object: it was answered
    assert "No doubtful place is left" in status(panel)


def test_an_answer_without_a_question_is_told(qtbot, panel, told) -> None:
    begin(qtbot, panel)
    click(qtbot, panel, FIRST)
    key(qtbot, panel, Qt.Key_Y)
    assert "Nothing was asked" in told[-1].message


@pytest.mark.parametrize("letting_go", [Qt.Key_C, Qt.Key_Escape, None], ids=["kept", "dropped", "undone"])
def test_an_answer_goes_to_the_object_that_was_asked_of_alone(qtbot, panel, told, letting_go) -> None:
    begin(qtbot, panel)
    control(panel, "threshold").setValue(50)
    click(qtbot, panel, FIRST)
    key(qtbot, panel, Qt.Key_D)
    assert "em doubtful place" in panel._viewer.layers
    click(qtbot, panel, (2, 20, 20))
    assert "em doubtful place" in panel._viewer.layers, "the object goes on"
    if letting_go is None:
        for _ in range(2):
            key(qtbot, panel, Qt.Key_Z, Qt.ControlModifier)
    else:
        key(qtbot, panel, letting_go)
    assert "em doubtful place" not in panel._viewer.layers
    click(qtbot, panel, (2, 80, 112))
    found = work(panel)
    key(qtbot, panel, Qt.Key_Y)
    assert "Nothing was asked" in told[-1].message
    assert (work(panel) == found).all()
    assert len(panel._desk.session.active.prompts) == 1


# ---- a box


def test_a_rectangle_and_slices_confine(qtbot, panel) -> None:
    begin(qtbot, panel)
    viewer = panel._viewer
    shapes = viewer.add_shapes([[[40, 36], [40, 60], [60, 60], [60, 36]]], scale=(6, 6), units=("nm",) * 2)
    viewer.layers.selection.active = shapes
    control(panel, "within").setCurrentText("Rectangle")
    control(panel, "slices").setText("1:4")
    control(panel, "mode").setCurrentIndex(1)
    control(panel, "confine").click()
    rest(qtbot, panel)
    assert "z 1:4, y 40:60, x 36:60" in status(panel)
    viewer.layers.selection.active = viewer.layers["em"]
    click(qtbot, panel, THIRD)
    where = np.argwhere(work(panel))
    assert where.min(axis=0).tolist() == [1, 40, 36]
    assert where.max(axis=0).tolist() == [3, 59, 59]
    control(panel, "within").setCurrentText("Everywhere")
    control(panel, "slices").clear()
    control(panel, "confine").click()
    rest(qtbot, panel)
    assert work(panel)[0, 48, 40]


# ---- bad slices


class Walls:
    """A predictor that sees walls, and in the bad slice boundary all over."""

    def predict(self, z: int, y: slice, x: slice) -> np.ndarray:
        seen = np.ones((1, *SHAPE[1:])) if z == 3 else walls((1, *SHAPE[1:]))
        return seen[:, y, x].astype(np.float32)


def test_a_model_that_predicts_as_one_clicks_passes_a_bad_slice(qtbot, panel, monkeypatch) -> None:
    monkeypatch.setattr(Predictor, "of", lambda *_: Walls())
    panel._viewer.layers["em"].data[3] = 0
    control(panel, "source").setCurrentText("predict with unet-snemi3d")
    begin(qtbot, panel)
    control(panel, "mode").setCurrentText("Through the slices")
    rest(qtbot, panel)
    click(qtbot, panel, FIRST)
    assert np.flatnonzero(work(panel)[:, FIRST[1], FIRST[2]]).tolist() == [0, 1, 2, 4]
    key(qtbot, panel, Qt.Key_C)
    assert not labels(panel)[3].any()


# ---- keys


@pytest.fixture
def _keys_as_ever() -> Iterator[None]:
    yield
    for name, _, keys in KEYS:
        action_manager.unbind_shortcut(f"napari-dtn:{name}")
        for one in keys:
            action_manager.bind_shortcut(f"napari-dtn:{name}", coerce_keybinding(one))
        get_settings().shortcuts.shortcuts.pop(f"napari-dtn:{name}", None)


@pytest.mark.usefixtures("_keys_as_ever")
def test_keys_are_changed_in_the_preferences(qtbot, panel) -> None:
    begin(qtbot, panel)
    assert "keep the object: Enter or C" in control(panel, "keys").text()
    editor = ShortcutEditor()
    qtbot.addWidget(editor)
    table = editor._table
    rows = {table.item(row, 0).text(): row for row in range(table.rowCount())}
    row = rows["Segment by clicking: keep the object"]
    table.item(row, editor._shortcut_col2).setText("J")
    assert "Enter or J" in control(panel, "keys").text()
    click(qtbot, panel, FIRST)
    key(qtbot, panel, Qt.Key_C)
    assert not labels(panel).any()
    key(qtbot, panel, Qt.Key_J)
    assert labels(panel)[FIRST] == 1


def test_keys_are_the_viewer_s_own_again(qtbot, panel) -> None:
    begin(qtbot, panel)
    image = panel._viewer.layers["em"]
    assert len(image.keymap) == len(panel._viewer.keymap) == sum(len(keys) for _, _, keys in KEYS)
    panel._viewer.layers.selection.active = panel._viewer.layers["em boundaries"]
    assert not image.keymap
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel._layers is None)
    assert not panel._viewer.keymap


def test_left_click_excludes_after_t(qtbot, panel) -> None:
    begin(qtbot, panel)
    control(panel, "threshold").setValue(40)
    click(qtbot, panel, FIRST)
    key(qtbot, panel, Qt.Key_T)
    click(qtbot, panel, SECOND)
    assert work(panel)[FIRST]
    assert not work(panel)[SECOND]


def test_s_and_shift_s_find_it_in_the_slice_and_through_them(qtbot, panel) -> None:
    begin(qtbot, panel)
    click(qtbot, panel, THIRD)
    key(qtbot, panel, Qt.Key_S, Qt.ShiftModifier)
    assert work(panel)[:, 48, 48].all()
    key(qtbot, panel, Qt.Key_S)
    assert np.flatnonzero(work(panel)[:, 48, 48]).tolist() == [2]
