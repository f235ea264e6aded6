"""What the panels copy really runs, and does what the panel does."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Layer
from napari.layers.utils.stack_utils import stack_to_images
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_dtn._napari.copying import input_of
from napari_dtn._napari.reader import read
from napari_dtn.metrics import boundary_target
from napari_dtn.nn.checkpoint import load_card
from napari_dtn.teach.library import Library
from napari_dtn.volume.writing import create_image
from support import finetune
from support.clicking import FIRST, PATIENCE, begin, click, control, key, labels


def copied(panel: QWidget, name: str) -> str:
    QApplication.clipboard().setText("")
    panel.findChild(QWidget, name).click()
    return QApplication.clipboard().text()


def run_python(text: str) -> str:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_command(text: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        text, shell=True, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr


def of_file(layer, path: Path) -> None:
    layer.metadata = {"napari_dtn": {**layer.metadata.get("napari_dtn", {}), "path": str(path)}}


def test_a_prediction_is_the_same_by_panel_command_and_python(qtbot, ready, viewer, em, tmp_path) -> None:
    tifffile.imwrite(tmp_path / "em volume.tif", em, photometric="minisblack")
    of_file(viewer.layers["em"], tmp_path / "em volume.tif")
    panel, output = ready, tmp_path / "out.zarr"
    panel.findChild(QWidget, "predict.slices").setText("1:3")
    command, python = (copied(panel, f"predict.copy_{kind}") for kind in ("command", "python"))
    results = []
    for run in (lambda: run_command(command), lambda: run_python(python), panel.controls.run.click):
        run()
        qtbot.waitUntil(lambda: not panel._volume_lane.busy, timeout=PATIENCE)
        results.append(zarr.open_array(str(output / "0"), mode="r")[:])
        shutil.rmtree(output)
    assert results[0].shape == (2, *em.shape[1:])
    assert results[0].any()
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()


def test_one_channel_of_a_file_is_named(qtbot, ready, viewer, em, tmp_path) -> None:
    both = np.stack([255 - em, em], axis=1)
    tifffile.imwrite(tmp_path / "both.tif", both, imagej=True, metadata={"axes": "ZCYX"})
    layers = [Layer.create(*data) for data in read(str(tmp_path / "both.tif"))]
    viewer.add_layer(layers[1])
    viewer.layers.selection.active = layers[1]
    ready.findChild(QWidget, "predict.image").setCurrentText(layers[1].name)
    ready.findChild(QWidget, "predict.slices").setText("1:2")
    command, python = (copied(ready, f"predict.copy_{kind}") for kind in ("command", "python"))
    assert "--channel 1" in command
    words, results = shlex.split(command), []
    output = Path(words[words.index("--output") + 1])
    for run, text in ((run_command, command), (run_python, python)):
        run(text)
        results.append(zarr.open_array(str(output / "0"), mode="r")[:])
        shutil.rmtree(output)
    assert results[0].any()
    assert (results[0] == results[1]).all()


def test_one_time_point_of_a_file_is_not_copied_as_the_whole(em, tmp_path) -> None:
    """Split off by napari, it no longer says which it is."""
    both = np.stack([em, 255 - em])
    tifffile.imwrite(tmp_path / "two.tif", both, imagej=True, metadata={"axes": "TZYX"})
    (layer,) = [Layer.create(*data) for data in read(str(tmp_path / "two.tif"))]
    first, _ = stack_to_images(layer, axis=0)
    with pytest.raises(ValueError, match=r"one of several time points of .*two\.tif.*add --time"):
        input_of(first)


def test_what_has_no_file_cannot_be_copied(ready, told) -> None:
    assert copied(ready, "predict.copy_command") == ""
    assert "was not opened from a file" in told[-1].message


@pytest.fixture
def clicking(click_panel, tmp_path):
    viewer = click_panel._viewer
    image, boundaries = (viewer.layers[name] for name in ("em", "em boundaries"))
    tifffile.imwrite(tmp_path / "em.tif", np.asarray(image.data), photometric="minisblack")
    stored = create_image(
        tmp_path / "b.zarr", boundaries.data.shape, np.uint8, voxel_size=(30, 6, 6), attributes={}
    )
    stored[:] = boundaries.data
    of_file(image, tmp_path / "em.tif")
    of_file(boundaries, tmp_path / "b.zarr")
    click_panel._show_sources()
    return click_panel


def test_the_objects_are_opened_again_and_the_volume_is_segmented(qtbot, clicking, tmp_path) -> None:
    panel = clicking
    begin(qtbot, panel)
    click(qtbot, panel, FIRST)
    key(qtbot, panel, Qt.Key_C)
    voxels = int((labels(panel) == 1).sum())
    command, python = (copied(panel, f"click.copy_{kind}") for kind in ("command", "python"))
    control(panel, "on").click()
    qtbot.waitUntil(lambda: panel._desk.session is None, timeout=PATIENCE)
    assert run_python(python).splitlines() == [f"1  {voxels}", "in work: 0 voxels"]
    run_command(command)
    assert zarr.open_array(str(tmp_path / "objects of all.zarr" / "0"), mode="r")[:].any()


def test_the_warps_in_view_are_reported_and_computed(qtbot, viewer, em, tiny_dtn, tmp_path) -> None:
    tifffile.imwrite(tmp_path / "em.tif", em, photometric="minisblack")
    of_file(viewer.add_image(em, name="em", scale=(30, 6, 6), units=("nm",) * 3), tmp_path / "em.tif")
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Warp")
    panel.controls.add_model(str(tiny_dtn), unet=False, choose=True)
    viewer.dims.set_point(0, 30.0)
    panel.controls.boxes["lattice"].setChecked(True)
    qtbot.waitUntil(lambda: "em warp arrows" in viewer.layers, timeout=PATIENCE)
    moves = viewer.layers["em warp arrows"].data[:, 1, 1:]
    command, python = (copied(panel, f"warp.copy_{kind}") for kind in ("command", "python"))
    words = run_python(python).split()
    assert words[:3] == ["level", "4:", str(len(moves))]
    assert float(words[7]) == pytest.approx(np.hypot(*moves.T).mean(), abs=2e-3)
    assert float(words[7]) > 0.1
    run_command(command)
    rows = (tmp_path / "em warp" / "slices.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows] == [["z", "level"], ["1", "4"]]


def test_annotations_teach_likewise(qtbot, taught, tiny_phantom, tiny_model, tmp_path) -> None:
    tifffile.imwrite(tmp_path / "em.tif", tiny_phantom.image, photometric="minisblack")
    of_file(taught._viewer.layers["em"], tmp_path / "em.tif")
    said = np.zeros(tiny_phantom.labels.shape, np.uint8)
    for z in (0, 3):
        said[z] = np.where(boundary_target(tiny_phantom.labels[z]), 1, 2)
    finetune.start_from(taught, tiny_model)
    finetune.begin(qtbot, taught)
    finetune.say_all(qtbot, taught, said)
    for name, value in (("iterations", 2), ("batch_size", 1)):
        finetune.control(taught, name).setValue(value)
    finetune.control(taught, "adapt").setChecked(False)
    finetune.control(taught, "device").setCurrentText("cpu")
    finetune.control(taught, "name").setText("by a command")
    command = copied(taught, "finetune.copy_command")
    finetune.control(taught, "name").setText("by a program")
    python = copied(taught, "finetune.copy_python")
    assert "--teach.iterations 2 --teach.batch-size 1 --teach.no-adapt --teach.device cpu" in command
    run_command(command)
    assert "kept as by a program@" in run_python(python)
    cards = [load_card(version.path) for version in Library().versions()]
    assert {card.name for card in cards} == {"by a command", "by a program"}
    one, other = (without_times(card.training) for card in cards)
    assert one == other
    assert one["data"]["held_out"]


def without_times(training: dict) -> dict:
    """Return what two trainings that are alike share."""
    curve = [
        {name: value for name, value in point.items() if name != "seconds"} for point in training["curve"]
    ]
    return {**training, "date": "", "seconds": 0, "curve": curve}
