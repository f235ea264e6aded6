"""Preview: the slice in view, predicted while somebody waits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_dtn._napari import overlays, tasks
from napari_dtn._napari.job import Lane, notified
from napari_dtn._napari.view import slice_in_view

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from napari_dtn._napari.controls import PredictControls
    from napari_dtn._napari.live import Ask


class Previewing(QObject):
    """Does what its button says.

    Parameters
    ----------
    viewer
        Whose slice, and who gets the layers.
    controls
        The button, and where to say how far it is.
    desk
        Keeps the model.
    request
        Says what is chosen; raises ValueError where that does not do.
    elsewhere_busy
        Whether a whole volume is being predicted, which then is what the bar shows.
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
        elsewhere_busy: Callable[[], bool],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._controls, self._desk = viewer, controls, desk
        self._request, self._elsewhere_busy = request, elsewhere_busy
        self._image: napari.layers.Image | None = None
        self.lane = Lane(self)
        self.lane.stepped.connect(self._on_step)
        self.lane.ended.connect(self._on_ended)
        controls.preview.clicked.connect(self._start)

    @notified
    def _start(self, checked: bool = False) -> None:
        layer, request = self._request()
        z = slice_in_view(self._viewer, layer)
        known = overlays.layers_on(self._viewer, layer)
        if overlays.shows(known, z, request.maker):
            overlays.bring_up(known)
            return
        self._image = layer
        self.lane.start(f"Previewing slice {z}", partial(tasks.preview, self._desk, request, z))
        self._show_progress(0, 0, "loading the model …")
        self.changed.emit()

    def _on_step(self, step: tasks.PreviewPart | tasks.Previewed) -> None:
        if isinstance(step, tasks.PreviewPart):
            self._show_progress(step.done, step.total, f"preview: tile {step.done} of {step.total}")
        elif self._image in self._viewer.layers:
            layers = overlays.boundary_layers(self._viewer, self._image, step.names)
            overlays.put(layers, step.z, step.planes, step.request.maker)

    def _on_ended(self) -> None:
        if not self._elsewhere_busy():
            done = self.lane.outcome == "done"
            self._controls.show_end(f"Ran with {self._desk.runs_with}" if done else "Preview stopped.")
        self.changed.emit()

    def _show_progress(self, done: int, total: int, text: str) -> None:
        if not self._elsewhere_busy():
            self._controls.show_progress(done, total, text)
