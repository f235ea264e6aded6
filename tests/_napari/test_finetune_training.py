"""Training, keeping and comparing in the panel that teaches."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog, QInputDialog, QLabel, QMessageBox

from napari_dtn.metrics import boundary_target
from napari_dtn.nn.checkpoint import load_card, load_model
from napari_dtn.teach.events import Ended, Scored
from napari_dtn.teach.library import Library
from napari_dtn.teach.past import numbers_of
from support.finetune import PATIENCE, annotation, begin, control, rest, say_all, start_from


@pytest.fixture
def lesson(qtbot, taught, tiny_phantom, tiny_model):
    """Bands of true annotation on two slices, and a small model to start from."""
    truth = np.where(boundary_target(tiny_phantom.labels), 1, 2).astype(np.uint8)
    said = np.zeros_like(truth)
    for z, y in ((1, slice(0, 30)), (3, slice(40, 80))):
        said[z, y] = truth[z, y]
    start_from(taught, tiny_model)
    control(taught, "name").setText("mine")
    begin(qtbot, taught)
    say_all(qtbot, taught, said)
    control(taught, "iterations").setValue(50)
    return taught


def scored(qtbot, panel, points: int) -> None:
    plot = control(panel, "plot")
    qtbot.waitUntil(lambda: len(plot.points) >= points, timeout=PATIENCE)


def train(qtbot, panel) -> None:
    control(panel, "train").click()
    rest(qtbot, panel)


def test_a_training_is_drawn_told_and_kept(qtbot, lesson) -> None:
    _, other = lesson._viewer.window.add_plugin_dock_widget("napari-dtn", "Predict boundaries")
    train(qtbot, lesson)
    seconds, losses = control(lesson, "plot").xy("validation loss")
    assert len(losses) >= 3
    assert seconds == sorted(seconds)
    assert losses[-1] != losses[0]
    assert len(control(lesson, "plot").xy("best")[0]) == 1
    assert "best" in control(lesson, "scores").text()
    assert "Phantom" in control(lesson, "scores").text()
    assert "learning rate" in control(lesson, "plan").text()
    assert control(lesson, "learning_rate_came_to").text() == "→ 0.001"
    assert not control(lesson, "learning_rate_came_to").isHidden()
    assert control(lesson, "iterations_came_to").isHidden(), "it was said"
    assert not Library().versions()
    control(lesson, "keep").click()
    rest(qtbot, lesson)
    (version,) = Library().versions()
    assert version.name == "mine"
    assert 0 <= version.scores["phantom"]["after"] <= 1
    assert version.scores["held_out"]["before"]["n_pixels"] > 0
    assert control(lesson, "versions").rowCount() == 1
    assert other.controls.model.findData("mine") >= 0
    assert control(lesson, "model").findData("mine") >= 0
    assert not control(lesson, "keep").isEnabled()


def test_the_slice_in_view_before_and_after(qtbot, lesson) -> None:
    lesson._viewer.dims.set_point(0, 30.0)
    train(qtbot, lesson)
    layer = lesson._viewer.layers["em taught"]
    after = np.array(layer.data)
    assert layer.data_to_world((0, 0, 0))[0] == 30.0
    control(lesson, "before").click()
    assert not np.array_equal(layer.data, after)
    control(lesson, "before").click()
    assert np.array_equal(layer.data, after)


def test_a_taught_layer_that_was_hidden_stays_so(qtbot, lesson) -> None:
    train(qtbot, lesson)
    layer = lesson._viewer.layers["em taught"]
    layer.visible = False
    control(lesson, "before").click()
    assert not layer.visible


def test_a_folder_with_files_of_the_user_is_left_alone(qtbot, lesson, told) -> None:
    folder = lesson.annotating.folder / "training"
    folder.mkdir()
    (folder / "raw.tif").write_text("precious")
    train(qtbot, lesson)
    assert "holds other files" in told[-1].message
    assert (folder / "raw.tif").read_text() == "precious"


def test_pause_stop_and_keep(qtbot, lesson) -> None:
    control(lesson, "iterations").setValue(5000)
    control(lesson, "train").click()
    scored(qtbot, lesson, 3)
    control(lesson, "pause").click()
    qtbot.wait(600)
    there = control(lesson, "progress").value()
    qtbot.wait(600)
    assert control(lesson, "progress").value() == there
    control(lesson, "keep").click()
    rest(qtbot, lesson)
    assert [version.name for version in Library().versions()] == ["mine"]
    assert load_model("mine", "cpu").card.training["iterations"] <= there + 1


def test_cancel_leaves_nothing(qtbot, lesson) -> None:
    control(lesson, "iterations").setValue(5000)
    control(lesson, "train").click()
    scored(qtbot, lesson, 2)
    assert gc.get_freeze_count(), "a full collection would stop the window"
    control(lesson, "cancel").click()
    rest(qtbot, lesson)
    assert not gc.get_freeze_count()
    assert not Library().versions()
    assert not (lesson.annotating.folder / "training").exists()
    assert control(lesson, "train").isEnabled()
    assert not control(lesson, "keep").isEnabled()


def test_what_was_interrupted_is_gone_on_with(qtbot, lesson) -> None:
    control(lesson, "iterations").setValue(5000)
    control(lesson, "train").click()
    scored(qtbot, lesson, 4)
    lesson._leave()
    rest(qtbot, lesson)
    begin(qtbot, lesson)
    say_all(qtbot, lesson, np.ones(lesson.annotating.annotations.labels.shape, np.uint8))  # painted since
    assert control(lesson, "resume").isVisibleTo(lesson.controls.train)
    control(lesson, "resume").click()
    scored(qtbot, lesson, 1)
    qtbot.waitUntil(lambda: control(lesson, "progress").value() > 25, timeout=PATIENCE)
    control(lesson, "keep").click()
    rest(qtbot, lesson)
    assert load_model("mine", "cpu").card.training["iterations"] > 25


def test_an_interrupted_one_is_not_forgotten_without_a_question(qtbot, lesson, monkeypatch) -> None:
    train(qtbot, lesson)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.No)
    control(lesson, "train").click()
    assert not lesson.teaching.running
    control(lesson, "keep").click()
    rest(qtbot, lesson)
    assert len(Library().versions()) == 1


def test_too_little_is_said_before_anything_is_trained(qtbot, taught, tiny_model, told) -> None:
    start_from(taught, tiny_model)
    begin(qtbot, taught)
    said = np.zeros(taught.annotating.annotations.labels.shape, np.uint8)
    said[1, 10:40, 10:40] = 1
    say_all(qtbot, taught, said)
    train(qtbot, taught)
    assert "Nothing is annotated as inside." in told[-1].message


def test_an_image_of_other_voxels_opens_resampled(qtbot, lesson) -> None:
    image = lesson._viewer.layers["em"]
    assert control(lesson, "resample").isHidden()
    image.scale = (30, 3, 3)
    control(lesson, "iterations").setValue(2)
    train(qtbot, lesson)
    assert "the model was trained on 30 × 6 × 6 nm" in control(lesson, "remarks").text()
    assert not control(lesson, "resample").isHidden()
    control(lesson, "resample").click()
    opened = lesson._viewer.layers["em at 30 × 6 × 6 nm"]
    assert opened.scale.tolist() == [30, 6, 6]
    assert opened.data.shape == tuple(np.array(image.data.shape) // (1, 2, 2))
    np.testing.assert_allclose(opened.extent.world[:, 1:], image.extent.world[:, 1:], atol=1.51)
    assert control(lesson, "image").findText(opened.name) >= 0


def test_several_classes_have_a_layer_each(qtbot, lesson) -> None:
    control(lesson, "on").click()
    rest(qtbot, lesson)
    control(lesson, "classes").setText("boundary, inside, blob")
    begin(qtbot, lesson)
    said = np.asarray(lesson.annotating.annotations.labels[:])
    said[1, 5:20, 5:20] = said[3, 45:60, 5:20] = 3
    say_all(qtbot, lesson, said)
    train(qtbot, lesson)
    names = {layer.name for layer in lesson._viewer.layers}
    assert {"em taught boundary", "em taught inside", "em taught blob"} <= names
    assert "mean IoU" in control(lesson, "scores").text()


def test_the_library_compares_reverts_renames_deletes_restores_shares(
    qtbot, lesson, tiny_model, tmp_path, monkeypatch
) -> None:
    first, second = (Library().add(tiny_model, "mine") for _ in range(2))
    lesson.shelf.refresh()
    table = control(lesson, "versions")

    def press(row: int, name: str) -> None:
        table.selectRow(row)
        control(lesson, name).click()
        rest(qtbot, lesson)

    table.selectAll()
    control(lesson, "compare").click()
    rest(qtbot, lesson)
    assert first.date in control(lesson, "compared").text()
    assert "roc_auc" in control(lesson, "compared").text()
    window = lesson.shelf.pictures
    assert window.isVisible()
    assert not window.isModal()
    assert set(window.places[0].pictures) == {"image", "annotated", first.id, second.id}
    drawn = [label for label in window.findChildren(QLabel) if not label.pixmap().isNull()]
    assert len(drawn) == 4 * len(window.places)
    dates = [version.date for version in lesson.controls.library.versions]
    press(dates.index(first.date), "revert")
    assert [one.date for one in Library().versions() if one.current] == [first.date]
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("ours", True))
    press(0, "rename")
    assert {version.name for version in Library().versions()} == {"ours"}
    assert control(lesson, "model").findData("ours") >= 0
    assert control(lesson, "model").findData("mine") < 0
    press(0, "delete")
    assert len(Library().versions()) == 1
    monkeypatch.setattr(QInputDialog, "getItem", lambda *arguments: (arguments[3][0], True))
    press(0, "restore")
    assert len(Library().versions()) == 2
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "m.safetensors"), ""))
    press(0, "share")
    assert load_model(tmp_path / "m.safetensors", "cpu").card.name in ("mine", "ours")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "m.safetensors"), ""))
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("theirs", True))
    press(0, "add")
    assert "theirs" in {version.name for version in Library().versions()}
    assert control(lesson, "model").findData("theirs") >= 0
    assert second.date in dates


def test_what_is_held_out_stays_so_when_a_model_goes_on(qtbot, lesson, tiny_phantom, tiny_model) -> None:
    control(lesson, "iterations").setValue(2)
    train(qtbot, lesson)
    control(lesson, "keep").click()
    rest(qtbot, lesson)
    first = load_card(Library().versions()[0].path).training["taught"][0]
    said = np.zeros(tiny_phantom.labels.shape, np.uint8)
    said[0, 10:30] = np.where(boundary_target(tiny_phantom.labels[0, 10:30]), 1, 2)
    say_all(qtbot, lesson, np.where(said == 0, annotation(lesson), said))
    anew = lesson.teaching.lesson("another")
    assert [numbers_of(box) for box in anew().held_out] != boxes_of(first), "else it would be another"
    start_from(lesson, Library().versions()[0].path)
    assert [numbers_of(box) for box in lesson.teaching.lesson("more")().held_out] == boxes_of(first)
    compared = lesson.teaching.lesson(compared=[Library().versions()[0].path, tiny_model])()
    assert [numbers_of(box) for box in compared.held_out] == boxes_of(first)
    assert compared.taught
    assert not compared.taught.knows(compared.held_out)


def boxes_of(taught: dict) -> list:
    return [tuple(map(tuple, box)) for box in taught["held_out"]]


@pytest.mark.parametrize(
    ("later", "advice"), [(0.95, "keep it, or discard it"), (0.8, "annotate more places")]
)
def test_what_to_do_with_it_follows_from_what_is_held_out(taught, later: float, advice: str) -> None:
    said = []
    taught.teaching.said.connect(said.append)
    events = [
        Scored(step, step, 0.5, 0.5, auc, step == 0 or auc > 0.9) for step, auc in ((0, 0.9), (20, later))
    ]
    for event in [*events, Ended(events[0], "finished")]:
        taught.teaching.lane.stepped.emit(event)
    assert said[-1].startswith("All steps are made: ")
    assert advice in said[-1]


def test_a_training_ends_with_its_panel(qtbot, lesson, told) -> None:
    control(lesson, "iterations").setValue(5000)
    control(lesson, "train").click()
    scored(qtbot, lesson, 1)
    lesson._viewer.window.remove_dock_widget(lesson)
    qtbot.waitUntil(lambda: not any(lane.busy for lane in lesson._lanes), timeout=PATIENCE)
    assert not told
    assert lesson.annotating.desk.annotations is None
