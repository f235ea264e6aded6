"""From five strokes to a better model that is there after a restart: with real mouse and keys, by xdotool."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.measure import find_contours

from napari_dtn._napari.job import stop_all_jobs
from napari_dtn.metrics import BoundaryHistogram, boundary_target
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.phantom import PhantomSettings, make_phantom
from napari_dtn.predict import as_uint8, predict_slice
from napari_dtn.settings import PredictSettings
from napari_dtn.teach.library import Library
from napari_dtn.volume.opening import volume_from_array
from support.canvas import canvas_of, place_of
from support.finetune import annotation, control, rest

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.phantom import Phantom

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("xdotool") is None, reason="xdotool is not installed"),
]
UNSEEN = 6  # a slice without strokes
SECONDS = 45  # of training; the goal allows 120
EAGER = PredictSettings(backend="eager", precision="float32")
AGAIN = """
import sys, napari, numpy as np
from qtpy.QtWidgets import QApplication, QComboBox
image, z, out = np.load(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
viewer = napari.Viewer(show=False)
viewer.add_image(image, name="em", scale=(30, 6, 6), units=("nm",) * 3)
viewer.dims.set_point(0, 30.0 * z)
_, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Predict boundaries")
find = lambda name: panel.findChild(QComboBox, "predict." + name)
models = find("model")
assert models.findText("em model") >= 0, [models.itemText(row) for row in range(models.count())]
models.setCurrentIndex(models.findText("em model"))
find("backend").setCurrentText("eager")
find("precision").setCurrentText("float32")
panel.controls.preview.click()
while any(lane.busy for lane in panel._lanes):
    QApplication.processEvents()
np.save(out, np.asarray(viewer.layers["em boundaries"].data[z]))
viewer.close()
"""


@pytest.fixture
def phantom() -> Phantom:
    return make_phantom(PhantomSettings(shape=(8, 384, 384), seed=3))


@pytest.fixture
def inverted(phantom) -> np.ndarray:
    return 255 - phantom.image


@pytest.fixture
def panel(make_napari_viewer, inverted, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_DTN_LIBRARY", str(tmp_path / "library"))
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.setGeometry(0, 0, 1280, 780)
    viewer.add_image(inverted, name="em", scale=(30, 6, 6), units=("nm",) * 3)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Teach the model")
    control(panel, "folder").setText(str(tmp_path / "objects"))
    yield panel
    panel._leave()
    stop_all_jobs()
    panel.annotating.desk.close()


def xdotool(qtbot, *words: object) -> None:
    """Run xdotool, and let the window answer meanwhile."""
    running = subprocess.Popen(["xdotool", *map(str, words)])
    qtbot.waitUntil(lambda: running.poll() is not None, timeout=60_000)
    assert running.returncode == 0
    qtbot.wait(100)


def press(qtbot, panel, name: str) -> None:
    widget = control(panel, name)
    at = widget.mapToGlobal(widget.rect().center())
    xdotool(qtbot, "mousemove", at.x(), at.y(), "sleep", 0.2, "click", 1)


def stroke(qtbot, panel, z: int, line: np.ndarray) -> None:
    """Draw along the points (y, x) of a slice."""
    panel._viewer.dims.set_point(0, 30.0 * z)
    qtbot.wait(200)
    points = [canvas_of(panel).mapToGlobal(place_of(panel, (z, *at))) for at in line]
    first, *others = [(point.x(), point.y()) for point in points]
    moves = [word for x, y in others for word in ("mousemove", x, y, "sleep", 0.02)]
    xdotool(qtbot, "mousemove", *first, "sleep", 0.2, "mousedown", 1, *moves, "mouseup", 1)
    rest(qtbot, panel)


def outlines(phantom: Phantom, z: int, distance: float) -> list[np.ndarray]:
    """Return curves in the largest cells of a slice, so far from what is boundary; the longest first."""
    ids = phantom.labels[z]
    inside = distance_transform_edt(~boundary_target(ids))
    largest = np.argsort(np.bincount(ids.ravel())[1:])[::-1][:4] + 1
    curves = [curve for one in largest for curve in find_contours(np.where(ids == one, inside, 0), distance)]
    middle = [curve for curve in curves if np.all((curve > 12) & (curve < 370), axis=None)]
    return sorted(middle or curves, key=len, reverse=True)


def auc(model, volume, phantom: Phantom) -> float:
    histogram = BoundaryHistogram(np.float32)
    seen = np.asarray(predict_slice(model, volume, UNSEEN, EAGER), np.float32)
    histogram.add(seen, boundary_target(phantom.labels[UNSEEN]))
    return histogram.scores().roc_auc


def test_five_strokes_make_a_model_better_that_is_there_after_a_restart(
    qtbot, panel, phantom, inverted, tmp_path: Path
) -> None:
    viewer = panel._viewer
    viewer.reset_view()
    panel.activateWindow()
    window = int(viewer.window._qt_window.winId())
    xdotool(qtbot, "windowfocus", window)
    press(qtbot, panel, "on")
    qtbot.waitUntil(lambda: panel.annotating.layer is not None, timeout=60_000)
    rest(qtbot, panel)

    panel.annotating.layer.layer.brush_size = 3
    for z, key, distance in ((1, 1, 0.5), (1, 2, 6.0), (4, 1, 0.5), (4, 2, 6.0), (7, 1, 0.5)):
        canvas_of(panel).setFocus()
        xdotool(qtbot, "key", key)
        stroke(qtbot, panel, z, outlines(phantom, z, distance)[0][:220:3])
    said = annotation(panel)
    assert {1, 2} <= set(np.unique(said))
    assert np.count_nonzero(said) < 0.01 * said.size

    control(panel, "tabs").setCurrentIndex(1)
    control(panel, "minutes").setValue(SECONDS / 60)
    press(qtbot, panel, "train")
    qtbot.waitUntil(lambda: panel.teaching.running, timeout=10_000)
    qtbot.waitUntil(lambda: not panel.teaching.running, timeout=240_000)
    seconds, curve = control(panel, "plot").xy("validation AUC")
    assert len(curve) >= 3
    assert seconds[-1] <= 2 * SECONDS
    assert max(curve) >= curve[0] + 0.1
    press(qtbot, panel, "keep")
    rest(qtbot, panel)
    assert [version.name for version in Library().versions()] == ["em model"]

    volume = volume_from_array(inverted, (30, 6, 6), "em")
    kept = load_model("em model", "cpu")
    assert auc(kept, volume, phantom) >= auc(load_model("dtn-snemi3d", "cpu"), volume, phantom) + 0.1

    np.save(tmp_path / "image.npy", inverted)
    files = [str(tmp_path / name) for name in ("image.npy", "out.npy")]
    subprocess.run([sys.executable, "-c", AGAIN, files[0], str(UNSEEN), files[1]], check=True)
    now = as_uint8(predict_slice(kept, volume, UNSEEN, EAGER)).astype(int)
    assert np.abs(np.load(tmp_path / "out.npy").astype(int) - now).max() <= 1


def test_the_outlines_follow_the_truth(phantom) -> None:
    on_boundary, inside = (
        np.concatenate([curve.round().astype(int) for curve in outlines(phantom, 1, distance)[:1]])
        for distance in (0.5, 6.0)
    )
    target = boundary_target(phantom.labels[1])
    assert target[tuple(on_boundary.T)].mean() > 0.3
    assert not target[tuple(inside.T)].any()
