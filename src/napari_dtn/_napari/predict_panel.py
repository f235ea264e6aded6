"""The panel "Predict boundaries": preview a slice, look at the warp, predict a volume."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from napari_dtn._napari import overlays, tasks
from napari_dtn._napari.controls import PredictControls
from napari_dtn._napari.job import Lane, notified, notify_error
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
from napari_dtn._napari.panel import Panel, stop
from napari_dtn._napari.predicting import Predicting
from napari_dtn._napari.previewing import Previewing
from napari_dtn._napari.tile_warp import TileWarp
from napari_dtn._napari.view import show_slice, slice_in_view
from napari_dtn.settings import VoxelSize
from napari_dtn.words import size_words

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer
    from qtpy.QtGui import QShowEvent

    from napari_dtn.nn.checkpoint import ModelCard

_SURVEY_DELAY = 500  # ms after the panel has appeared: loading torch makes the window stutter
_NOT_STATED = "Not stated by the file – check"
_UNKNOWN: VoxelSize = (1.0, 1.0, 1.0)


class PredictPanel(Panel):
    """Boundaries of an image layer, by a model.

    Parameters
    ----------
    viewer
        Its layers are offered, and it gets the overlays.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("predict", viewer)
        self._cards: dict[str, ModelCard] = {}
        self._surveyed = False
        self._choice = LayerChoice(viewer)
        self.controls = controls = PredictControls(self._choice)
        self._desk, ask = tasks.Desk(), self._request
        predicting = Predicting(viewer, controls, self._desk, ask, self._scale_layer, self._cards, self)
        self._volume_lane, self._survey_lane = predicting.lane, Lane(self)
        preview = Previewing(viewer, controls, self._desk, ask, predicting.busy, self)
        self._preview_lane = preview.lane
        self._warp = TileWarp(viewer, controls.warp, self._desk, ask, self)
        self._live = Live(viewer, controls.live, self._desk, ask, predicting.busy, self)
        self._lanes = [
            self._volume_lane,
            self._preview_lane,
            self._warp.lane,
            self._survey_lane,
            predicting.estimate_lane,
            self._live.lane,
            controls.bad_slices.lane,
        ]
        preview.changed.connect(self._show_busy)
        predicting.changed.connect(self._on_volume)
        predicting.estimate_lane.ended.connect(self._show_busy)
        self._lay_out(controls, predicting.recipe)
        self._connect()
        self._show_models()
        self._on_layer_changed()
        self._show_busy()

    def _connect(self) -> None:
        controls = self.controls
        self._choice.layer_changed.connect(self._on_layer_changed)
        controls.voxel_size.applied.connect(self._apply_voxel_size)
        controls.model.currentIndexChanged.connect(self._on_model_changed)
        controls.model_file.clicked.connect(self._choose_model_file)
        controls.output_file.clicked.connect(self._choose_output)
        controls.cancel.clicked.connect(self.cancel)
        self._survey_lane.stepped.connect(self._on_survey)
        controls.device.currentIndexChanged.connect(self._live.look)
        controls.settings.on_change(self._live.look)
        news.changed.connect(self._on_news)
        self.destroyed.connect(partial(stop, self._lanes))

    # ---- the panel comes and goes

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Find the devices, and read the models' cards, once the panel is on screen."""
        super().showEvent(event)
        if not self._surveyed:
            self._surveyed = True
            QTimer.singleShot(_SURVEY_DELAY, self._survey)

    def _leave(self) -> None:
        self._warp.stop()
        self._live.stop()
        self.controls.bad_slices.stop()
        stop(self._lanes)

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
        self._warp.look()
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
        self._warp.look()
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
        stated = stated_voxel_size(layer)
        known = stated is not None or wanted == _UNKNOWN
        if stated == wanted or (known and not self.controls.voxel_size.touched):
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

    # ---- small things

    def cancel(self, checked: bool = False) -> None:
        """Stop the prediction and the preview after their current batch."""
        self._volume_lane.cancel()
        self._preview_lane.cancel()
        self.controls.show_status("Stopping …")

    def _on_volume(self) -> None:
        self._show_busy()
        self._live.look()

    def _show_busy(self) -> None:
        self.controls.show_busy(self._volume_lane.busy, self._preview_lane.busy)


def _in_words(card: ModelCard) -> str:
    """``DTN · tiles of 224 px · trained at 30 × 6 × 6 nm``."""
    parts = [card.network.arch.upper(), f"tiles of {card.patch_size} px"]
    if card.voxel_size:
        parts.append(f"trained at {size_words(card.voxel_size)}")
    return " · ".join(parts)
