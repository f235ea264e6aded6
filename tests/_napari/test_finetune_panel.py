"""Annotating in the panel that teaches: opened through the manifest, driven by mouse, keys and controls."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_dtn._napari.slice_marks import marks_of
from support.canvas import canvas_of, place_of
from support.finetune import PATIENCE, annotation, begin, control, drag, key, rest, start_from

if TYPE_CHECKING:
    from pathlib import Path

CONTROLS = (
    *("image", "folder", "folder_choice", "tabs", "status", "on", "classes", "brush", "polygon", "box"),
    *("undo", "redo", "ids", "add_ids", "add_objects", "pixels", "regions", "suggest", "next", "suggestions"),
    *("model", "name", "train", "resume", "pause", "keep", "cancel", "progress", "plot", "before", "scores"),
    *("plan", "remarks", "resample", "advanced", "minutes", "learning_rate", "freeze", "pull", "augment"),
    *("batch_size",),
    *("versions", "compare", "revert", "rename", "delete", "restore", "share", "add", "compared"),
    *("copy_command", "copy_python"),
)
OPEN = """
import sys, napari
viewer = napari.Viewer(show=False)
heavy = {"torch", "zarr", "dask.array", "bioimage_cpp", "pyqtgraph", "scipy.ndimage"} - set(sys.modules)
viewer.window.add_plugin_dock_widget("napari-dtn", "Teach the model")
print(",".join(sorted(heavy & set(sys.modules))) or "none")
viewer.close()
"""


def test_opening_the_panel_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", OPEN], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "none"


def test_every_control_has_its_name_and_says_what_it_does(taught) -> None:
    for name in CONTROLS:
        assert control(taught, name).toolTip(), name


def test_the_panel_fits_a_small_screen(taught) -> None:
    control(taught, "tabs").setCurrentIndex(1)
    assert taught.minimumSizeHint().height() < 640
    assert taught.minimumSizeHint().width() < 460


def test_a_stroke_is_on_disk_and_ctrl_z_takes_it_back(qtbot, taught) -> None:
    begin(qtbot, taught)
    drag(qtbot, taught, (2, 20, 20), (2, 20, 60))
    painted = annotation(taught)
    assert painted[2, 20, 40] == 1
    assert set(np.unique(painted)) == {0, 1}
    assert not painted[[0, 1, 3]].any()
    assert control(taught, "regions").count() == 1
    assert f"boundary {np.count_nonzero(painted):,}" in control(taught, "pixels").text()
    key(qtbot, taught, Qt.Key_Z, Qt.ControlModifier)
    assert not annotation(taught).any()
    assert not np.asarray(taught.annotating.layer.layer.data[2]).any()
    key(qtbot, taught, Qt.Key_Z, Qt.ControlModifier | Qt.ShiftModifier)
    assert np.array_equal(annotation(taught), painted)


def test_number_keys_choose_the_class_and_0_forgets(qtbot, taught) -> None:
    begin(qtbot, taught)
    key(qtbot, taught, Qt.Key_2)
    drag(qtbot, taught, (2, 20, 20), (2, 20, 60))
    assert set(np.unique(annotation(taught))) == {0, 2}
    key(qtbot, taught, Qt.Key_0)
    drag(qtbot, taught, (2, 20, 16), (2, 20, 64))
    assert np.count_nonzero(annotation(taught)) == 0
    assert control(taught, "class_0").isChecked()


def test_a_polygon_is_filled(qtbot, taught) -> None:
    begin(qtbot, taught)
    control(taught, "class_2").click()
    control(taught, "polygon").click()
    canvas = canvas_of(taught)
    corners = [(2, 20, 20), (2, 20, 60), (2, 50, 60), (2, 50, 20)]
    for at in corners:
        QTest.mouseMove(canvas, place_of(taught, at))
        QTest.mouseClick(canvas, Qt.LeftButton, Qt.NoModifier, place_of(taught, at))
        qtbot.wait(300)  # two clicks in a moment would be a double click
    QTest.mouseDClick(canvas, Qt.LeftButton, Qt.NoModifier, place_of(taught, corners[-1]))
    rest(qtbot, taught)
    assert annotation(taught)[2, 35, 40] == 2


def test_a_box_says_that_what_is_not_boundary_in_it_is_inside(qtbot, taught) -> None:
    begin(qtbot, taught)
    drag(qtbot, taught, (2, 20, 20), (2, 20, 60))
    control(taught, "box").click()
    drag(qtbot, taught, (2, 10, 10), (2, 40, 70))
    rest(qtbot, taught)
    said = annotation(taught)
    assert said[2, 20, 40] == 1
    assert said[2, 35, 40] == 2
    assert not said[2, 60].any()
    assert len(taught._viewer.layers["em reviewed boxes"].data) == 0
    key(qtbot, taught, Qt.Key_Z, Qt.ControlModifier)
    assert set(np.unique(annotation(taught))) == {0, 1}


def test_a_stroke_that_waits_when_the_annotation_is_closed_is_recorded(qtbot, taught) -> None:
    begin(qtbot, taught)
    going = threading.Event()

    def slow(annotations: object) -> str:
        going.wait(10)
        return ""

    ours = taught.annotating
    ours.ask(slow)
    layer = ours.layer.layer
    layer.paint((2, 30, 30), 1)
    qtbot.waitUntil(lambda: ours.desk.waiting, timeout=PATIENCE)
    control(taught, "on").click()
    going.set()
    qtbot.waitUntil(lambda: ours.desk.annotations is None, timeout=PATIENCE)
    begin(qtbot, taught)
    assert annotation(taught)[2, 30, 30] == 1


def test_the_next_annotation_has_the_classes_of_its_own(qtbot, taught, tmp_path: Path) -> None:
    control(taught, "classes").setText("boundary, inside, myelin")
    begin(qtbot, taught)
    control(taught, "on").click()
    rest(qtbot, taught)
    assert control(taught, "classes").text() == "boundary, inside"
    control(taught, "folder").setText(str(tmp_path / "others"))
    begin(qtbot, taught)
    assert taught.annotating.annotations.classes == ("boundary", "inside")


def test_ids_become_annotation(qtbot, taught, tiny_phantom) -> None:
    taught._viewer.add_labels(tiny_phantom.labels.astype(np.uint32), name="ids")
    begin(qtbot, taught)
    control(taught, "ids").setCurrentText("ids")
    control(taught, "add_ids").click()
    rest(qtbot, taught)
    assert set(np.unique(annotation(taught))) == {1, 2}


def test_what_was_said_is_there_when_the_panel_comes_back(qtbot, taught) -> None:
    begin(qtbot, taught)
    drag(qtbot, taught, (2, 20, 20), (2, 20, 60))
    painted = annotation(taught)
    control(taught, "on").click()
    rest(qtbot, taught)
    assert not taught._viewer.layers["em annotations"].editable
    assert taught.annotating.desk.annotations is None
    begin(qtbot, taught)
    assert np.array_equal(annotation(taught), painted)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((4, 90, 70), (4, 90, 70)),
        ((4, 90, 70), (3, 60, 80)),
        ((4, 90, 70), (2, 1300, 1100)),
        ((2, 1300, 1100), (4, 90, 70)),
        ((2, 1300, 1100), (2, 1300, 1100)),
        ((2, 1300, 1100), (2, 600, 2300)),
    ],
    ids=str,
)
def test_another_image_of_the_same_name_is_annotated_where_it_is(
    qtbot, taught, tmp_path: Path, first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    """What was left over the first one may be elsewhere, and of another size."""
    layers = taught._viewer.layers
    for number, shape in enumerate((first, second)):
        layers.remove("em")
        place = {"scale": (30, 6 + number, 6), "translate": (0, 300 * number, 0), "units": ("nm",) * 3}
        image = taught._viewer.add_image(np.full(shape, 100, np.uint8), name="em", **place)
        taught.controls.folder.setText(str(tmp_path / str(number)))
        begin(qtbot, taught)
        at = (1, shape[1] - 5, shape[2] - 5)
        layer = taught.annotating.layer.layer
        layer.brush_size = 1
        layer.paint(layer.world_to_data(image.data_to_world(at)), 1)
        rest(qtbot, taught)
        assert np.argwhere(annotation(taught)).tolist() == [list(at)]
        assert layer.extent.world.tolist() == image.extent.world.tolist()
        qtbot.waitUntil(lambda: "em annotations of before" not in layers)
        control(taught, "on").click()
        rest(qtbot, taught)


def test_classes_can_be_any(qtbot, taught) -> None:
    control(taught, "classes").setText("boundary, inside, mitochondria, myelin")
    begin(qtbot, taught)
    key(qtbot, taught, Qt.Key_4)
    drag(qtbot, taught, (2, 20, 20), (2, 20, 60))
    assert set(np.unique(annotation(taught))) == {0, 4}
    assert "myelin" in control(taught, "class_4").text()


def test_a_click_in_the_list_flies_there(qtbot, taught) -> None:
    begin(qtbot, taught)
    drag(qtbot, taught, (2, 20, 20), (2, 20, 60))
    taught._viewer.dims.set_point(0, 0.0)
    regions = control(taught, "regions")
    item = regions.item(0)
    assert not item.icon().isNull()
    QTest.mouseClick(regions.viewport(), Qt.LeftButton, Qt.NoModifier, regions.visualItemRect(item).center())
    assert taught._viewer.dims.current_step[0] == 2


def test_suggested_places_are_listed_marked_and_flown_to(qtbot, taught, tiny_model) -> None:
    start_from(taught, tiny_model)
    begin(qtbot, taught)
    control(taught, "suggest").click()
    rest(qtbot, taught)
    places = control(taught, "suggestions").places
    assert 0 < len(places) <= 10
    marks = marks_of(taught.window(), 0)
    assert len(marks.places()) == len(places)
    low, high = min(places, key=lambda one: one.at[0]), max(places, key=lambda one: one.at[0])
    positions = dict(zip((one.at[0] for one in places), marks.places(), strict=True))
    assert low.at[0] == high.at[0] or positions[low.at[0]] < positions[high.at[0]]
    key(qtbot, taught, Qt.Key_N)
    assert taught._viewer.dims.current_step[0] == places[0].at[0]


def test_nothing_to_annotate_is_said(taught, told) -> None:
    taught._viewer.layers.clear()
    control(taught, "on").click()
    assert "no image layer" in told[-1].message
    assert not control(taught, "on").isChecked()


@pytest.mark.parametrize("name", ["train", "suggest", "compare"])
def test_what_needs_annotations_says_so(taught, told, name) -> None:
    button = taught.findChild(QWidget, f"finetune.{name}")
    button.setEnabled(True)
    button.click()
    assert told
    assert "Traceback" not in told[-1].message
