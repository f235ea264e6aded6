"""The panel "Predict boundaries": preview a slice, look at the warp, predict a volume."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_dtn._napari import overlays, tasks, warp_layers
from napari_dtn._napari.controls import PredictControls
from napari_dtn._napari.copying import CopyButtons, input_of
from napari_dtn._napari.job import Lane, notified, notify_error, show_logged_warnings
from napari_dtn._napari.layer_choice import LayerChoice
from napari_dtn._napari.layers import (
    check_image,
    default_output,
    set_voxel_size,
    shown_voxel_size,
    snapshot_of,
    stated_voxel_size,
)
from napari_dtn._napari.live import Live
from napari_dtn._napari.model_news import news, offer_known
from napari_dtn._napari.output_choice import how_to_begin, output_path
from napari_dtn._napari.region import region_of
from napari_dtn._napari.run import Run
from napari_dtn._napari.view import ViewWatcher, looked_at, show_slice, slice_in_view
from napari_dtn._napari.warp_drawing import draw_tile
from napari_dtn.recipes import predict_recipe
from napari_dtn.settings import Roi, VoxelSize
from napari_dtn.words import duration, plan_words, progress_words, size_words

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer
    from qtpy.QtGui import QCloseEvent, QShowEvent

    from napari_dtn.nn.checkpoint import ModelCard
    from napari_dtn.recipes import Recipe

_SURVEY_DELAY = 500  # ms after the panel has appeared: loading torch makes the window stutter
_NOT_STATED = "Not stated by the file – check"
_UNKNOWN: VoxelSize = (1.0, 1.0, 1.0)


class PredictPanel(QWidget):
    """Boundaries of an image layer, by a model.

    Parameters
    ----------
    viewer
        Its layers are offered, and it gets the overlays.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("predict")
        self._viewer = viewer
        self._desk = tasks.Desk()
        self._cards: dict[str, ModelCard] = {}
        self._tile_shown: Any = None
        self._running: Run | None = None
        self._surveyed = False
        self._choice = LayerChoice(viewer)
        self.controls = PredictControls(self._choice)
        self._volume_lane = Lane(self, keep_last=True)
        self._preview_lane, self._warp_lane, self._survey_lane = Lane(self), Lane(self), Lane(self)
        self._estimate_lane = Lane(self)
        self._live = Live(
            viewer,
            self.controls.live,
            self._desk,
            self._request,
            lambda: self._volume_lane.busy,
            self,
        )
        self._lanes = [
            self._volume_lane,
            self._preview_lane,
            self._warp_lane,
            self._survey_lane,
            self._estimate_lane,
            self._live.lane,
            self.controls.bad_slices.lane,
        ]
        self._watcher = ViewWatcher(viewer, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.controls)
        layout.addWidget(CopyButtons("predict", self._recipe))
        self._connect()
        self._show_models()
        self._on_layer_changed()
        self._show_busy()
        show_logged_warnings()

    def _connect(self) -> None:
        controls = self.controls
        self._choice.layer_changed.connect(self._on_layer_changed)
        controls.voxel_size.applied.connect(self._apply_voxel_size)
        controls.model.currentIndexChanged.connect(self._on_model_changed)
        controls.model_file.clicked.connect(self._choose_model_file)
        controls.output_file.clicked.connect(self._choose_output)
        controls.preview.clicked.connect(self._preview)
        controls.warp.toggled.connect(self._toggle_warp)
        controls.run.clicked.connect(self._predict_volume)
        controls.pause.toggled.connect(self._volume_lane.pause)
        controls.cancel.clicked.connect(self.cancel)
        controls.estimate.clicked.connect(self._estimate)
        self._estimate_lane.stepped.connect(lambda plan: controls.show_status(plan_words(plan)))
        self._estimate_lane.ended.connect(self._show_busy)
        self._volume_lane.stepped.connect(self._on_volume_step)
        self._volume_lane.ended.connect(self._on_volume_ended)
        self._preview_lane.stepped.connect(self._on_preview_step)
        self._preview_lane.ended.connect(self._on_preview_ended)
        self._warp_lane.stepped.connect(self._on_warp)
        self._warp_lane.ended.connect(self._on_warp_ended)
        self._survey_lane.stepped.connect(self._on_survey)
        self._watcher.moved.connect(self._look_at_warp)
        controls.device.currentIndexChanged.connect(self._live.look)
        controls.settings.on_change(self._live.look)
        news.changed.connect(self._on_news)
        self.destroyed.connect(partial(_stop, self._lanes))

    # ---- the panel comes and goes

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Find the devices, and read the models' cards, once the panel is on screen."""
        super().showEvent(event)
        if not self._surveyed:
            self._surveyed = True
            QTimer.singleShot(_SURVEY_DELAY, self._survey)

    def event(self, event: QEvent) -> bool:
        """Stop when the panel is taken out of its dock: napari hides it and keeps it."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._leave()
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Stop what runs."""
        self._leave()
        super().closeEvent(event)

    def _leave(self) -> None:
        self.controls.warp.setChecked(False)
        self._live.stop()
        self.controls.bad_slices.stop()
        _stop(self._lanes)

    # ---- what is chosen

    def _show_models(self) -> None:
        offer_known(self.controls.model, self.controls.add_model)

    def _on_news(self) -> None:
        """Offer the models that there are now, and read their cards."""
        self._show_models()
        if self._surveyed:
            self._survey()

    def _survey(self) -> None:
        models = [self.controls.model.itemData(row) for row in range(self.controls.model.count())]
        self._survey_lane.start("Looking for devices", partial(tasks.survey, models))

    def _on_survey(self, found: tasks.DevicesFound | tasks.CardFound) -> None:
        if isinstance(found, tasks.DevicesFound):
            self.controls.show_devices(found.devices)
            return
        if found.card is None:
            self._drop_model(found)
        else:
            self._cards[found.model] = found.card
        self._on_model_changed()

    def _drop_model(self, found: tasks.CardFound) -> None:
        self.controls.model.removeItem(self.controls.model.findData(found.model))
        if found.error is not None:
            notify_error(found.error, "Reading the model")

    def _on_model_changed(self, index: int = 0) -> None:
        card = self._cards.get(self.controls.model.currentData())
        self.controls.show_model_info(_in_words(card) if card else "")
        self._show_voxel_size()
        self._look_at_warp()
        self._live.look()

    @notified
    def _choose_model_file(self, checked: bool = False) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a model", "", "Models (*.safetensors)")
        if path:
            self.add_model(path)

    def add_model(self, path: str | Path) -> None:
        """Offer a model file, and choose it."""
        self.controls.add_model(str(path), choose=True)
        self._survey()

    def _on_layer_changed(self) -> None:
        layer = self._choice.layer
        self.controls.output.setText("" if layer is None else str(default_output(layer)))
        self.controls.bad_slices.look_at(layer)
        self._show_voxel_size()
        self._look_at_warp()
        self._live.look()

    def _show_voxel_size(self) -> None:
        layer = self._choice.layer
        card = self._cards.get(self.controls.model.currentData())
        boxes = self.controls.voxel_size
        if layer is None:
            boxes.show_size(_UNKNOWN, "")
        elif stated := stated_voxel_size(layer):
            boxes.show_size(stated, "")
        elif shown := shown_voxel_size(layer):
            boxes.show_size(shown, "The layer's scale has no unit – check")
        elif card is not None and card.voxel_size:
            boxes.show_size(card.voxel_size, f"{_NOT_STATED} (as the model's)")
        else:
            boxes.show_size(_UNKNOWN, _NOT_STATED)

    @notified
    def _apply_voxel_size(self) -> None:
        check_image(self._choice.layer, self._viewer.layers)
        self._scale_layer(self._choice.layer)

    def _scale_layer(self, layer: napari.layers.Layer | None) -> None:
        """Give the layer the voxel size in the boxes, and everything on top of it."""
        assert layer is not None
        wanted = self.controls.voxel_size.value
        if stated_voxel_size(layer) == wanted:
            return
        z = slice_in_view(self._viewer, layer)
        set_voxel_size(layer, wanted)
        overlays.follow(self._viewer, layer)
        show_slice(self._viewer, layer, z)
        self._viewer.reset_view()
        self._show_voxel_size()

    @notified
    def _choose_output(self, checked: bool = False) -> None:
        start = self.controls.output.text()
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Where to write the boundaries",
            start,
            "OME-Zarr (*.zarr)",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if path:
            self.controls.output.setText(path)

    def _request(self) -> tuple[napari.layers.Image, tasks.Request]:
        """Take down what is chosen.

        Raises
        ------
        ValueError
            A choice is missing, or does not do.
        """
        layer = self._choice.layer
        check_image(layer, self._viewer.layers)
        assert layer is not None
        model = self.controls.model.currentData()
        if not model:
            raise ValueError("No model is chosen: press “File…” and choose a .safetensors file.")
        settings = self.controls.settings.read(device=self.controls.device.currentData())
        return layer, tasks.Request(snapshot_of(layer), model, settings)

    # ---- preview

    @notified
    def _preview(self, checked: bool = False) -> None:
        layer, request = self._request()
        z = slice_in_view(self._viewer, layer)
        known = overlays.layers_on(self._viewer, layer)
        if overlays.shows(known, z, request.maker):
            overlays.bring_up(known)
            return
        self._previewed_layer = layer
        self._preview_lane.start(f"Previewing slice {z}", partial(tasks.preview, self._desk, request, z))
        if not self._volume_lane.busy:
            self.controls.show_progress(0, 0, "loading the model …")
        self._show_busy()

    def _on_preview_step(self, step: tasks.PreviewPart | tasks.Previewed) -> None:
        if isinstance(step, tasks.PreviewPart):
            if not self._volume_lane.busy:
                self.controls.show_progress(
                    step.done, step.total, f"preview: tile {step.done} of {step.total}"
                )
            return
        image = self._previewed_layer
        if image in self._viewer.layers:
            layers = overlays.boundary_layers(self._viewer, image, step.names)
            overlays.put(layers, step.z, step.planes, step.request.maker)

    def _on_preview_ended(self) -> None:
        if not self._volume_lane.busy:
            done = self._preview_lane.outcome == "done"
            self.controls.show_end(f"Ran with {self._desk.runs_with}" if done else "Preview stopped.")
        self._show_busy()

    # ---- warp

    @notified
    def _toggle_warp(self, on: bool) -> None:
        self._tile_shown = None
        if not on:
            self._watcher.stop()
            self._warp_lane.cancel()
            warp_layers.hide(self._viewer)
            return
        try:
            self._request()
        except ValueError:
            self.controls.warp.setChecked(False)
            raise
        self._watcher.start()
        self._look_at_warp()

    def _look_at_warp(self) -> None:
        if not self.controls.warp.isChecked():
            return
        try:
            layer, request = self._request()
        except ValueError:  # the layer went away; the next choice starts again
            warp_layers.hide(self._viewer)
            return
        at = looked_at(self._viewer, layer, self._watcher.cursor_moved)
        self._warped_layer = layer
        self._warp_lane.start(
            "Showing the warp", partial(tasks.warp, self._desk, request, at, self._tile_shown)
        )

    def _on_warp(self, found: tasks.WarpFound) -> None:
        if not found.warps:
            self.controls.warp.setChecked(False)
            show_info(f"The model {found.model} has no transformer, so it has no warp to show.")
        elif self._warped_layer in self._viewer.layers:
            self._tile_shown = found.tile
            warp_layers.show(self._viewer, self._warped_layer, draw_tile(found.z, found.warps))

    def _on_warp_ended(self) -> None:
        if self._warp_lane.outcome == "failed":  # and would again, wherever the cursor goes
            self.controls.warp.setChecked(False)

    # ---- volume

    @notified
    def _estimate(self, checked: bool = False) -> None:
        layer, request = self._request()
        roi = self._region(layer)
        self._estimate_lane.start("Estimating", partial(tasks.estimate, self._desk, request, roi))
        self.controls.show_status("Estimating …")

    def _region(self, layer: napari.layers.Image) -> Roi:
        controls = self.controls
        return region_of(self._viewer, layer, controls.region.currentData(), controls.slices.text())

    def _recipe(self) -> Recipe:
        """Return what *Predict volume* would run."""
        layer, request = self._request()
        image = replace(input_of(layer), voxel_size=self.controls.voxel_size.value)
        output = output_path(self.controls.output.text())
        return predict_recipe(image, request.model, output, self._region(layer), request.settings)

    @notified
    def _predict_volume(self, checked: bool = False) -> None:
        layer, _ = self._request()
        output = output_path(self.controls.output.text())
        how = how_to_begin(self, output)
        if how == "stop":
            return
        self._scale_layer(layer)
        layer, request = self._request()
        roi = self._region(layer)
        self._running = Run(layer, output, roi)
        if (
            request.model in self._cards
        ):  # a new layer takes napari a while: before the job, not while it runs
            self._running.show(self._viewer, self._cards[request.model].class_names)
        self._volume_lane.start(
            "Predicting the volume", partial(tasks.whole, self._desk, request, output, how == "anew", roi)
        )
        self.controls.show_progress(0, 0, "loading the model …")
        self._show_busy()
        self._live.look()

    def _on_volume_step(self, part: tasks.VolumePart) -> None:
        run, step = self._running, part.step
        if run is None:
            return
        run.done, run.total, run.elapsed = step.slices_done, step.slices, step.elapsed
        if not self._volume_lane.cancelled:
            self.controls.show_progress(step.done, step.total, progress_words(step))
        if run.image in self._viewer.layers:
            layers = run.show(self._viewer, part.names)
            if not run.linked:
                run.linked = True
                overlays.show_source(layers, part.stored, run.maker(part.request))
            if step.slice_done:
                overlays.complete(layers, step.z)

    def _on_volume_ended(self) -> None:
        run, self._running = self._running, None
        self._show_busy()
        self._live.look()
        if run is not None and not run.linked:
            run.take_back(self._viewer)
        if run is None or not run.total:
            self.controls.show_end("Stopped.")
        elif self._volume_lane.outcome == "done":
            self.controls.show_end(
                f"{run.done} slices in {duration(run.elapsed)}, saved to {run.output}. "
                f"Ran with {self._desk.runs_with}"
            )
        else:
            self.controls.show_end(
                f"Stopped. What is finished is in {run.output}, {run.done} of {run.total} slices as a whole; "
                "“Predict volume” goes on with it."
            )

    # ---- small things

    def cancel(self, checked: bool = False) -> None:
        """Stop the prediction and the preview after their current batch."""
        self._volume_lane.cancel()
        self._preview_lane.cancel()
        self.controls.show_status("Stopping …")

    def _show_busy(self) -> None:
        self.controls.show_busy(self._volume_lane.busy, self._preview_lane.busy)


def _stop(lanes: list[Lane], *_: Any) -> None:
    for lane in lanes:
        lane.cancel()


def _in_words(card: ModelCard) -> str:
    """``DTN · tiles of 224 px · trained at 30 × 6 × 6 nm``."""
    parts = [card.network.arch.upper(), f"tiles of {card.patch_size} px"]
    if card.voxel_size:
        parts.append(f"trained at {size_words(card.voxel_size)}")
    return " · ".join(parts)
