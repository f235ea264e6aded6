"""What the panels copy really runs, and does what the panel does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_dtn.volume.writing import create_image
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
