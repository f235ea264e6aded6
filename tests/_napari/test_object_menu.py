"""Kept objects in the click panel: table, colours, shapes and files, by mouse."""

from __future__ import annotations

import csv
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import trimesh
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QColorDialog, QFileDialog, QLineEdit, QMessageBox, QWidget

from napari_dtn._napari import object_model
from napari_dtn._napari.job import stop_all_jobs
from napari_dtn._napari.object_model import COLUMNS, ID, LOCKED, NAME, VOLUME
from napari_dtn._napari.object_table import ObjectTable
from napari_dtn.session import ClickSession, Mask
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.shapes import solid
from napari_dtn.shapes.facts import ObjectFacts
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from pathlib import Path

SHAPE, VOXEL = (12, 96, 128), (30, 6, 6)
PATIENCE = 60_000
TUBE, BLOCK, SHEET = 1, 2, 3
BOXES = {
    TUBE: (slice(0, 2), slice(60, 66), slice(5, 105)),
    BLOCK: (slice(2, 10), slice(10, 40), slice(40, 80)),
    SHEET: (slice(6, 7), slice(5, 50), slice(85, 120)),
}
CONTROLS = ("objects", "objects_menu", "objects_progress", "objects_stop", "objects_status")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A session with three objects that are known."""
    volume = volume_from_array(np.zeros(SHAPE, np.uint8), VOXEL)
    boundaries = StoredBoundaries(np.zeros(SHAPE, np.uint8), SHAPE)
    session = ClickSession(volume, boundaries=boundaries, folder=tmp_path / "objects")
    for number, box in BOXES.items():
        inside = np.zeros(SHAPE, bool)
        inside[box] = True
        session.objects.paint(Mask.around(SHAPE, (0, 0, 0), inside), number, "keep", [])
    session.close()
    return tmp_path / "objects"


@pytest.fixture
def panel(qtbot, make_napari_viewer, folder, monkeypatch):
    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *_: yes)
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 900)
    place = {"scale": VOXEL, "translate": (300, 60, 600), "units": ("nm",) * 3}
    grey = np.random.default_rng(0).integers(60, 200, SHAPE, np.uint8)
    image = viewer.add_image(grey, name="em", **place)
    role = {"metadata": {"napari_dtn": {"role": "boundaries"}}, "visible": False}
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="em boundaries", **role, **place)
    viewer.layers.selection.active = image
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Segment by clicking")
    control(panel, "folder").setText(str(folder))
    begin(qtbot, panel)
    yield panel
    panel._leave()
    stop_all_jobs()
    panel._desk.close()


def control(panel: QWidget, name: str) -> QWidget:
    found = panel.findChild(QWidget, f"click.{name}")
    assert found is not None, name
    return found


def begin(qtbot, panel: QWidget) -> None:
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel._layers is not None, timeout=PATIENCE)
    rest(qtbot, panel)


def rest(qtbot, panel: QWidget) -> None:
    qtbot.wait(20)
    qtbot.waitUntil(
        lambda: not any(lane.busy for lane in panel._lanes) and not panel._desk.waiting, timeout=PATIENCE
    )
    qtbot.wait(20)


def cell(table: ObjectTable, number: int, column: int) -> QPoint:
    row = [one.id for one in table.rows.rows].index(number)
    return table.visualRect(table.rows.index(row, column)).center()


def press_cell(qtbot, panel: QWidget, number: int, column: int = NAME, keys=Qt.NoModifier) -> None:
    table = control(panel, "objects")
    QTest.mouseClick(table.viewport(), Qt.LeftButton, keys, cell(table, number, column))
    rest(qtbot, panel)


def tick(qtbot, panel: QWidget, number: int, column: int) -> None:
    """Click on the box at the left of a cell."""
    table = control(panel, "objects")
    row = [one.id for one in table.rows.rows].index(number)
    rect = table.visualRect(table.rows.index(row, column))
    QTest.mouseClick(
        table.viewport(), Qt.LeftButton, Qt.NoModifier, QPoint(rect.left() + 10, rect.center().y())
    )
    rest(qtbot, panel)


def choose(qtbot, panel: QWidget, name: str) -> None:
    """Open the menu with the mouse and click on an action."""
    menu, button = panel.controls.kept.menu, control(panel, "objects_menu")
    (action,) = (one for one in menu.actions() if one.objectName() == f"click.{name}")

    def press() -> None:
        QTest.mouseClick(menu, Qt.LeftButton, Qt.NoModifier, menu.actionGeometry(action).center())

    QTimer.singleShot(200, press)
    QTest.mouseClick(button, Qt.LeftButton)
    rest(qtbot, panel)


def status(panel: QWidget) -> str:
    return control(panel, "objects_status").text()


def layer(panel: QWidget, name: str):
    return panel._viewer.layers[name]


def opacity(panel: QWidget, number: int) -> float:
    return float(layer(panel, "em objects").colormap.map(np.array([number], np.uint32))[0, 3])


# ---- the table


def test_the_table_says_what_the_objects_are_sorts_and_flies(qtbot, panel) -> None:
    for name in CONTROLS:
        assert control(panel, name).toolTip(), name
    for name, action in panel.controls.kept.actions_.items():
        assert action.objectName() == f"click.{name}"
        assert action.toolTip() != action.text()
    table = control(panel, "objects")
    texts = [table.rows.data(table.rows.index(1, column)) for column in range(len(COLUMNS))]
    volume = f"{8 * 30 * 40 * 1080 / 1e9:.4g}"
    assert texts == ["2", "", volume, "8", "", "2–10 · 10–40 · 40–80", "6, 24, 60"]
    press_cell(qtbot, panel, SHEET)
    assert panel._viewer.dims.point[0] == pytest.approx(300 + 6 * 30)
    header = table.horizontalHeader()
    for order in (sorted, lambda them: sorted(them, reverse=True)):
        at = QPoint(header.sectionViewportPosition(VOLUME) + 8, header.height() // 2)
        QTest.mouseClick(header.viewport(), Qt.LeftButton, Qt.NoModifier, at)
        volumes = [one.um3 for one in table.rows.rows]
        assert volumes == order(volumes)
    assert table.selected == [SHEET]


def test_locks_and_names_are_set_in_the_table(qtbot, panel) -> None:
    table = control(panel, "objects")
    tick(qtbot, panel, TUBE, LOCKED)
    table.edit(table.rows.index(0, NAME))
    QTest.keyClicks(table.viewport().focusWidget() or QWidget.keyboardGrabber(), "axon")
    QTest.keyClick(table.viewport().focusWidget(), Qt.Key_Return)
    rest(qtbot, panel)
    (one,) = (one for one in table.rows.rows if one.id == TUBE)
    assert (one.name, one.locked) == ("axon", True)


def type_into(qtbot, panel: QWidget, number: int, column: int, text: str) -> None:
    """Double click on a cell, and type."""
    table, at = control(panel, "objects"), cell(control(panel, "objects"), number, column)
    QTest.mouseClick(table.viewport(), Qt.LeftButton, Qt.NoModifier, at)
    QTest.mouseDClick(table.viewport(), Qt.LeftButton, Qt.NoModifier, at)
    editor = table.viewport().findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, text)
    QTest.keyClick(editor, Qt.Key_Return)
    rest(qtbot, panel)


def test_an_id_is_changed_in_the_table_and_keeps_the_name(qtbot, panel) -> None:
    table, labels = control(panel, "objects"), layer(panel, "em objects").data
    type_into(qtbot, panel, BLOCK, NAME, "axon")
    type_into(qtbot, panel, BLOCK, ID, "70")
    assert control(panel, "status").text() == "Object 2 is 70 now."
    assert {one.id: one.name for one in table.rows.rows} == {TUBE: "", SHEET: "", 70: "axon"}
    assert labels[5, 20, 50] == 70
    type_into(qtbot, panel, SHEET, ID, "70")
    assert control(panel, "status").text() == "Object 3 is part of 70 now."
    control(panel, "undo").click()
    rest(qtbot, panel)
    control(panel, "undo").click()
    rest(qtbot, panel)
    assert {one.id: one.name for one in table.rows.rows} == {TUBE: "", BLOCK: "axon", SHEET: ""}


def test_what_is_no_id_is_said(qtbot, panel, told) -> None:
    for text, words in (("seven", "“seven” is no id"), ("0", "ids go from 1")):
        type_into(qtbot, panel, BLOCK, ID, text)
        assert words in told[-1].message
    assert sorted(one.id for one in control(panel, "objects").rows.rows) == [TUBE, BLOCK, SHEET]


@pytest.mark.parametrize("column", range(len(COLUMNS)))
def test_every_column_sorts_ten_thousand_rows(qtbot, column: int, monkeypatch) -> None:
    """Qt asks for the cells in view and for no others, whatever is shown."""
    shown = []
    text = object_model._text
    monkeypatch.setattr(object_model, "_text", lambda *cell: shown.append(cell) or text(*cell))
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 10**6, 10_000).tolist()
    objects = [
        ObjectFacts(
            n,
            f"n{size}",
            size % 2 == 0,
            size,
            size % 50,
            ((size % 9, 20), (0, 9), (0, 9)),
            (size / 3, 0, 0),
            size / 1e3,
        )
        for n, size in enumerate(sizes, start=1)
    ]
    table = ObjectTable()
    qtbot.addWidget(table)
    table.resize(600, 300)
    table.show()
    table.show_objects(objects)
    table.selectAll()
    table.sortByColumn(column, Qt.SortOrder.DescendingOrder)
    qtbot.wait(50)
    keys = [object_model._SORTED_BY[column](one) for one in table.rows.rows]
    assert keys == sorted(keys, reverse=True)
    assert 0 < len(shown) < 1000
    assert len(table.selected) == 10_000


# ---- colours


def test_an_unticked_object_is_not_shown_and_stays_so(qtbot, panel) -> None:
    tick(qtbot, panel, BLOCK, ID)
    assert [opacity(panel, number) for number in BOXES] == [1, 0, 1]
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel._desk.session is None, timeout=PATIENCE)
    begin(qtbot, panel)
    assert [opacity(panel, number) for number in BOXES] == [1, 0, 1]
    tick(qtbot, panel, BLOCK, ID)
    assert opacity(panel, BLOCK) == 1


def test_objects_get_the_chosen_colour_and_others_keep_theirs(qtbot, panel, monkeypatch) -> None:
    usual = layer(panel, "em objects").colormap.map(np.arange(1, 4, dtype=np.uint32))
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor("#ff8800"))
    press_cell(qtbot, panel, TUBE)
    choose(qtbot, panel, "colour")
    found = layer(panel, "em objects").colormap.map(np.arange(1, 4, dtype=np.uint32))
    assert found[0] == pytest.approx(np.array([255, 136, 0, 255]) / 255)
    assert found[1:] == pytest.approx(usual[1:])
    rows = control(panel, "objects").rows
    assert rows.data(rows.index(0, ID), Qt.ItemDataRole.DecorationRole).name() == "#ff8800"
    choose(qtbot, panel, "no_colour")
    assert layer(panel, "em objects").colormap.map(np.array([1], np.uint32)) == pytest.approx(usual[:1])


# ---- shapes


def test_a_mesh_lies_where_its_object_does(qtbot, panel) -> None:
    viewer = panel._viewer
    before = viewer.dims.range  # the steps of the slider are slices, and stay so
    for number in (TUBE, BLOCK):  # the tube begins in the first slice
        press_cell(qtbot, panel, number)
        choose(qtbot, panel, "mesh")
    mesh = layer(panel, "em mesh 2")
    first, last = mesh.extent.world
    shift = (300, 60, 600)
    edges = [(a.start - 0.5, a.stop - 0.5) for a in BOXES[BLOCK]]
    steps = np.array(VOXEL) / 2  # smoothing may take as much off an edge
    assert (np.abs(first - [shift[i] + VOXEL[i] * edges[i][0] for i in range(3)]) < steps).all()
    assert (np.abs(last - [shift[i] + VOXEL[i] * edges[i][1] for i in range(3)]) < steps).all()
    assert [str(unit) for unit in mesh.units] == ["nanometer"] * 3
    assert "Object 2:" in status(panel)
    assert viewer.dims.ndisplay == 3
    assert not layer(panel, "em").visible
    assert viewer.dims.range == before
    viewer.dims.ndisplay = 2
    assert layer(panel, "em").visible
    assert not layer(panel, "em boundaries").visible


def test_skeletons_of_several_rows_and_their_lengths(qtbot, panel) -> None:
    press_cell(qtbot, panel, BLOCK)
    press_cell(qtbot, panel, TUBE, keys=Qt.ControlModifier)
    choose(qtbot, panel, "skeleton")
    assert {"em skeleton 1", "em skeleton 2"} <= {one.name for one in panel._viewer.layers}
    press_cell(qtbot, panel, TUBE)
    choose(qtbot, panel, "skeleton")
    length = float(status(panel).split(" µm")[0].split()[-1])
    assert length == pytest.approx(99 * 6 / 1000, rel=0.06)
    assert sum(one.name == "em skeleton 1" for one in panel._viewer.layers) == 1


def test_what_was_begun_can_be_stopped(qtbot, panel, monkeypatch) -> None:
    shares = solid._shares
    monkeypatch.setattr(solid, "_shares", lambda *part: time.sleep(0.3) or shares(*part))
    press_cell(qtbot, panel, BLOCK)

    def stop() -> None:
        assert "Finding the mesh" in status(panel)
        QTest.mouseClick(control(panel, "objects_stop"), Qt.LeftButton)

    QTimer.singleShot(700, stop)
    choose(qtbot, panel, "mesh")
    assert status(panel) == "Stopped."
    assert "em mesh 2" not in panel._viewer.layers
    assert not control(panel, "objects_stop").isVisible()


def test_a_shape_without_a_row_or_a_voxel_size_is_said(qtbot, panel, told) -> None:
    choose(qtbot, panel, "mesh")
    assert "choose rows of the table first" in told[-1].message
    panel._desk.session.volume = volume_from_array(np.zeros(SHAPE, np.uint8))
    press_cell(qtbot, panel, TUBE)
    choose(qtbot, panel, "mesh")
    assert "voxel size is not known" in told[-1].message
    assert not control(panel, "objects_stop").isVisible()


# ---- files


def test_meshes_table_and_labels_are_saved(qtbot, panel, folder, monkeypatch, tmp_path: Path, told) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "meshes"))
    press_cell(qtbot, panel, BLOCK)
    choose(qtbot, panel, "save_ply")
    mesh = trimesh.load(tmp_path / "meshes" / "2.ply")
    assert mesh.volume == pytest.approx(8 * 30 * 40 * 1080, rel=0.05)
    assert mesh.bounds.mean(axis=0) == pytest.approx([600 + 59.5 * 6, 60 + 24.5 * 6, 300 + 5.5 * 30], abs=1)
    assert str(tmp_path / "meshes") in status(panel)
    choose(qtbot, panel, "save_ply")
    assert "exists" in told[-1].message
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "t.csv"), "CSV (*.csv)"))
    choose(qtbot, panel, "save_table")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "ids"), "TIFF (*.tif)"))
    choose(qtbot, panel, "save_labels")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(folder / "objects.zarr"), ""))
    choose(qtbot, panel, "save_labels")
    assert "objects.zarr exists" in told[-1].message
    ids = tifffile.imread(tmp_path / "ids.tif")
    for number, box in BOXES.items():
        assert (ids[box] == number).all()
        assert (ids == number).sum() == ids[box].size
