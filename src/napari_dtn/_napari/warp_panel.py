"""The panel "Warp": what the network learned about where to look, on the slice in view."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from napari_dtn._napari import warp_layers, warp_tasks
from napari_dtn._napari.comparing import Comparing
from napari_dtn._napari.controls import VIEW
from napari_dtn._napari.copying import input_of
from napari_dtn._napari.job import Lane, notified
from napari_dtn._napari.layer_choice import LayerChoice
from napari_dtn._napari.layers import WARP, check_image, default_output, path_of, role_of, snapshot_of
from napari_dtn._napari.model_news import news, offer_known
from napari_dtn._napari.overlays import find
from napari_dtn._napari.panel import Panel, stop
from napari_dtn._napari.region import region_of
from napari_dtn._napari.tasks import Desk, Request
from napari_dtn._napari.view import ViewWatcher, looked_at, slice_in_view
from napari_dtn._napari.warp_controls import CLICK, HOVER, OFF, WarpControls
from napari_dtn._napari.warp_drawing import EFFECTIVE, PATCH
from napari_dtn._napari.warp_legend import Legend
from napari_dtn.recipes import warp_recipe
from napari_dtn.settings import PredictSettings, Roi, spare_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari.layers
    import napari.viewer
    from qtpy.QtGui import QShowEvent

    from napari_dtn.recipes import Recipe

# The warp is found by the network itself, and a frozen one is not worth an export.
_SETTINGS = PredictSettings(backend="eager", threads=spare_cores())
_COARSE = 32  # pixels to which the view is rounded: a small pan draws nothing new


class WarpPanel(Panel):
    """Shows the warps of the tiles in view, the patch of a pixel, and what the warp changes.

    Parameters
    ----------
    viewer
        Its image layers are offered, and it gets the warp layers.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("warp", viewer)
        self._desk = Desk()
        self._warps = warp_tasks.Warps(self._desk)
        self._image, self._truth = LayerChoice(viewer), LayerChoice(viewer, "Labels")
        self.controls = WarpControls(self._image, self._truth)
        self._comparing = Comparing(viewer, self.controls, self._desk, self._in_view, self)
        self._view_lane, self._patch_lane = Lane(self), Lane(self)
        self._lanes = [self._view_lane, self._patch_lane, self._comparing.lane]
        self._watcher, self._watching = ViewWatcher(viewer, self), False
        self._legend = Legend(viewer)
        self._turn = QTimer(self)
        self._turn.timeout.connect(self._show_next)
        self._asked: Any = None
        self._lay_out(self.controls, self._recipe)
        self._show_models()
        self._connect()

    def _connect(self) -> None:
        controls = self.controls
        for name, box in controls.boxes.items():
            box.toggled.connect(partial(self._on_box, name))
        # Not while napari takes layers out: it would find others of its list gone.
        self._image.layer_changed.connect(partial(QTimer.singleShot, 0, self._on_image))
        controls.model.currentIndexChanged.connect(self._look)
        controls.level.currentIndexChanged.connect(self._look)
        controls.factor.valueChanged.connect(self._look)
        controls.model_file.clicked.connect(self._choose_model_file)
        controls.patch.currentTextChanged.connect(self._on_patch_mode)
        controls.effective.toggled.connect(self._on_effective)
        self._comparing.shown.connect(self._show_legend)
        self._watcher.moved.connect(self._on_moved)
        self._view_lane.stepped.connect(self._on_drawn)
        self._patch_lane.stepped.connect(self._on_patch)
        for lane in self._lanes:
            lane.ended.connect(partial(controls.show_progress, 0, 0))
        self._viewer.layers.events.removed.connect(self._on_any_removed)
        news.changed.connect(self._show_models)
        self.destroyed.connect(partial(stop, self._lanes))
        self._enter()

    # ---- the panel comes and goes

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Go on where the panel was closed and is opened again."""
        super().showEvent(event)
        if not self._open:
            self._enter()

    def _enter(self) -> None:
        self._open = True
        self._viewer.mouse_drag_callbacks.append(self._on_mouse)
        self._watch(self._follows)

    def _leave(self) -> None:
        if not self._open:
            return
        self._open = False
        with suppress(ValueError):  # somebody has taken it out
            self._viewer.mouse_drag_callbacks.remove(self._on_mouse)
        self.controls.untick()
        self._watch(False)
        self._turn.stop()
        stop(self._lanes)
        self._asked = None
        self._comparing.forget()
        self._legend.clear()

    # ---- what is chosen

    def _show_models(self) -> None:
        offer_known(
            self.controls.model,
            lambda name: self.controls.add_model(name, unet=name.startswith("unet")),
        )

    @notified
    def _choose_model_file(self, checked: bool = False) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a model", "", "Models (*.safetensors)")
        if path:
            self.controls.add_model(path, unet=False, choose=True)

    def _request(self) -> tuple[napari.layers.Image, Request]:
        """Take down what is chosen.

        Raises
        ------
        ValueError
            A choice is missing, or does not do.
        """
        layer = self._image.layer
        check_image(layer, self._viewer.layers)
        model = self.controls.model.currentData()
        if not model:
            raise ValueError("No model is chosen: press “File…” and choose a .safetensors file.")
        return layer, Request(snapshot_of(layer), model, _SETTINGS)

    def _view(self, layer: napari.layers.Image, wanted: frozenset[str]) -> warp_tasks.View:
        """Return what is in view, rounded outwards.

        Raises
        ------
        ValueError
            Nothing of the image is, or the view does not show slices (Y, X).
        """
        roi = region_of(self._viewer, layer, VIEW)
        shape = (layer.data[0] if layer.multiscale else layer.data).shape
        y, x = (
            slice(start // _COARSE * _COARSE, min(-(-stop // _COARSE) * _COARSE, side))
            for (start, stop), side in zip((roi.y, roi.x), shape[-2:], strict=True)
            if start is not None and stop is not None
        )
        level, factor = self.controls.level.currentData(), self.controls.factor.value()
        return warp_tasks.View(slice_in_view(self._viewer, layer), y, x, level, wanted, factor)

    def _in_view(self) -> tuple[napari.layers.Image, Request, warp_tasks.View]:
        """Take down what is chosen, and what of it is in view; errors as theirs."""
        layer, request = self._request()
        return layer, request, self._view(layer, frozenset())

    def _recipe(self) -> Recipe:
        """Return how the slice in view is reported, and its warps are computed."""
        (layer, request, view), truth = self._in_view(), self._truth.layer
        roi = Roi((view.z, view.z + 1), *((side.start, side.stop) for side in (view.y, view.x)))
        ids = path_of(truth) if truth is not None else None
        output = default_output(layer, "warp")
        return warp_recipe(input_of(layer), request.model, output, ids or "", roi, request.settings)

    # ---- the warps in view

    @notified
    def _on_box(self, name: str, on: bool) -> None:
        if on:
            try:
                self._request()
            except ValueError:
                self.controls.boxes[name].setChecked(False)
                raise
        else:
            layer = self._image.layer
            for what in self.controls.layers_of(name) if layer is not None else ():
                warp_layers.remove(self._viewer, layer, what)
        self._watch(self._follows)
        self._look()

    @property
    def _follows(self) -> bool:
        return bool(self.controls.checked) or self.controls.patch.currentText() == HOVER

    def _watch(self, on: bool) -> None:
        if on != self._watching:
            self._watching = on
            self._watcher.start() if on else self._watcher.stop()

    def _on_image(self) -> None:
        if not self._open:
            return
        warp_layers.hide(self._viewer, WARP)
        self._asked = None
        self._comparing.forget()
        self._look()

    def _on_moved(self) -> None:
        self._look()
        if self.controls.patch.currentText() == HOVER:
            self._find_patch()

    def _look(self, event: Any = None) -> None:
        """Ask for what is in view, unless it was asked for last; what nobody sees is not asked for."""
        if not self._open:
            return
        try:
            layer, request = self._request()
            view = self._view(layer, frozenset(filter(partial(self._is_seen, layer), self.controls.checked)))
        except ValueError:  # nothing to look at from here; the next movement asks again
            return
        self._show_legend()
        if not view.wanted:
            self._asked = None
            self._view_lane.cancel()
            self._turn.stop()
        if not view.wanted or (request.maker, view) == self._asked:
            return
        self._asked = request.maker, view
        self._drawn_on = layer
        self._view_lane.start("Showing the warp", partial(warp_tasks.look, self._warps, request, view))

    def _is_seen(self, image: napari.layers.Layer, what: str) -> bool:
        layer = find(self._viewer, image, what)
        return layer is None or bool(layer.visible)

    def _on_drawn(self, step: warp_tasks.Drawn) -> None:
        if not step.levels:
            self._asked = None
            for box in self.controls.boxes.values():
                box.setChecked(False)
            show_info(f"The model {step.model} has no transformer, so it has no warp to show.")
            return
        self.controls.show_levels(step.levels)
        self.controls.show_progress(step.done, step.total)
        if step.drawing is not None and self._drawn_on in self._viewer.layers:
            self._waiting = warp_layers.showing(self._viewer, self._drawn_on, step.drawing)
            self._turn.start(0)

    def _show_next(self) -> None:
        """Show one more layer of the last drawing; the window has a turn between two."""
        if self._drawn_on in self._viewer.layers and next(self._waiting, "none left") is None:
            return
        self._turn.stop()
        for layer in self._ours():
            layer.events.visible.disconnect(self._look)
            layer.events.visible.connect(self._look)
        self._show_legend()

    def _ours(self) -> list[napari.layers.Layer]:
        return [layer for layer in self._viewer.layers if role_of(layer) == WARP]

    def _show_legend(self) -> None:
        image = self._image.layer
        names = [layer.name for layer in self._ours() if layer.visible]
        shown = [name.removeprefix(f"{image.name} ") for name in names] if image is not None else []
        self._legend.show(shown, self.controls.factor.value())

    def _on_any_removed(self, event: Any) -> None:
        QTimer.singleShot(0, partial(self._on_removed, event.value))

    def _on_removed(self, layer: napari.layers.Layer) -> None:
        """Untick the box of a layer that the user took out."""
        image = self._image.layer
        if not self._open or image is None or role_of(layer) != WARP:
            return
        for box in self.controls.boxes_of(layer.name.removeprefix(f"{image.name} ")):
            box.setChecked(False)
        self._asked = None
        self._show_legend()

    # ---- the patch of a pixel

    @notified
    def _on_patch_mode(self, mode: str) -> None:
        self._watch(self._follows)
        image = self._image.layer
        if mode == OFF and image is not None:
            self._patch_lane.cancel()
            for what in (PATCH, EFFECTIVE):
                warp_layers.remove(self._viewer, image, what)

    def _on_effective(self, on: bool) -> None:
        image = self._image.layer
        if not on and image is not None:
            warp_layers.remove(self._viewer, image, EFFECTIVE)

    def _on_mouse(self, viewer: napari.viewer.Viewer, event: Any) -> Iterator[None]:
        """Tell a click from a drag, as napari's callbacks do."""
        yield
        dragged = False
        while event.type == "mouse_move":
            dragged = True
            yield
        if not dragged and self.isVisible() and self.controls.patch.currentText() == CLICK:
            self._find_patch()

    @notified
    def _find_patch(self) -> None:
        layer, request = self._request()
        if self._viewer.dims.ndisplay == 2:
            self._patch_on = layer
            at, effective = looked_at(self._viewer, layer), self.controls.effective.isChecked()
            self._patch_lane.start(
                "Finding the patch", partial(warp_tasks.patch, self._warps, request, at, effective)
            )

    def _on_patch(self, found: warp_tasks.PatchFound) -> None:
        if self._patch_on in self._viewer.layers and self.controls.patch.currentText() != OFF:
            warp_layers.show(self._viewer, self._patch_on, found.drawing)
            self.controls.status.setText(found.words)
            self._viewer.status = found.words
            self._show_legend()
