"""The panel "Warp" as a user works it: what it draws, what it leaves alone, and what it says."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

from napari_dtn._napari import warp_tasks
from napari_dtn._napari.warp_controls import CLICK
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.predict import Predictor
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import volume_from_array
from support.panel import PATIENCE, finish

LATTICE = {"em warp arrows", "em warp fiducials"}


@pytest.fixture
def warp_panel(viewer, tiny_dtn, tiny_unet, em):
    """Open the panel as the menu does, with an image and models that are small."""
    viewer.add_image(em, name="em", scale=(30, 6, 6), units=("nm",) * 3)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Warp")
    panel.controls.add_model(str(tiny_dtn), unet=False, choose=True)
    panel.controls.add_model(str(tiny_unet), unet=True, choose=True)
    return panel


def press(panel, name: str) -> QWidget:
    found = panel.findChild(QWidget, f"warp.{name}")
    assert found is not None, name
    return found


def names(viewer) -> set[str]:
    return {layer.name for layer in viewer.layers}


def settle(qtbot, panel) -> None:
    qtbot.wait(250)  # the watcher's calm
    qtbot.waitUntil(
        lambda: not any(lane.busy for lane in panel._lanes) and not panel._turn.isActive(), timeout=PATIENCE
    )


def tick(qtbot, panel, *boxes: str) -> None:
    for name in boxes:
        press(panel, name).setChecked(True)
    settle(qtbot, panel)


CONTROLS = (
    *("image", "model", "model_file", "level", "factor", "lattice", "grid", "displacement", "area"),
    *("folds", "patch", "effective", "unet", "truth", "shown", "compare", "progress", "status"),
    *("copy_command", "copy_python"),
)


def test_every_control_has_a_name_and_a_tooltip(warp_panel) -> None:
    assert all(press(warp_panel, name).toolTip() for name in CONTROLS)


def test_all_layers_lie_on_the_image_in_its_units(qtbot, warp_panel, viewer, tiny_dtn, em) -> None:
    tick(qtbot, warp_panel, "lattice", "grid", "displacement", "area", "folds")
    image = viewer.layers["em"]
    expected = {"grid", "arrows", "fiducials", "displacement", "area", "folds"}
    assert {f"em warp {what}" for what in expected} <= names(viewer)
    for layer in viewer.layers:
        assert tuple(map(str, layer.units)) == tuple(map(str, image.units))
        assert layer.ndim == 3
    area = viewer.layers["em warp area"]
    np.testing.assert_allclose(area.scale, (30, 48, 48))
    z = viewer.dims.current_step[0]
    # Its first pixel covers the first 8 x 8 of the image.
    np.testing.assert_allclose(area.data_to_world((0, -0.5, -0.5)), image.data_to_world((z, -0.5, -0.5)))
    assert viewer.layers.selection.active is image
    predictor = Predictor.of(load_model(tiny_dtn), volume_from_array(em), PredictSettings(threads=1))
    (warp,) = predictor.warps(z, 5, 5)
    points = viewer.layers["em warp fiducials"].data
    np.testing.assert_allclose(points[0, 1:], warp.to_pixels(warp.fiducials)[0], atol=1e-2)
    assert set(points[:, 0]) == {z}


def test_the_layers_follow_the_slice(qtbot, warp_panel, viewer) -> None:
    tick(qtbot, warp_panel, "lattice", "area")
    before = viewer.layers["em warp fiducials"].data.copy()
    viewer.dims.set_current_step(0, 0)
    settle(qtbot, warp_panel)
    after = viewer.layers["em warp fiducials"].data
    assert set(after[:, 0]) == {0}
    assert not np.allclose(after[:, 1:], before[:, 1:])
    assert viewer.layers["em warp area"].translate[0] == 0


def test_the_layers_survive_three_dimensions(qtbot, warp_panel, viewer) -> None:
    tick(qtbot, warp_panel, "lattice", "grid", "displacement", "area", "folds")
    there = names(viewer)
    viewer.dims.ndisplay = 3
    settle(qtbot, warp_panel)
    viewer.dims.ndisplay = 2
    viewer.dims.set_current_step(0, 3)
    settle(qtbot, warp_panel)
    assert names(viewer) == there
    assert set(viewer.layers["em warp fiducials"].data[:, 0]) == {3}


def test_what_is_hidden_costs_nothing(qtbot, warp_panel, viewer, monkeypatch) -> None:
    tick(qtbot, warp_panel, "area")
    asked = []
    look = warp_tasks.look
    monkeypatch.setattr(warp_tasks, "look", lambda *args: asked.append(args) or look(*args))
    viewer.layers["em warp area"].visible = False
    for z in (0, 1, 3):
        viewer.dims.set_current_step(0, z)
        settle(qtbot, warp_panel)
    assert not asked
    viewer.layers["em warp area"].visible = True
    settle(qtbot, warp_panel)
    assert len(asked) == 1
    assert viewer.layers["em warp area"].translate[0] == 3 * 30


def test_the_same_view_is_asked_for_once(qtbot, warp_panel, viewer, monkeypatch) -> None:
    tick(qtbot, warp_panel, "lattice")
    asked = []
    look = warp_tasks.look
    monkeypatch.setattr(warp_tasks, "look", lambda *args: asked.append(args) or look(*args))
    for place in ((60, 50, 50), (60, 80, 70), (60, 90, 90)):
        viewer.cursor.position = place
        settle(qtbot, warp_panel)
    assert not asked


def test_going_back_needs_no_network(qtbot, warp_panel, viewer, monkeypatch) -> None:
    tick(qtbot, warp_panel, "lattice")
    first = viewer.dims.current_step[0]
    kept = viewer.layers["em warp fiducials"].data.copy()
    viewer.dims.set_current_step(0, 0)
    settle(qtbot, warp_panel)
    warping = import_module("napari_dtn.predict.warping")
    monkeypatch.setattr(warping, "tile_warps", lambda *_: pytest.fail("computed again"))
    viewer.dims.set_current_step(0, first)
    settle(qtbot, warp_panel)
    np.testing.assert_array_equal(viewer.layers["em warp fiducials"].data, kept)


def test_unticking_takes_a_layer_out_and_removing_it_unticks(qtbot, warp_panel, viewer) -> None:
    tick(qtbot, warp_panel, "lattice", "grid")
    press(warp_panel, "grid").setChecked(False)
    settle(qtbot, warp_panel)
    assert names(viewer) == {"em"} | LATTICE
    viewer.layers.remove("em warp arrows")
    settle(qtbot, warp_panel)
    assert not press(warp_panel, "lattice").isChecked()
    assert names(viewer) == {"em"}


def test_the_panel_may_go_and_the_image_too(qtbot, warp_panel, viewer) -> None:
    tick(qtbot, warp_panel, "lattice", "area")
    viewer.window.remove_dock_widget(warp_panel.parent())
    viewer.dims.set_current_step(0, 0)
    qtbot.wait(300)
    assert names(viewer) >= LATTICE
    viewer.layers.remove("em")


def test_all_layers_can_be_deleted_at_once(qtbot, warp_panel, viewer) -> None:
    tick(qtbot, warp_panel, "lattice", "grid")
    viewer.layers.select_all()
    viewer.layers.remove_selected()
    assert len(viewer.layers) == 0
    settle(qtbot, warp_panel)
    assert len(viewer.layers) == 0


def test_an_image_of_a_few_pixels_has_no_map_of_its_area(qtbot, warp_panel, viewer, em, told) -> None:
    viewer.layers.clear()
    viewer.add_image(em[..., :3], name="narrow")
    settle(qtbot, warp_panel)
    tick(qtbot, warp_panel, "lattice", "grid", "displacement", "area", "folds")
    assert not told
    assert "narrow warp fiducials" in names(viewer)
    assert "narrow warp area" not in names(viewer)


def test_another_volume_takes_the_layers_of_the_first_away(qtbot, warp_panel, viewer, em) -> None:
    tick(qtbot, warp_panel, "lattice")
    viewer.add_image(em[:, :70], name="other")
    press(warp_panel, "image").setCurrentText("other")
    settle(qtbot, warp_panel)
    assert {"other warp arrows", "other warp fiducials"} <= names(viewer)
    assert not LATTICE & names(viewer)


def test_displacements_are_exaggerated_and_the_legend_says_so(qtbot, warp_panel, viewer) -> None:
    tick(qtbot, warp_panel, "lattice")
    once = viewer.layers["em warp arrows"].data.copy()
    press(warp_panel, "factor").setValue(3)
    settle(qtbot, warp_panel)
    tripled = viewer.layers["em warp arrows"].data
    np.testing.assert_allclose(tripled[:, 1], 3 * once[:, 1], rtol=1e-4)
    legend = warp_panel._legend._overlay
    assert legend.visible
    assert "3 times" in legend.text
    assert "orange arrows" in legend.text
    press(warp_panel, "lattice").setChecked(False)
    assert not legend.visible


def test_the_level_is_chosen(qtbot, warp_panel, viewer, save_tiny, tmp_path) -> None:
    model = save_tiny(tmp_path / "two.safetensors", transformer_levels=(2, 4))
    warp_panel.controls.add_model(str(model), unet=False, choose=True)
    tick(qtbot, warp_panel, "lattice", "area")
    level = press(warp_panel, "level")
    assert [level.itemData(row) for row in range(level.count())] == [0, 2, 4]
    deep = viewer.layers["em warp fiducials"].data.copy()
    level.setCurrentIndex(level.findData(2))
    settle(qtbot, warp_panel)
    assert not np.allclose(viewer.layers["em warp fiducials"].data, deep)
    np.testing.assert_allclose(viewer.layers["em warp area"].scale, (30, 24, 24))


def test_a_unet_says_that_it_has_no_warp(qtbot, warp_panel, viewer, tiny_unet, told) -> None:
    warp_panel.controls.add_model(str(tiny_unet), unet=False, choose=True)
    tick(qtbot, warp_panel, "lattice")
    assert [note.message for note in told] == [
        "The model tiny-unet has no transformer, so it has no warp to show."
    ]
    assert names(viewer) == {"em"}


def test_without_an_image_a_box_says_what_is_missing(viewer, told) -> None:
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Warp")
    press(panel, "grid").setChecked(True)
    assert "no image layer" in told[0].message
    assert not press(panel, "grid").isChecked()


def test_the_patch_of_the_pixel_under_the_cursor(qtbot, warp_panel, viewer) -> None:
    press(warp_panel, "effective").setChecked(True)
    press(warp_panel, "patch").setCurrentText("Under the cursor")
    viewer.mouse_over_canvas = True
    viewer.cursor.position = (30 * viewer.dims.current_step[0], 40 * 6, 30 * 6)
    settle(qtbot, warp_panel)
    assert {"em warp patch", "em warp effective patch"} <= names(viewer)
    words = press(warp_panel, "status").text()
    assert words.startswith("Patch of (40, 30): ")
    assert " nm, " in words
    assert "elongation" in words
    assert viewer.status == words
    effective = viewer.layers["em warp effective patch"]
    assert effective.data.max() == 1
    press(warp_panel, "patch").setCurrentText("Off")
    settle(qtbot, warp_panel)
    assert names(viewer) == {"em"}


def test_comparing_shows_each_and_scores_them(qtbot, warp_panel, viewer, em) -> None:
    truth = np.kron([[1, 2], [3, 4]], np.ones((45, 35), int))
    viewer.add_labels(np.stack([truth] * 4), name="truth", scale=(30, 6, 6), units=("nm",) * 3)
    press(warp_panel, "compare").click()
    settle(qtbot, warp_panel)
    lines = press(warp_panel, "status").text().splitlines()
    assert [line.split(" ")[0] for line in lines[1:]] == ["DTN,", "DTN,", "U-Net:"]
    assert sum("ROC AUC 0." in line for line in lines[1:]) == 3
    shown = viewer.layers["em warp compare"]
    dtn = shown.data.copy()
    press(warp_panel, "shown").setCurrentText("U-Net")
    assert not np.array_equal(shown.data, dtn)
    changed = viewer.layers["em warp changed"].data
    says = (dtn >= 128).astype(int) - (shown.data >= 128)
    np.testing.assert_array_equal(changed, says)


def test_a_truth_of_another_shape_is_named_and_left_out(qtbot, warp_panel, viewer, told) -> None:
    viewer.add_labels(np.ones((2, 9, 9), int), name="elsewhere")
    press(warp_panel, "compare").click()
    settle(qtbot, warp_panel)
    assert any("“elsewhere” has another shape" in note.message for note in told)
    assert "ROC AUC" not in press(warp_panel, "status").text()


def test_comparing_says_when_the_warp_does_nothing(qtbot, warp_panel, save_tiny, tmp_path) -> None:
    model = save_tiny(tmp_path / "still.safetensors", localisation="identity")
    warp_panel.controls.add_model(str(model), unet=False, choose=True)
    press(warp_panel, "compare").click()
    settle(qtbot, warp_panel)
    assert press(warp_panel, "status").text().startswith("The warp does nothing here")


def test_a_click_beside_a_closed_panel_finds_no_patch(qtbot, warp_panel, viewer, told) -> None:
    viewer.window._qt_window.show()
    viewer.cursor.position = (0, 60, 60)
    press(warp_panel, "patch").setCurrentText(CLICK)
    callback = viewer.mouse_drag_callbacks[-1]
    event = SimpleNamespace(type="mouse_press")
    assert list(callback(viewer, event)) == [None]
    settle(qtbot, warp_panel)
    assert "em warp patch" in names(viewer)
    viewer.window.remove_dock_widget(warp_panel)
    viewer.layers.remove("em warp patch")
    assert list(callback(viewer, event)) == [None]
    settle(qtbot, warp_panel)
    assert "em warp patch" not in names(viewer)
    assert not told


def test_a_closed_panel_is_out_of_work(qtbot, warp_panel, viewer, em) -> None:
    tick(qtbot, warp_panel, "lattice", "grid")
    callbacks = len(viewer.mouse_drag_callbacks)
    viewer.window.remove_dock_widget(warp_panel)
    assert len(viewer.mouse_drag_callbacks) == callbacks - 1
    assert not warp_panel.controls.checked
    viewer.add_image(em[:, ::-1], name="other")
    press(warp_panel, "image").setCurrentText("other")
    viewer.dims.set_current_step(0, 0)
    settle(qtbot, warp_panel)
    assert names(viewer) == {"em", "other", "em warp grid"} | LATTICE
    viewer.layers.remove("em warp grid")
    settle(qtbot, warp_panel)
    assert not warp_panel._legend._overlay.visible


def test_a_panel_that_is_opened_again_works_again(qtbot, warp_panel, viewer) -> None:
    viewer.window._qt_window.show()
    tick(qtbot, warp_panel, "grid")
    viewer.window.remove_dock_widget(warp_panel)
    callbacks = len(viewer.mouse_drag_callbacks)
    viewer.window.add_dock_widget(warp_panel, name="again")
    qtbot.waitUntil(warp_panel.isVisible)
    assert len(viewer.mouse_drag_callbacks) == callbacks + 1
    tick(qtbot, warp_panel, "lattice")
    assert names(viewer) == {"em", "em warp grid"} | LATTICE
    viewer.dims.set_current_step(0, 0)
    settle(qtbot, warp_panel)
    assert set(viewer.layers["em warp fiducials"].data[:, 0]) == {0}


def test_the_warp_of_a_tile_and_those_of_a_view_leave_each_other_alone(
    qtbot, warp_panel, viewer, tiny_dtn, em, monkeypatch
) -> None:
    monkeypatch.setattr("napari_dtn._napari.predict_panel._SURVEY_DELAY", 10**7)
    monkeypatch.setattr("napari_dtn._napari.slice_note._DELAY", 10**7)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Predict boundaries")
    panel.controls.add_model(str(tiny_dtn), choose=True)
    tile = {f"em warp tile {what}" for what in ("grid", "arrows", "fiducials")}

    def follow(on: bool) -> None:
        panel.controls.warp.setChecked(on)
        qtbot.wait(250)
        finish(qtbot, panel)

    tick(qtbot, warp_panel, "lattice", "area")
    view = names(viewer)
    follow(True)
    assert names(viewer) == view | tile
    follow(False)
    assert names(viewer) == view
    follow(True)
    viewer.add_image(em[:, ::-1], name="other")
    press(warp_panel, "image").setCurrentText("other")
    settle(qtbot, warp_panel)
    assert tile <= names(viewer)


def test_a_name_is_followed_while_no_panel_is_open(qtbot, warp_panel, viewer) -> None:
    tick(qtbot, warp_panel, "grid")
    viewer.window.remove_dock_widget(warp_panel)
    viewer.layers["em"].name = "cell"
    assert names(viewer) == {"cell", "cell warp grid"}


def test_the_layers_of_a_renamed_image_are_still_its_own(qtbot, warp_panel, viewer) -> None:
    tick(qtbot, warp_panel, "grid")
    viewer.layers["em"].name = "cell"
    viewer.dims.set_current_step(0, 0)
    settle(qtbot, warp_panel)
    assert names(viewer) == {"cell", "cell warp grid"}
    press(warp_panel, "grid").setChecked(False)
    assert names(viewer) == {"cell"}
