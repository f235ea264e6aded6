"""The click panel, opened through the manifest and driven by mouse, keys and controls."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_dtn._napari import click_actions as actions
from napari_dtn._napari.click_desk import ClickDesk, Source
from napari_dtn._napari.layers import snapshot_of
from napari_dtn._napari.stack import SliceStack
from napari_dtn.annotate import open_annotations
from napari_dtn.segmenting import segment_steps
from napari_dtn.session import Searching
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import open_volume
from napari_dtn.volume.writing import write_image
from support.canvas import canvas_of
from support.clicking import (
    FIRST,
    PATIENCE,
    SECOND,
    THIRD,
    begin,
    click,
    control,
    key,
    labels,
    rest,
    work,
)
from support.rooms import by_walls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTROLS = (
    *("image", "source", "folder", "folder_choice", "mode", "threshold", "threshold_value", "overlap", "on"),
    *("commit", "drop", "undo", "redo", "stop", "progress", "status", "objects", "keys"),
    *("merge", "split", "delete", "fill", "smooth", "interpolate", "teach"),
    *("merging", "doubt", "yes", "no", "within", "slices", "confine", "copy_command", "copy_python"),
)


@pytest.fixture
def panel(click_panel):
    return click_panel


OPEN = """
import sys, napari
viewer = napari.Viewer(show=False)
heavy = {"torch", "zarr", "dask.array", "bioimage_cpp"} - set(sys.modules)
viewer.window.add_plugin_dock_widget("napari-dtn", "Segment by clicking")
print(",".join(sorted(heavy & set(sys.modules))) or "none")
viewer.close()
"""


def test_opening_the_panel_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", OPEN], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "none"


def test_every_control_has_its_name_and_says_what_it_does(panel) -> None:
    for name in CONTROLS:
        assert control(panel, name).toolTip(), name


def test_a_kept_object_becomes_training_data(qtbot, panel) -> None:
    begin(qtbot, panel)
    click(qtbot, panel, FIRST)
    key(qtbot, panel, Qt.Key_Return)
    control(panel, "objects").selectRow(0)
    control(panel, "teach").click()
    rest(qtbot, panel)
    session = panel._desk.session
    with closing(open_annotations(session.folder, session.volume)) as annotations:
        assert annotations.labels[FIRST] == 2
        assert all(annotations.pixels)


def test_click_keep_undo_redo_by_mouse_and_keys(qtbot, panel) -> None:
    begin(qtbot, panel)
    click(qtbot, panel, FIRST)
    mask = work(panel)
    assert mask[FIRST]
    assert not mask[SECOND]
    assert "Enter keeps it" in control(panel, "status").text()
    key(qtbot, panel, Qt.Key_Return)
    assert labels(panel)[FIRST] == 1
    assert not work(panel).any()
    click(qtbot, panel, THIRD)
    key(qtbot, panel, Qt.Key_Return)
    assert (labels(panel)[FIRST], labels(panel)[THIRD]) == (1, 2)
    assert len(control(panel, "objects").rows.rows) == 2
    key(qtbot, panel, Qt.Key_Z, Qt.ControlModifier)
    assert (labels(panel)[FIRST], labels(panel)[THIRD]) == (1, 0)
    key(qtbot, panel, Qt.Key_Z, Qt.ControlModifier | Qt.ShiftModifier)
    assert labels(panel)[THIRD] == 2


@pytest.mark.parametrize(
    ("button", "keys"), [(Qt.RightButton, Qt.NoModifier), (Qt.LeftButton, Qt.ControlModifier)]
)
def test_right_and_ctrl_clicks_exclude(qtbot, panel, button, keys) -> None:
    begin(qtbot, panel)
    control(panel, "threshold").setValue(40)
    rest(qtbot, panel)
    click(qtbot, panel, FIRST)
    assert work(panel)[SECOND]
    click(qtbot, panel, SECOND, button, keys)
    assert work(panel)[FIRST]
    assert not work(panel)[SECOND]
    key(qtbot, panel, Qt.Key_Escape)
    assert not work(panel).any()


def test_the_slider_regrows_the_object(qtbot, panel) -> None:
    begin(qtbot, panel)
    click(qtbot, panel, FIRST)
    assert not work(panel)[SECOND]
    for value in range(79, 39, -3):  # as fast as a hand moves it
        control(panel, "threshold").setValue(value)
    rest(qtbot, panel)
    assert work(panel)[SECOND]


def test_through_the_slices(qtbot, panel) -> None:
    begin(qtbot, panel)
    control(panel, "mode").setCurrentIndex(1)
    click(qtbot, panel, THIRD)
    assert work(panel)[:, 48, 48].all()


def test_boundaries_whose_graph_was_kept_are_not_cut_again(qtbot, panel, tmp_path, monkeypatch) -> None:
    for module in ("segmenting.running", "session.kept_evidence"):
        monkeypatch.setattr(f"napari_dtn.{module}.merge_probabilities", by_walls)
    layer = panel._viewer.layers["em boundaries"]
    stored = tmp_path / "em boundaries.zarr"
    write_image(stored, layer.data, voxel_size=(30, 6, 6), attributes={})
    for _ in segment_steps(stored, tmp_path / "all.zarr", keep_graph=True):
        pass
    panel._viewer.layers.remove(layer)
    layer.metadata["napari_dtn"]["path"] = str(stored)
    panel._viewer.add_layer(layer)
    panel._viewer.layers.selection.active = panel._viewer.layers["em"]
    control(panel, "source").setCurrentIndex(0)
    monkeypatch.delattr("napari_dtn.session.evidence.slice_fragments")
    begin(qtbot, panel)
    assert "found whole at once" in control(panel, "status").text()
    control(panel, "mode").setCurrentIndex(1)
    click(qtbot, panel, THIRD)
    assert work(panel)[:, 48, 48].all()


def test_a_kept_object_is_taken_up_again_and_merged(qtbot, panel) -> None:
    begin(qtbot, panel)
    for voxel in (FIRST, SECOND):
        click(qtbot, panel, voxel)
        key(qtbot, panel, Qt.Key_Return)
    click(qtbot, panel, FIRST)
    assert "Object 1 is taken up again" in control(panel, "status").text()
    key(qtbot, panel, Qt.Key_Escape)
    control(panel, "objects").selectAll()
    control(panel, "merge").click()
    rest(qtbot, panel)
    assert labels(panel)[SECOND] == 1
    click(qtbot, panel, FIRST)
    click(qtbot, panel, FIRST)
    click(qtbot, panel, SECOND, Qt.RightButton)
    control(panel, "split").click()
    rest(qtbot, panel)
    assert labels(panel)[FIRST] == 1
    assert labels(panel)[SECOND] == 3


def test_a_split_that_fails_keeps_the_clicks(qtbot, panel, told) -> None:
    begin(qtbot, panel)
    click(qtbot, panel, FIRST)
    key(qtbot, panel, Qt.Key_Return)
    click(qtbot, panel, FIRST)
    click(qtbot, panel, FIRST)
    click(qtbot, panel, THIRD, Qt.RightButton)  # in no object
    said = panel._desk.session.active.prompts
    control(panel, "split").click()
    rest(qtbot, panel)
    assert told, "it is said"
    assert panel._desk.session.active.prompts == said
    assert (labels(panel) == 1).any()


def test_a_search_ends_with_its_panel(qtbot, panel, monkeypatch) -> None:
    begin(qtbot, panel)
    begun, going = threading.Event(), threading.Event()

    def slowly(*_: object) -> None:
        begun.set()
        going.wait(10)

    monkeypatch.setattr("napari_dtn.session.growing.grow", slowly)
    place = partial(click, qtbot, panel, FIRST)
    monkeypatch.setattr("support.clicking.rest", lambda *_: None)
    place()
    qtbot.waitUntil(begun.is_set, timeout=PATIENCE)
    panel._viewer.window.remove_dock_widget(panel)
    qtbot.waitUntil(lambda: not panel._lane.busy and panel._desk.session is None, timeout=PATIENCE)
    going.set()


def test_what_was_left_is_offered_again(qtbot, panel, monkeypatch, tmp_path: Path) -> None:
    begin(qtbot, panel)
    click(qtbot, panel, FIRST)
    key(qtbot, panel, Qt.Key_Return)
    click(qtbot, panel, THIRD)
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel._desk.session is None, timeout=PATIENCE)
    asked = []

    def answer(parent: QWidget, title: str, text: str) -> QMessageBox.StandardButton:
        asked.append(text)
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "question", answer)
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel._layers is not None, timeout=PATIENCE)
    rest(qtbot, panel)
    assert str(tmp_path / "objects") in asked[0]
    assert labels(panel)[FIRST] == 1
    assert work(panel)[THIRD]
    assert "An object that was not kept is back" in control(panel, "status").text()


def test_an_error_is_said_and_the_next_click_works(qtbot, panel, told) -> None:
    begin(qtbot, panel)
    click(qtbot, panel, FIRST, Qt.RightButton)
    assert "click inside an object first" in told[-1].message
    click(qtbot, panel, FIRST)
    assert work(panel)[FIRST]


def test_a_stroke_of_the_brush_is_recorded_and_undone(qtbot, panel) -> None:
    begin(qtbot, panel)
    layer = panel._viewer.layers["em objects"]
    layer.brush_size = 6
    layer.paint(FIRST, 9)
    rest(qtbot, panel)
    stored = panel._desk.session.labels
    assert stored[FIRST] == 9
    assert (stored[:] == labels(panel)).all()
    panel._viewer.layers.selection.active = layer
    key(qtbot, panel, Qt.Key_Z, Qt.ControlModifier)
    assert not stored[:].any()
    assert not labels(panel).any()
    click(qtbot, panel, FIRST)
    key(qtbot, panel, Qt.Key_Return)
    assert labels(panel)[FIRST] == 10


def test_what_is_kept_before_the_next_click_is_kept_whole(qtbot, panel) -> None:
    """Enter and the next click do not wait until the first object is found, and it is kept as it is found."""
    begin(qtbot, panel)
    panel._ask(actions.clicked(FIRST, True), True)
    panel._ask(actions.committed)
    panel._ask(actions.clicked(THIRD, True), True)
    rest(qtbot, panel)
    assert labels(panel)[FIRST] == 1
    assert (labels(panel) == 1).sum() > 500
    assert work(panel)[THIRD]
    assert not work(panel)[FIRST]


def test_strokes_that_wait_are_recorded_when_clicking_stops(qtbot, panel, tmp_path: Path) -> None:
    begin(qtbot, panel)
    looking = threading.Event()

    def growing(session: object) -> Iterator[Searching]:
        looking.set()
        for done in range(1000):
            time.sleep(0.01)
            yield Searching(done, 1000)

    panel._ask(growing, True)
    layer = panel._viewer.layers["em objects"]
    layer.brush_size = 6
    qtbot.waitUntil(looking.is_set, timeout=PATIENCE)
    layer.paint(FIRST, 9)
    qtbot.waitUntil(lambda: panel._desk.waiting, timeout=PATIENCE)
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel._desk.session is None, timeout=PATIENCE)
    assert np.asarray(open_volume(tmp_path / "objects" / "objects.zarr").data)[FIRST] == 9
    assert not layer.editable, "nobody would record what is painted now"


def test_keys_are_given_back_to_who_had_them(qtbot, panel) -> None:
    """The panel that teaches binds N too."""
    viewer = panel._viewer

    def theirs(_: object) -> None: ...

    viewer.bind_key("N", theirs)
    begin(qtbot, panel)
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel._desk.session is None, timeout=PATIENCE)
    assert viewer.bind_key("N", None, overwrite=True) is theirs


def test_a_prediction_that_has_ended_is_offered(panel) -> None:
    viewer, box = panel._viewer, control(panel, "source")
    data = viewer.layers["em"].data
    stack = SliceStack(data.shape, data)
    shown = {"scale": (30, 6, 6), "units": ("nm",) * 3, "metadata": {"napari_dtn": {"role": "boundaries"}}}
    viewer.add_image(stack, name="em boundaries late", contrast_limits=(0, 255), **shown)
    assert box.findText("the layer “em boundaries late”") < 0
    for z in range(len(data)):
        stack.add_complete(z)
    box.showPopup()
    box.hidePopup()
    assert box.findText("the layer “em boundaries late”") >= 0


def test_dragging_is_no_click(qtbot, panel) -> None:
    begin(qtbot, panel)
    canvas = canvas_of(panel)
    middle = canvas.rect().center()
    QTest.mousePress(canvas, Qt.LeftButton, Qt.NoModifier, middle)
    for step in range(1, 6):
        QTest.mouseMove(canvas, middle + QPoint(8 * step, 0))
        qtbot.wait(10)
    QTest.mouseRelease(canvas, Qt.LeftButton, Qt.NoModifier, middle + QPoint(40, 0))
    rest(qtbot, panel)
    assert panel._desk.session.active.prompts == ()


def test_of_several_classes_only_the_boundary_can_be_clicked_on(panel) -> None:
    layers = panel._viewer.layers
    for name in ("Membrane", "myelin"):
        facts = {"role": "boundaries", "class": name}
        panel._viewer.add_image(
            layers["em boundaries"].data, name=f"em boundaries {name}", metadata={"napari_dtn": facts}
        )
    source = control(panel, "source")
    offered = [source.itemText(row) for row in range(source.count())]
    assert any("em boundaries Membrane" in text for text in offered)
    assert not any("myelin" in text for text in offered)


def test_edits_that_wait_go_into_the_folder_that_they_were_made_in(panel, tmp_path: Path) -> None:
    """Also where clicking is started in another folder before they were."""
    desk, image = ClickDesk(), snapshot_of(panel._viewer.layers["em"])
    source = Source("the walls", array=panel._viewer.layers["em boundaries"].data)
    for name in ("one", "other"):
        for _ in desk.open(image, source, tmp_path / name, PredictSettings()):
            pass
        desk.session.click(FIRST)
        desk.session.commit()
    for _ in desk.open(image, source, tmp_path / "one", PredictSettings()):
        pass
    desk.ask(actions.Edited(partial(actions.delete, chosen=[1])))
    for _ in desk.open(image, source, tmp_path / "other", PredictSettings()):
        pass
    assert desk.session.labels[FIRST] == 1
    desk.close()
    assert not np.asarray(open_volume(tmp_path / "one" / "objects.zarr").data)[FIRST]
