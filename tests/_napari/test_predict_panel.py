"""The panel, opened through the manifest and driven by its controls."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_dtn._napari import job as job_room
from napari_dtn._napari import overlays
from napari_dtn._napari.view import camera_of
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.predict import Predictor, as_uint8, predict_slice
from napari_dtn.predict.journal import Journal
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.writing import read_attributes
from support.panel import PATIENCE, choose, finish, press

EM = np.random.default_rng(0).integers(30, 220, (4, 90, 70), dtype=np.uint8)
NM = ("nm",) * 3

CONTROLS = (
    *("image", "voxel_z", "voxel_y", "voxel_x", "voxel_apply", "model", "model_file", "device", "output"),
    *("output_file", "advanced", "backend", "precision", "overlap", "batch_size", "threads"),
    *("block_slices", "block_side", "region", "slices", "estimate"),
    *("preview", "warp", "run", "pause", "cancel", "progress", "bad_slices"),
)


def expected(model: Path, z: int) -> np.ndarray:
    settings = PredictSettings(threads=1)
    return as_uint8(predict_slice(load_model(model), volume_from_array(EM), z, settings))


def almost(left: np.ndarray, right: np.ndarray) -> bool:
    return bool(np.abs(left.astype(int) - right.astype(int)).max() <= 1)


# ---- opening

OPEN = """
import sys, napari
viewer = napari.Viewer(show=False)
heavy = {"torch", "zarr", "dask.array", "h5py", "tifffile"} - set(sys.modules)
viewer.window.add_plugin_dock_widget("napari-dtn", "Predict boundaries")
print(",".join(sorted(heavy & set(sys.modules))) or "none")
viewer.close()
"""


def test_opening_the_panel_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", OPEN], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "none"


def test_every_control_has_its_name_and_says_what_it_does(panel) -> None:
    for name in CONTROLS:
        assert press(panel, name).toolTip(), name


def test_devices_and_the_models_card_are_found_beside_the_window(qtbot, panel, tiny_dtn) -> None:
    device = press(panel, "device")
    assert [device.itemText(i) for i in range(device.count())] == ["auto"]
    panel.add_model(tiny_dtn)
    finish(qtbot, panel)
    assert device.currentData() == "auto"
    assert device.currentText().startswith("auto: ")
    assert "core" in device.itemText(device.findData("cpu"))
    assert "DTN · tiles of 64 px · trained at 30 × 6 × 6 nm" in press(panel, "model_info").text()


# ---- choosing


def test_the_box_follows_the_image_layers(panel, viewer) -> None:
    box = press(panel, "image")
    first = viewer.add_image(EM, name="first")
    second = viewer.add_image(EM, name="second")
    viewer.add_labels(EM.astype(int), name="ids")
    overlays.boundary_layers(viewer, first)
    assert [box.itemText(i) for i in range(box.count())] == ["first", "second"]
    assert box.layer is first
    box.setCurrentIndex(1)
    second.name = "renamed"
    assert (box.currentText(), box.layer) == ("renamed", second)
    viewer.layers.remove(second)
    assert box.layer is first
    viewer.layers.clear()
    assert box.layer is None


def test_a_warning_of_the_estimate_is_not_repeated_by_the_prediction(qtbot, ready, viewer, told) -> None:
    viewer.layers["em"].scale = (50, 20, 20)
    ready._show_voxel_size()
    for button in ("estimate", "run"):
        press(ready, button).click()
        finish(qtbot, ready)
    assert len([one for one in told if "was trained on 30 × 6 × 6 nm" in one.message]) == 1


def test_an_unknown_voxel_size_is_asked_for(qtbot, panel, viewer, tiny_dtn) -> None:
    image = viewer.add_image(EM, name="em", translate=(1, 0, 0))
    panel.add_model(tiny_dtn)
    finish(qtbot, panel)
    boxes = [press(panel, f"voxel_{axis}") for axis in "zyx"]
    assert [box.value() for box in boxes] == [30, 6, 6]
    assert "Not stated by the file – check" in press(panel, "voxel_hint").text()
    for box, side in zip(boxes, (40, 4, 5), strict=True):
        box.setValue(side)
    viewer.dims.set_current_step(0, 2)
    press(panel, "voxel_apply").click()
    assert image.scale.tolist() == [40, 4, 5]
    assert image.translate.tolist() == [40, 0, 0]
    assert {str(unit) for unit in image.units} == {"nanometer"}
    assert viewer.dims.current_step[0] == 2
    assert not press(panel, "voxel_hint").text()


def test_a_stated_voxel_size_is_shown(panel, viewer) -> None:
    viewer.add_image(EM, scale=(0.05, 0.004, 0.004), units=("um",) * 3)
    assert [press(panel, f"voxel_{axis}").value() for axis in "zyx"] == [50, 4, 4]
    assert not press(panel, "voxel_hint").text()


# ---- preview


@pytest.mark.parametrize("z", [0, 2])
def test_a_preview_is_the_prediction_of_the_slice_in_view(qtbot, ready, viewer, tiny_dtn, z) -> None:
    viewer.dims.set_current_step(0, z)
    press(ready, "preview").click()
    assert not press(ready, "preview").isEnabled()
    assert press(ready, "cancel").isEnabled()
    finish(qtbot, ready)
    layer = viewer.layers["em boundaries"]
    assert almost(np.asarray(layer.data[z]), expected(tiny_dtn, z))
    assert layer.data[z].any()
    assert not np.asarray(layer.data)[np.arange(4) != z].any()
    np.testing.assert_array_equal(layer.scale, viewer.layers["em"].scale)
    assert press(ready, "preview").isEnabled()
    assert not press(ready, "cancel").isEnabled()


def test_a_single_slice_can_be_previewed(qtbot, panel, viewer, tiny_dtn) -> None:
    viewer.add_image(EM[1], name="one")
    choose(panel, tiny_dtn)
    press(panel, "preview").click()
    finish(qtbot, panel)
    model, volume = load_model(tiny_dtn), volume_from_array(EM[1])
    one = as_uint8(predict_slice(model, volume, 0, PredictSettings(threads=1)))
    assert almost(np.asarray(viewer.layers["one boundaries"].data[0]), one)


def test_a_model_of_several_classes_shows_each(qtbot, panel, viewer, tmp_path, save_tiny) -> None:
    viewer.add_image(EM, name="em", scale=(30, 6, 6), units=NM)
    choose(panel, save_tiny(tmp_path / "three.safetensors", n_classes=3))
    press(panel, "preview").click()
    finish(qtbot, panel)
    shown = [viewer.layers[f"em boundaries class {number}"] for number in range(3)]
    assert "em boundaries" not in viewer.layers
    assert [layer.scale.tolist() for layer in shown] == [[30, 6, 6]] * 3
    z = viewer.dims.current_step[0]
    total = sum(np.asarray(layer.data[z]).astype(int) for layer in shown)
    assert np.abs(total - 255).max() <= 2


def test_a_volume_of_several_classes_fills_a_layer_for_each_and_opens_as_those(
    qtbot, panel, viewer, tmp_path, save_tiny
) -> None:
    viewer.add_image(EM, name="em", scale=(30, 6, 6), units=NM)
    choose(panel, save_tiny(tmp_path / "three.safetensors", n_classes=3))
    press(panel, "output").setText(str(tmp_path / "em boundaries.zarr"))
    press(panel, "run").click()
    finish(qtbot, panel)
    shown = [viewer.layers[f"em boundaries class {number}"] for number in range(3)]
    for number, layer in enumerate(shown):
        stored = np.asarray(open_volume(tmp_path / "em boundaries.zarr", channel=number).data)
        np.testing.assert_array_equal(np.asarray(layer.data), stored)
        viewer.layers.remove(layer)
    opened = viewer.open(tmp_path / "em boundaries.zarr", plugin="napari-dtn")
    assert [layer.name for layer in opened] == [f"em boundaries class {number}" for number in range(3)]
    assert overlays.layers_on(viewer, viewer.layers["em"]) == opened


# ---- volume


def test_a_volume_fills_the_overlay_and_the_file(qtbot, ready, viewer, tiny_dtn, tmp_path) -> None:
    said = []
    ready._volume_lane.stepped.connect(lambda _: said.append(press(ready, "progress").format()))
    press(ready, "run").click()
    assert not press(ready, "run").isEnabled()
    finish(qtbot, ready)
    stored = np.asarray(open_volume(tmp_path / "out.zarr").data)
    for z in range(4):
        assert almost(stored[z], expected(tiny_dtn, z))
    np.testing.assert_array_equal(np.asarray(viewer.layers["em boundaries"].data), stored)
    assert said[0].startswith("slice 1 of 4 · ")
    assert said[-1].startswith("slice 4 of 4 · ")
    assert "slices/s" in said[-1]
    assert "left" in said[-1]
    assert press(ready, "status").text().startswith("4 slices in ")
    provenance = read_attributes(tmp_path / "out.zarr")
    assert provenance["model"] == "tiny-dtn"
    assert open_volume(tmp_path / "out.zarr").voxel_size == (30, 6, 6)


def test_a_slice_of_the_volume_is_not_predicted_again(qtbot, ready, viewer) -> None:
    press(ready, "run").click()
    finish(qtbot, ready)
    viewer.layers["em boundaries"].visible = False
    press(ready, "preview").click()
    assert not ready._preview_lane.busy
    assert viewer.layers["em boundaries"].visible


def test_predicting_applies_the_voxel_size_shown(qtbot, panel, viewer, tiny_dtn, tmp_path) -> None:
    image = viewer.add_image(EM, name="em")
    choose(panel, tiny_dtn)
    press(panel, "output").setText(str(tmp_path / "out"))
    for axis, side in zip("zyx", (30, 6, 6), strict=True):
        press(panel, f"voxel_{axis}").setValue(side)
    press(panel, "run").click()
    finish(qtbot, panel)
    assert open_volume(tmp_path / "out.zarr").voxel_size == (30, 6, 6)
    assert viewer.layers["em boundaries"].scale.tolist() == image.scale.tolist() == [30, 6, 6]


class Gate:
    """Holds the prediction in its third slice, of one batch, until the test opens it."""

    def __init__(self, monkeypatch) -> None:
        self.reached, self.open, self.closed = threading.Event(), threading.Event(), threading.Event()
        real, gate = Predictor.run, self

        def gated(predictor, batch):
            result = real(predictor, batch)
            if batch.places[-1][0] == 2:
                gate.reached.set()
                gate.open.wait(30)
            return result

        monkeypatch.setattr(Predictor, "run", gated)
        real_close = Journal.close

        def close(journal):
            real_close(journal)
            gate.closed.set()

        monkeypatch.setattr(Journal, "close", close)

    def run_up_to(self, qtbot, panel) -> None:
        press(panel, "run").click()
        qtbot.waitUntil(self.reached.is_set, timeout=PATIENCE)

    def cancel_at(self, qtbot, panel) -> None:
        self.run_up_to(qtbot, panel)
        press(panel, "cancel").click()
        self.open.set()
        finish(qtbot, panel)


def test_cancel_keeps_the_slices_that_are_done(qtbot, ready, viewer, tmp_path, monkeypatch, tiny_dtn) -> None:
    gate = Gate(monkeypatch)
    gate.cancel_at(qtbot, ready)
    assert gate.closed.is_set()
    stored = np.asarray(open_volume(tmp_path / "out.zarr").data)
    assert [bool(plane.any()) for plane in stored] == [True, True, True, False]
    for shown, there in zip(np.asarray(viewer.layers["em boundaries"].data), stored, strict=True):
        assert not shown.any() or (shown == there).all()
    assert press(ready, "status").text().startswith("Stopped. ")
    assert "goes on with it" in press(ready, "status").text()
    assert press(ready, "run").isEnabled()
    assert not press(ready, "cancel").isEnabled()


def test_no_long_garbage_collection_while_a_volume_is_predicted(qtbot, ready, monkeypatch, tiny_dtn) -> None:
    gate, before = Gate(monkeypatch), gc.get_freeze_count()
    gate.run_up_to(qtbot, ready)
    assert gc.get_freeze_count() > before + 10_000
    gate.open.set()
    finish(qtbot, ready)
    assert gc.get_freeze_count() <= before


def test_an_unfinished_output_is_gone_on_with(qtbot, ready, tmp_path, monkeypatch, tiny_dtn) -> None:
    Gate(monkeypatch).cancel_at(qtbot, ready)
    asked = []

    def question(*args):
        asked.append(args[2])
        return QMessageBox.StandardButton.Yes

    monkeypatch.setattr(QMessageBox, "question", question)
    press(ready, "run").click()
    finish(qtbot, ready)
    assert "out.zarr is unfinished. Go on with it?" in asked[0]
    stored = np.asarray(open_volume(tmp_path / "out.zarr").data)
    assert all(almost(stored[z], expected(tiny_dtn, z)) for z in range(4))
    assert press(ready, "status").text().startswith("4 slices in ")


def test_a_pause_holds_the_run_until_it_ends(qtbot, ready, monkeypatch) -> None:
    gate = Gate(monkeypatch)
    gate.run_up_to(qtbot, ready)
    press(ready, "pause").click()
    assert press(ready, "pause").text() == "Resume"
    gate.open.set()
    qtbot.wait(500)
    assert ready._volume_lane.busy
    assert not gate.closed.is_set()
    press(ready, "pause").click()
    finish(qtbot, ready)
    assert press(ready, "status").text().startswith("4 slices in ")
    assert not press(ready, "pause").isEnabled()


def test_a_paused_run_can_be_cancelled(qtbot, ready, monkeypatch) -> None:
    gate = Gate(monkeypatch)
    gate.run_up_to(qtbot, ready)
    press(ready, "pause").click()
    gate.open.set()
    press(ready, "cancel").click()
    finish(qtbot, ready)
    assert press(ready, "status").text().startswith("Stopped")
    assert press(ready, "pause").text() == "Pause"


def test_a_rectangle_is_predicted_at_its_place(qtbot, ready, viewer, tmp_path, tiny_dtn) -> None:
    corners = np.array([[10, 20], [10, 60], [50, 60], [50, 20]]) * 6
    viewer.add_shapes([corners], shape_type="rectangle")
    press(ready, "region").setCurrentText("Rectangle")
    press(ready, "slices").setText("1:3")
    press(ready, "run").click()
    finish(qtbot, ready)
    stored = open_volume(tmp_path / "out.zarr")
    assert stored.shape == (2, 40, 40)
    assert stored.translation == (30, 60, 120)
    shown = np.asarray(viewer.layers["em boundaries"].data)
    assert almost(shown[1, 10:50, 20:60], expected(tiny_dtn, 1)[10:50, 20:60])
    shown[1:3, 10:50, 20:60] = 0
    assert not shown.any()


def test_a_rectangle_has_to_be_drawn(qtbot, ready, told) -> None:
    press(ready, "region").setCurrentText("Rectangle")
    press(ready, "run").click()
    assert "draw one in a Shapes layer" in told[-1].message


def show_rows(viewer, start: int, stop: int, pixel: float) -> float:
    """Let the canvas show some rows of the layer "em"; return how many times as wide it is as high."""
    height, width = viewer.canvas.size if hasattr(viewer, "canvas") else viewer._canvas_size
    camera_of(viewer).center = (0, pixel * (start + stop - 1) / 2, pixel * 35)
    camera_of(viewer).zoom = height / (pixel * (stop - start))
    return width / height


def test_what_the_canvas_shows_is_predicted(qtbot, ready, viewer, tmp_path) -> None:
    aspect = show_rows(viewer, 5, 45, pixel=6)
    press(ready, "region").setCurrentText("Current view")
    press(ready, "run").click()
    finish(qtbot, ready)
    stored = open_volume(tmp_path / "out.zarr")
    assert stored.shape[:2] == (4, 40)
    assert stored.shape[2] == pytest.approx(40 * aspect, abs=1)
    assert stored.translation[:2] == (0, 5 * 6)


def test_it_is_what_was_shown_before_the_voxel_size_was_applied(
    qtbot, panel, viewer, tiny_dtn, tmp_path, em
) -> None:
    viewer.add_image(em, name="em")
    choose(panel, tiny_dtn)
    panel.controls.output.setText(str(tmp_path / "out.zarr"))
    show_rows(viewer, 5, 45, pixel=1)
    press(panel, "region").setCurrentText("Current view")
    press(panel, "run").click()
    finish(qtbot, panel)
    assert open_volume(tmp_path / "out.zarr").shape[:2] == (4, 40)


def test_a_view_across_the_slices_is_no_region(qtbot, ready, viewer, told, tmp_path) -> None:
    press(ready, "region").setCurrentText("Current view")
    viewer.dims.order = (1, 0, 2)
    press(ready, "run").click()
    finish(qtbot, ready)
    assert "slices (Y, X)" in told[-1].message
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("levels", [1, 2])
def test_an_image_that_is_out_of_view_is_no_region(ready, viewer, told, tmp_path, em, levels) -> None:
    viewer.layers.clear()
    viewer.add_image([em, em[:, ::2, ::2]][:levels], name="em", multiscale=True)
    ready.controls.output.setText(str(tmp_path / "out.zarr"))
    camera_of(viewer).center = (0, 5000, 5000)
    press(ready, "region").setCurrentText("Current view")
    press(ready, "run").click()
    assert told[-1].message.startswith("Nothing of the image lies in the chosen region")
    assert not (tmp_path / "out.zarr").exists()


def test_an_estimate_says_what_it_would_take(qtbot, ready, tmp_path) -> None:
    press(ready, "estimate").click()
    finish(qtbot, ready)
    text = press(ready, "status").text()
    assert text.startswith("4 slices, 16 tiles in 1 blocks · about ")
    assert "on disk" in text
    assert "of memory" in text
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("how", ["dock", "viewer"])
def test_closing_stops_the_run(qtbot, ready, viewer, monkeypatch, tmp_path, how) -> None:
    gate = Gate(monkeypatch)
    gate.run_up_to(qtbot, ready)
    if how == "dock":
        viewer.window.remove_dock_widget(ready)
    else:
        viewer.close()
    gate.open.set()
    job_room.stop_all_jobs()
    assert gate.closed.is_set()
    assert not np.asarray(open_volume(tmp_path / "out.zarr").data)[3:].any()


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_an_existing_output_is_asked_about(qtbot, ready, tmp_path, monkeypatch, answer) -> None:
    press(ready, "run").click()
    finish(qtbot, ready)
    marker = tmp_path / "out.zarr" / "zarr.json"
    before, asked = marker.stat().st_mtime_ns, []

    def question(*args):
        asked.append(args[-1])
        return QMessageBox.StandardButton[answer]

    monkeypatch.setattr(QMessageBox, "question", question)
    press(ready, "run").click()
    finish(qtbot, ready)
    assert "out.zarr exists" in asked[0]
    assert (marker.stat().st_mtime_ns != before) == (answer == "Yes")


# ---- the warp


def test_the_warp_follows_the_view_and_goes(qtbot, ready, viewer) -> None:
    press(ready, "warp").click()
    finish(qtbot, ready)
    names = {f"em warp tile {what}" for what in ("grid", "arrows", "fiducials")}
    assert names <= {layer.name for layer in viewer.layers}
    points = viewer.layers["em warp tile fiducials"]
    assert points.data.shape == (16, 3)
    assert np.linalg.norm(viewer.layers["em warp tile arrows"].data[:, 1], axis=1).max() > 0.01
    before = points.data.copy()
    viewer.dims.set_current_step(0, 0)
    qtbot.waitUntil(lambda: viewer.layers["em warp tile fiducials"].data[0, 0] == 0, timeout=PATIENCE)
    assert not np.allclose(points.data[:, 1:], before[:, 1:])
    press(ready, "warp").click()
    assert not names & {layer.name for layer in viewer.layers}


def test_a_renamed_image_keeps_what_lies_on_it(qtbot, ready, viewer) -> None:
    press(ready, "preview").click()
    finish(qtbot, ready)
    press(ready, "warp").click()
    finish(qtbot, ready)
    image, count = viewer.layers["em"], len(viewer.layers)
    image.name = "cell"
    viewer.dims.set_current_step(0, 0)
    press(ready, "preview").click()
    qtbot.wait(250)  # the watcher's calm
    finish(qtbot, ready)
    assert len(viewer.layers) == count
    assert all(layer.name.startswith("cell") for layer in viewer.layers)
    assert viewer.layers["cell boundaries"].data[0].any()
    press(ready, "voxel_z").setValue(60)
    ready._apply_voxel_size()
    assert {float(layer.scale[0]) for layer in viewer.layers} == {60}


def test_another_image_takes_the_warp_of_the_first_away(qtbot, ready, viewer) -> None:
    press(ready, "warp").click()
    finish(qtbot, ready)
    viewer.add_image(EM[::-1], name="other", scale=(30, 6, 6), units=("nm",) * 3)
    press(ready, "image").setCurrentText("other")
    qtbot.waitUntil(lambda: "other warp tile grid" in viewer.layers, timeout=PATIENCE)
    assert not any(layer.name.startswith("em ") for layer in viewer.layers)


def test_the_warp_is_that_of_the_tile_in_view(qtbot, ready, viewer, tiny_dtn) -> None:
    viewer.dims.set_current_step(0, 1)
    getattr(viewer, "scene", viewer).camera.center = (0, 85 * 6, 60 * 6)
    press(ready, "warp").click()
    finish(qtbot, ready)
    volume = volume_from_array(EM)
    (warp,) = Predictor.of(load_model(tiny_dtn), volume, PredictSettings(threads=1)).warps(1, 85, 60)
    shown = viewer.layers["em warp tile fiducials"].data
    np.testing.assert_allclose(shown[:, 1:], warp.to_pixels(warp.fiducials), atol=1e-2)


def test_a_model_without_a_transformer_says_so_once(qtbot, ready, viewer, tiny_unet, told) -> None:
    choose(ready, tiny_unet)
    press(ready, "warp").click()
    finish(qtbot, ready)
    assert [note.message for note in told] == [
        "The model tiny-unet has no transformer, so it has no warp to show."
    ]
    assert not press(ready, "warp").isChecked()
    assert [layer.name for layer in viewer.layers] == ["em"]


def test_a_layer_may_go_while_it_is_predicted(qtbot, ready, viewer, monkeypatch, told) -> None:
    gate = Gate(monkeypatch)
    gate.run_up_to(qtbot, ready)
    viewer.layers.clear()
    gate.open.set()
    finish(qtbot, ready)
    assert told == []
    assert list(viewer.layers) == []
    assert press(ready, "status").text().startswith("4 slices in ")
