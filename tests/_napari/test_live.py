"""Live: the boundaries of what is on screen, in a real window, with real mouse and keys."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_dtn._napari import overlays
from napari_dtn._napari.job import stop_all_jobs
from napari_dtn._napari.pyramid import ClassPicture, Pyramid
from napari_dtn._napari.stack import SliceStack
from napari_dtn._napari.view import part_in_view
from napari_dtn.bounded import Bounded
from napari_dtn.garbage import short_collections
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.predict import Predictor, as_uint8, predict_slice
from napari_dtn.predict.mosaic import COMPLETE, Mosaic, Picture
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import volume_from_array
from support.panel import PATIENCE, choose, finish, press

EM = np.random.default_rng(0).integers(30, 220, (4, 150, 140), dtype=np.uint8)
NM = ("nm",) * 3


@pytest.fixture
def shown(make_napari_viewer):
    """Return a viewer with a window on the display."""
    viewer = make_napari_viewer(show=True)
    yield viewer
    stop_all_jobs()


def opened(viewer, monkeypatch, model, data=EM, **options):
    """Open the panel over an image."""
    monkeypatch.setattr("napari_dtn._napari.predict_panel._SURVEY_DELAY", 10**7)
    monkeypatch.setattr("napari_dtn._napari.slice_note._DELAY", 10**7)
    viewer.add_image(data, name="em", scale=(30, 6, 6), units=NM, contrast_limits=(0, 255), **options)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Predict boundaries")
    choose(panel, model)
    viewer.dims.set_current_step(0, 1)
    return panel


@pytest.fixture
def panel(shown, monkeypatch, tiny_dtn):
    return opened(shown, monkeypatch, tiny_dtn)


def tick(qtbot, panel) -> None:
    """Click the box with the mouse."""
    box = press(panel, "live")
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))


def said(panel) -> str:
    return press(panel, "live.status").text()


def settle(qtbot, panel) -> None:
    qtbot.waitUntil(lambda: said(panel).startswith(("Live: all", "Live: the middle")), timeout=PATIENCE)
    finish(qtbot, panel)


def expected(model, z: int) -> np.ndarray:
    return as_uint8(predict_slice(load_model(model), volume_from_array(EM), z, PredictSettings(threads=1)))


def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


def camera(viewer):
    return getattr(viewer, "scene", viewer).camera


def scroll(viewer, clicks: int, modifier) -> None:
    """Turn the wheel over the middle of the canvas."""
    native = canvas(viewer)
    middle = QPointF(native.width() / 2, native.height() / 2)
    QApplication.sendEvent(
        native,
        QWheelEvent(
            middle,
            QPointF(native.mapToGlobal(middle.toPoint())),
            QPoint(),
            QPoint(0, 120 * clicks),
            Qt.MouseButton.NoButton,
            modifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        ),
    )


def differs(layer, model, z: int, part) -> int:
    found = np.asarray(layer.data[0][z])[part].astype(int)
    return int(np.abs(found - expected(model, z)[part]).max())


# ---- following the view


def test_the_boundaries_appear_and_follow_the_slices(qtbot, panel, shown, tiny_dtn) -> None:
    tick(qtbot, panel)
    settle(qtbot, panel)
    layer = shown.layers["em boundaries"]
    part = part_in_view(shown, shown.layers["em"])
    assert differs(layer, tiny_dtn, 1, part) <= 1
    shown_pixels = layer._slice.image.raw
    assert shown_pixels.any(), "napari has been told to redraw"
    canvas(shown).setFocus()
    scroll(shown, 1, Qt.KeyboardModifier.ControlModifier)
    z = shown.dims.current_step[0]
    assert z != 1
    qtbot.waitUntil(lambda: np.asarray(layer.data[0][z]).any(), timeout=PATIENCE)
    settle(qtbot, panel)
    assert differs(layer, tiny_dtn, z, part) <= 1
    assert shown.layers.selection.active.name == "em"


def test_zooming_and_panning_show_what_comes_into_view(qtbot, panel, shown, tiny_dtn) -> None:
    image = shown.layers["em"]
    camera(shown).zoom *= 6
    camera(shown).center = (0, 40 * 6, 40 * 6)
    tick(qtbot, panel)
    settle(qtbot, panel)
    layer = shown.layers["em boundaries"]
    assert not np.asarray(layer.data[0][1])[149, 139], "what is not on screen is not predicted"
    camera(shown).center = (0, 70 * 6, 80 * 6)
    qtbot.wait(400)
    settle(qtbot, panel)
    assert differs(layer, tiny_dtn, 1, part_in_view(shown, image)) <= 1
    camera(shown).zoom *= 0.5
    qtbot.wait(400)
    settle(qtbot, panel)
    assert differs(layer, tiny_dtn, 1, part_in_view(shown, image)) <= 1


def test_a_rough_view_first_where_the_image_has_levels(qtbot, shown, monkeypatch, tiny_dtn) -> None:
    big = np.tile(EM, (1, 4, 4))
    panel = opened(shown, monkeypatch, tiny_dtn, [big, big[:, ::2, ::2], big[:, ::4, ::4]], multiscale=True)
    levels, texts = [], []
    panel._live.lane.stepped.connect(lambda one: (levels.append(one.part.level), texts.append(said(panel))))
    tick(qtbot, panel)
    settle(qtbot, panel)
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0
    assert levels[-1] == 0
    assert any("a rough view first" in text for text in texts)
    y, x = slice(200, 330), slice(250, 380)
    predictor = Predictor.of(load_model(tiny_dtn), volume_from_array(big), PredictSettings(threads=1))
    found = shown.layers["em boundaries"].data[0][1, y, x].astype(int)
    assert np.abs(found - as_uint8(predictor.predict(1, y, x))[0]).max() <= 1


def test_going_back_is_instant(qtbot, panel, shown, monkeypatch) -> None:
    tick(qtbot, panel)
    settle(qtbot, panel)
    shown.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: np.asarray(shown.layers["em boundaries"].data[0][2]).any(), timeout=PATIENCE)
    settle(qtbot, panel)
    asked = []
    monkeypatch.setattr(Predictor, "probabilities", lambda *_: asked.append(1))
    shown.dims.set_current_step(0, 1)
    assert shown.layers["em boundaries"]._slice.image.raw.any(), "at once, before any job"
    qtbot.wait(400)
    finish(qtbot, panel)
    assert asked == []
    assert said(panel).startswith("Live: all")


class Held:
    """Holds the network at its first batch."""

    def __init__(self, monkeypatch) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        self.batches = 0
        real = Predictor.probabilities

        def probabilities(predictor, images):
            self.batches += 1
            self.reached.set()
            assert self.open.wait(60)
            return real(predictor, images)

        monkeypatch.setattr(Predictor, "probabilities", probabilities)


def test_the_newest_view_wins(qtbot, panel, shown, monkeypatch, tiny_dtn) -> None:
    held = Held(monkeypatch)
    tick(qtbot, panel)
    qtbot.waitUntil(held.reached.is_set, timeout=PATIENCE)
    for z in (2, 3, 0):
        shown.dims.set_current_step(0, z)
        qtbot.wait(100)
    held.open.set()
    settle(qtbot, panel)
    layer = shown.layers["em boundaries"]
    assert differs(layer, tiny_dtn, 0, part_in_view(shown, shown.layers["em"])) <= 1
    assert not np.asarray(layer.data[0][2]).any()
    assert not np.asarray(layer.data[0][3]).any()


def test_unticking_stops_at_the_next_batch(qtbot, panel, monkeypatch) -> None:
    held = Held(monkeypatch)
    tick(qtbot, panel)
    qtbot.waitUntil(held.reached.is_set, timeout=PATIENCE)
    tick(qtbot, panel)
    held.open.set()
    finish(qtbot, panel)
    assert held.batches == 1
    assert said(panel) == ""


# ---- when it has to wait


def test_it_says_why_it_waits(qtbot, panel, shown) -> None:
    tick(qtbot, panel)
    settle(qtbot, panel)
    shown.dims.ndisplay = 3
    qtbot.waitUntil(lambda: "Switch back to the 2D view" in said(panel), timeout=PATIENCE)
    shown.dims.ndisplay = 2
    settle(qtbot, panel)
    shown.dims.order = (1, 0, 2)
    qtbot.waitUntil(lambda: "Switch back to the 2D view" in said(panel), timeout=PATIENCE)
    shown.dims.order = (0, 2, 1)
    settle(qtbot, panel)
    shown.layers["em boundaries"].visible = False
    assert said(panel) == "Live waits: the layer “em boundaries” is hidden."
    shown.layers["em boundaries"].visible = True
    settle(qtbot, panel)
    camera(shown).center = (0, 1e5, 1e5)
    qtbot.waitUntil(lambda: said(panel) == "Live waits: “em” is out of view.", timeout=PATIENCE)


def test_it_waits_while_the_volume_is_predicted_and_shares_its_layer(
    qtbot, panel, shown, monkeypatch, tiny_dtn, tmp_path
) -> None:
    tick(qtbot, panel)
    settle(qtbot, panel)
    layer = shown.layers["em boundaries"]
    press(panel, "output").setText(str(tmp_path / "out.zarr"))
    press(panel, "run").click()
    assert said(panel) == "Live waits while the volume is predicted."
    qtbot.waitUntil(lambda: press(panel, "run").isEnabled(), timeout=PATIENCE)
    finish(qtbot, panel)
    assert said(panel) == "Live: this slice is predicted already."
    assert shown.layers["em boundaries"] is layer
    assert differs(layer, tiny_dtn, 3, ...) <= 1, "a slice that Live has not seen, from the file"


def test_a_region_fills_in_while_live_waits(qtbot, panel, shown, monkeypatch, tmp_path) -> None:
    tick(qtbot, panel)
    settle(qtbot, panel)
    press(panel, "output").setText(str(tmp_path / "out.zarr"))
    press(panel, "slices").setText("3:4")
    camera(shown).zoom *= 4
    qtbot.wait(400)
    settle(qtbot, panel)
    press(panel, "region").setCurrentText("Current view")
    filled = []
    layer = shown.layers["em boundaries"]
    panel._volume_lane.stepped.connect(lambda _: filled.append(np.asarray(layer.data[0][3]).any()))
    press(panel, "run").click()
    qtbot.waitUntil(lambda: press(panel, "run").isEnabled(), timeout=PATIENCE)
    assert filled[-1]


def test_a_job_that_ends_leaves_the_collections_of_others_short() -> None:
    gc.unfreeze()  # what earlier tests left
    before = gc.get_freeze_count()
    with short_collections():
        with short_collections():
            pass
        assert gc.get_freeze_count() > before + 10_000
    assert gc.get_freeze_count() <= before


def test_an_error_is_said_in_plain_words_and_ends_it(qtbot, panel, shown, monkeypatch, told) -> None:
    def fails(*_):
        raise RuntimeError("shapes do not match\nat tensor.cpp:12")

    monkeypatch.setattr(Predictor, "probabilities", fails)
    tick(qtbot, panel)
    finish(qtbot, panel)
    assert said(panel) == "Showing boundaries live failed: shapes do not match (RuntimeError)."
    assert not press(panel, "live").isChecked()
    assert [note.message for note in told] == [said(panel)]


# ---- coming and going


def test_removing_the_overlay_ends_it_and_another_image_takes_over(qtbot, panel, shown) -> None:
    tick(qtbot, panel)
    settle(qtbot, panel)
    shown.layers.remove("em boundaries")
    assert not press(panel, "live").isChecked()
    tick(qtbot, panel)
    settle(qtbot, panel)
    shown.add_image(EM[:2], name="other", scale=(30, 6, 6), units=NM)
    shown.layers.remove("em")
    qtbot.waitUntil(lambda: "other boundaries" in shown.layers, timeout=PATIENCE)
    settle(qtbot, panel)
    shown.layers.remove("other")
    finish(qtbot, panel)
    assert "There is no image layer" in said(panel)
    assert press(panel, "live").isChecked(), "it goes on with the next image"


def test_another_model_replaces_what_is_shown(qtbot, panel, shown, tiny_unet) -> None:
    tick(qtbot, panel)
    settle(qtbot, panel)
    layer = shown.layers["em boundaries"]
    before = np.array(layer.data[0][1])
    choose(panel, tiny_unet)
    assert panel._live.lane.busy
    settle(qtbot, panel)
    assert shown.layers["em boundaries"] is layer
    part = part_in_view(shown, shown.layers["em"])
    assert differs(layer, tiny_unet, 1, part) <= 1
    assert (np.asarray(layer.data[0][1]) != before).any()


def test_a_closed_panel_follows_nothing(qtbot, panel, shown) -> None:
    tick(qtbot, panel)
    settle(qtbot, panel)
    emitters = [shown.dims.events.current_step, camera(shown).events.zoom, shown.layers.events.removed]
    before = [len(emitter.callbacks) for emitter in emitters]
    shown.window.remove_dock_widget(panel)
    assert [len(emitter.callbacks) < count for emitter, count in zip(emitters, before, strict=True)] == [
        True
    ] * 3
    shown.dims.set_current_step(0, 3)
    qtbot.wait(400)
    assert not panel._live.lane.busy
    assert not np.asarray(shown.layers["em boundaries"].data[0][3]).any()


def test_every_class_is_live(qtbot, shown, monkeypatch, tmp_path, save_tiny) -> None:
    panel = opened(shown, monkeypatch, save_tiny(tmp_path / "three.safetensors", n_classes=3))
    tick(qtbot, panel)
    settle(qtbot, panel)
    layers = [shown.layers[f"em boundaries class {number}"] for number in range(3)]
    total = sum(np.asarray(layer.data[0][1]).astype(int) for layer in layers)
    assert (total > 0).any()
    assert np.abs(total[total > 0] - 255).max() <= 2
    layers[1].visible = False  # the other classes are in sight
    shown.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: np.asarray(layers[0].data[0][2]).any(), timeout=PATIENCE)


# ---- the layer's arrays


def picture(classes: int = 1) -> tuple[Picture, np.ndarray]:
    values = np.random.default_rng(1).integers(1, 255, (classes, 3, 700, 600), dtype=np.uint8)
    mosaic = Mosaic(0, (700, 600), classes, Bounded(10**8))
    for z in range(3):
        mosaic.paste(z, 0, 0, np.concatenate([values[:, z], np.full((1, 700, 600), COMPLETE, np.uint8)]))
    return Picture((3, 700, 600), classes, [mosaic], [3]), values


@pytest.mark.parametrize(
    "key",
    [
        1,
        (1, slice(3, 50)),
        (slice(None), 5),
        (..., 7),
        (slice(0, 2), slice(5, 9), slice(600, None, -7)),
        (-1, 2, 3),
    ],
)
def test_a_level_reads_like_the_array_it_stands_for(key) -> None:
    shown, values = picture(2)
    level = Pyramid(SliceStack((3, 700, 600)), ClassPicture(shown, 1)).levels[0]
    np.testing.assert_array_equal(np.asarray(level[key]), values[1][key])


def test_a_window_of_a_level_reads_nothing(monkeypatch) -> None:
    shown, values = picture()
    level = Pyramid(SliceStack((3, 700, 600)), ClassPicture(shown, 0)).levels[0]
    monkeypatch.setattr(Mosaic, "read", lambda *_: pytest.fail("read"))
    window = level[:, 10:20, 30:50]
    assert window.shape == (3, 10, 20)
    monkeypatch.undo()
    np.testing.assert_array_equal(window[2], values[0, 2, 10:20, 30:50])


def test_live_shows_slices_of_its_own_maker_only() -> None:
    shown, values = picture()
    stack = SliceStack((3, 700, 600))
    stack.put(0, np.full((700, 600), 7, np.uint8), "mine")
    stack.put(1, np.full((700, 600), 8, np.uint8), "another's")
    levels = Pyramid(stack, ClassPicture(shown, 0), "mine").levels
    assert (levels[0][0] == 7).all()
    assert (levels[1][0, 3:9, 4:5] == 7).all()
    np.testing.assert_array_equal(levels[0][1], values[0, 1])
    levels[0].pyramid.maker = None
    assert (levels[0][1] == 8).all()


def test_an_overlay_keeps_its_look_and_its_slices_when_live_takes_it() -> None:
    from napari.components import ViewerModel

    viewer, (shown, _) = ViewerModel(), picture()
    image = viewer.add_image(np.zeros((3, 700, 600), np.uint8), name="em")
    [before] = overlays.boundary_layers(viewer, image)
    before.colormap, before.opacity = "green", 0.3
    overlays.put([before], 2, np.full((1, 700, 600), 9, np.uint8), "mine")
    [layer] = overlays.live_layers(viewer, image, ("boundary",), shown, "mine")
    assert [one.name for one in viewer.layers] == ["em", "em boundaries"]
    assert (layer.colormap.name, layer.opacity, layer.multiscale) == ("green", 0.3, True)
    assert (layer.data[0][2] == 9).all()
    assert overlays.boundary_layers(viewer, image) == [layer]
    assert overlays.shows([layer], 2, "mine") is False, "a preview is no volume"
