"""A volume, or a part of it, predicted into a file: estimated, begun, followed, ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_dtn._napari import overlays, tasks
from napari_dtn._napari.copying import input_of
from napari_dtn._napari.job import Lane, notified
from napari_dtn._napari.output_choice import how_to_begin, output_path
from napari_dtn._napari.region import region_of
from napari_dtn._napari.run import Run
from napari_dtn.recipes import predict_recipe
from napari_dtn.words import duration, plan_words, progress_words

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from napari_dtn._napari.controls import PredictControls
    from napari_dtn._napari.live import Ask
    from napari_dtn.nn.checkpoint import ModelCard
    from napari_dtn.recipes import Recipe
    from napari_dtn.settings import Roi


class Predicting(QObject):
    """Does what its controls say.

    Parameters
    ----------
    viewer
        Gets the layers.
    controls
        What is predicted, where to, and how far it is.
    desk
        Keeps the model.
    request
        Says what is chosen; raises ValueError where that does not do.
    settle
        Called with the image before it is predicted: from then on its voxel size stays.
    cards
        Cards of models, as far as they have been read.
    parent
        Qt's owner.

    Signals
    -------
    changed
        It runs, or no longer.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        controls: PredictControls,
        desk: tasks.Desk,
        request: Ask,
        settle: Callable[[napari.layers.Layer], None],
        cards: Mapping[str, ModelCard],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._controls, self._desk = viewer, controls, desk
        self._request, self._settle, self._cards = request, settle, cards
        self._running: Run | None = None
        self.lane, self.estimate_lane = Lane(self, keep_last=True), Lane(self)
        self.lane.stepped.connect(self._on_step)
        self.lane.ended.connect(self._on_ended)
        self.estimate_lane.stepped.connect(lambda plan: controls.show_status(plan_words(plan)))
        self.estimate_lane.ended.connect(self._on_estimated)
        controls.run.clicked.connect(self._start)
        controls.pause.toggled.connect(self.lane.pause)
        controls.estimate.clicked.connect(self._estimate)

    def busy(self) -> bool:
        """Whether a volume is being predicted."""
        return self.lane.busy

    def recipe(self) -> Recipe:
        """Return what *Predict volume* would run.

        Raises
        ------
        ValueError
            A choice is missing or does not do, or the image has no file.
        """
        layer, request = self._request()
        image = replace(input_of(layer), voxel_size=self._controls.voxel_size.value)
        output = output_path(self._controls.output.text())
        return predict_recipe(image, request.model, output, self._region(layer), request.settings)

    @notified
    def _estimate(self, checked: bool = False) -> None:
        layer, request = self._request()
        roi = self._region(layer)
        self.estimate_lane.start("Estimating", partial(tasks.estimate, self._desk, request, roi))
        self._controls.show_status("Estimating …")

    def _on_estimated(self) -> None:
        if self.estimate_lane.outcome != "done" and not self.lane.busy:
            self._controls.show_status("No estimate was made.")

    def _region(self, layer: napari.layers.Image) -> Roi:
        controls = self._controls
        return region_of(self._viewer, layer, controls.region.currentData(), controls.slices.text())

    @notified
    def _start(self, checked: bool = False) -> None:
        layer, _ = self._request()
        roi = self._region(layer)  # before the voxel size may change what is shown
        output = output_path(self._controls.output.text())
        how = how_to_begin(self._controls, output)
        if how == "stop":
            return
        self._settle(layer)
        layer, request = self._request()
        self._running = Run(layer, output, roi)
        if request.model in self._cards:
            # A new layer takes napari a while: before the job, not while it runs.
            self._running.show(self._viewer, self._cards[request.model].class_names)
        self.lane.start(
            "Predicting the volume", partial(tasks.whole, self._desk, request, output, how == "anew", roi)
        )
        self._controls.show_progress(0, 0, "loading the model …")
        self.changed.emit()

    def _on_step(self, part: tasks.VolumePart) -> None:
        run, step = self._running, part.step
        if run is None:
            return
        run.done, run.total, run.elapsed = step.slices_done, step.slices, step.elapsed
        if not self.lane.cancelled:
            self._controls.show_progress(step.done, step.total, progress_words(step))
        if run.image in self._viewer.layers:
            layers = run.show(self._viewer, part.names)
            if not run.linked:
                run.linked = True
                overlays.show_source(layers, part.stored, run.maker(part.request))
            if step.slice_done:
                overlays.complete(self._viewer, layers, step.z)

    def _on_ended(self) -> None:
        run, self._running = self._running, None
        self.changed.emit()
        if run is not None and not run.linked:
            run.take_back(self._viewer)
        if run is None or not run.total:
            self._controls.show_end("Stopped.")
        elif self.lane.outcome == "done":
            self._controls.show_end(
                f"{run.done} slices in {duration(run.elapsed)}, saved to {run.output}. "
                f"Ran with {self._desk.runs_with}"
            )
        else:
            self._controls.show_end(
                f"Stopped. What is finished is in {run.output}, {run.done} of {run.total} slices as a whole; "
                "“Predict volume” goes on with it."
            )
