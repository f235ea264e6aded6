"""Objects of a large volume: a layer of several scales that brush, eraser, fill and picker work on."""

from __future__ import annotations

import resource
from itertools import pairwise

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_dtn._napari.click_actions import committed
from napari_dtn._napari.job import stop_all_jobs
from napari_dtn._napari.pyramid_labels import PyramidLabels
from napari_dtn.volume.opening import open_volume
from napari_dtn.volume.pyramid import mode
from support.canvas import canvas_of, place_of
from support.rooms import by_walls

SHAPE = (3, 1100, 1400)
PATIENCE = 60_000
NM = {"scale": (30, 6, 6), "units": ("nm",) * 3}
AT = (1, 500, 700)


@pytest.fixture
def open_panel(make_napari_viewer, monkeypatch, tmp_path, qtbot):
    """Return what opens the panel over boundaries of one scale or of several, and starts clicking."""
    monkeypatch.setattr("napari_dtn.session.evidence.merge_probabilities", by_walls)
    opened = []

    def start(levels: list):
        viewer = make_napari_viewer(show=True)
        viewer.window._qt_window.resize(1200, 800)
        data = levels if len(levels) > 1 else levels[0]
        image = viewer.add_image(data, name="em", contrast_limits=(0, 255), **NM)
        boundaries = {"metadata": {"napari_dtn": {"role": "boundaries"}}, "visible": False, **NM}
        viewer.add_image(data, name="em boundaries", contrast_limits=(0, 255), **boundaries)
        viewer.layers.selection.active = image
        viewer.dims.set_point(0, 30.0)
        viewer.reset_view()
        _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Segment by clicking")
        opened.append(panel)
        panel.controls.folder.setText(str(tmp_path / "objects"))
        panel.controls.on.click()
        qtbot.waitUntil(lambda: panel._layers is not None, timeout=PATIENCE)
        rest(qtbot, panel)
        return panel

    yield start
    for panel in opened:
        panel._leave()
    stop_all_jobs()
    for panel in opened:
        panel._desk.close()


@pytest.fixture
def panel(open_panel):
    return open_panel([np.zeros(SHAPE, np.uint8)])


def rest(qtbot, panel) -> None:
    qtbot.wait(20)
    qtbot.waitUntil(lambda: not panel._lane.busy and not panel._desk.waiting, timeout=PATIENCE)


def drag(qtbot, panel, voxels: list[tuple[int, int, int]]) -> None:
    """Press on the first voxel, move over the others, release."""
    canvas, points = canvas_of(panel), [place_of(panel, voxel) for voxel in voxels]
    QTest.mouseMove(canvas, points[0])
    QTest.mousePress(canvas, Qt.LeftButton, Qt.NoModifier, points[0])
    for point in points[1:]:
        QTest.mouseMove(canvas, point)
        qtbot.wait(15)
    QTest.mouseRelease(canvas, Qt.LeftButton, Qt.NoModifier, points[-1])
    rest(qtbot, panel)


def undo(qtbot, panel) -> None:
    QTest.keyClick(canvas_of(panel), Qt.Key_Z, Qt.ControlModifier)
    rest(qtbot, panel)


def objects(panel) -> PyramidLabels:
    layer = panel._viewer.layers["em objects"]
    panel._viewer.layers.selection.active = layer
    return layer


def stored(panel) -> np.ndarray:
    """Labels on disk, after checking that all levels and what the layer shows agree with them."""
    levels = [level[:] for level in panel._desk.session.levels]
    for finer, coarse in pairwise(levels):
        np.testing.assert_array_equal(coarse, mode(finer))
    layer = panel._viewer.layers["em objects"]
    for z in range(SHAPE[0]):
        for level, wanted in zip(layer.data, levels, strict=True):
            np.testing.assert_array_equal(level[z], wanted[z])
    return levels[0]


def test_the_layer_has_several_scales_and_is_a_labels_layer(panel) -> None:
    layer = objects(panel)
    assert layer.multiscale
    assert layer.editable
    assert len(layer.data) == 3
    assert layer.as_layer_data_tuple()[2] == "labels"
    assert panel._viewer.layers["em object in work"].multiscale


@pytest.mark.parametrize("level", [0, 2])
def test_brush_eraser_fill_and_undo_at_any_scale(qtbot, panel, level: int) -> None:
    layer = objects(panel)
    layer.locked_data_level = level
    layer.mode, layer.selected_label, layer.brush_size = "paint", 4, 60
    drag(qtbot, panel, [AT, (1, 500, 750), (1, 500, 800)])
    z, y, x = AT
    assert (layer._slice.image.raw == 4).any()  # what is on screen
    brushed = stored(panel)
    assert (brushed[z, y, x : x + 95] == 4).all()
    assert 160 * 61 * 0.9 < (brushed == 4).sum() < 160 * 61 * 1.1
    layer.mode, layer.brush_size = "erase", 40
    drag(qtbot, panel, [(1, 500, 800), (1, 540, 800)])
    erased = stored(panel)
    assert erased[z, y, x + 100] == 0
    layer.mode, layer.selected_label = "fill", 9
    drag(qtbot, panel, [AT])
    filled = stored(panel)
    assert ((filled == 9) == (erased == 4)).all()
    for state in (erased, brushed, np.zeros(SHAPE)):
        undo(qtbot, panel)
        np.testing.assert_array_equal(stored(panel), state)
    assert not (layer._slice.image.raw > 0).any()


def test_the_picker_finds_the_label(qtbot, panel) -> None:
    layer = objects(panel)
    layer.mode, layer.selected_label, layer.brush_size = "paint", 12, 60
    drag(qtbot, panel, [AT])
    layer.mode, layer.selected_label = "pick", 1
    drag(qtbot, panel, [AT])
    assert layer.selected_label == 12
    drag(qtbot, panel, [(1, 100, 100)])
    assert layer.selected_label == 0


def test_preserving_labels_and_a_polygon(qtbot, panel) -> None:
    layer = objects(panel)
    layer.brush_size = 30
    layer.paint(AT, 3)
    rest(qtbot, panel)
    before = stored(panel)
    layer.preserve_labels = True
    z, y, x = AT
    layer.paint_polygon([(z, y - 30, x - 30), (z, y - 30, x + 30), (z, y + 30, x)], 5)
    rest(qtbot, panel)
    after = stored(panel)
    assert (after == 5).sum() > 500
    assert ((after == 3) == (before == 3)).all()


def test_the_layer_is_saved_in_full(qtbot, panel, tmp_path) -> None:
    layer = objects(panel)
    layer.brush_size = 50
    layer.paint(AT, 3)
    rest(qtbot, panel)
    layer.save(str(tmp_path / "saved.zarr"), plugin="napari-dtn")
    np.testing.assert_array_equal(open_volume(tmp_path / "saved.zarr").data.compute(), stored(panel))


def test_levels_that_cannot_follow_are_told_of_once(qtbot, panel, told, monkeypatch) -> None:
    def full():
        raise OSError(28, "No space left on device")
        yield

    layer = objects(panel)
    layer.brush_size = 50
    with monkeypatch.context() as broken:
        broken.setattr(panel._desk.session, "follow", full)
        layer.paint(AT, 3)
        rest(qtbot, panel)
        qtbot.wait(300)
        assert ["No space left" in one.message for one in told] == [True]
        assert panel._desk.session.labels[AT] == 3
    layer.paint(AT, 4)
    rest(qtbot, panel)
    assert stored(panel)[AT] == 4


class Counted:
    """A volume that is nowhere: 0, and the largest part that was asked for."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape, self.ndim, self.dtype, self.largest = shape, 3, np.dtype(np.uint8), 0

    def __getitem__(self, key):
        sides = [len(range(*one.indices(n))) for one, n in zip(key, self.shape, strict=True)]
        self.largest = max(self.largest, int(np.prod(sides)))
        return np.zeros(sides, np.uint8)


def test_a_slice_of_65536_x_65536_is_never_read_whole(qtbot, open_panel) -> None:
    sources = [Counted((2, 65_536 >> level, 65_536 >> level)) for level in range(8)]
    levels = [da.from_array(one, chunks=(1, 512, 512), asarray=False, name=False) for one in sources]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    panel = open_panel(levels)
    layer = objects(panel)
    assert len(layer.data) == 8
    panel._on_click((1, 40_000, 50_000), True)
    rest(qtbot, panel)
    panel._ask(committed)
    rest(qtbot, panel)
    layer.mode, layer.selected_label, layer.brush_size = "paint", 7, 1200
    drag(qtbot, panel, [(1, 20_000, 20_000)])
    layer.mode, layer.selected_label = "fill", 8
    drag(qtbot, panel, [(1, 20_000, 20_000)])
    session = panel._desk.session
    assert session.labels[1, 20_000, 20_000] == 8
    assert session.levels[7][1, 20_000 >> 7, 20_000 >> 7] == 8
    assert max(one.largest for one in sources) <= 512 * 512
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 * 2**20
    )  # KiB; a slice of ids is 16 GB
