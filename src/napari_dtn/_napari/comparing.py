"""The half of the warp panel that compares: what is in view by the DTN, without its warp, and by a U-Net."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal

from napari_dtn._napari import warp_layers, warp_tasks
from napari_dtn._napari.job import Lane, notified
from napari_dtn._napari.warp_drawing import draw_opinion
from napari_dtn.words import comparison_words

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from napari_dtn._napari.tasks import Desk, Request
    from napari_dtn._napari.warp_controls import WarpControls
    from napari_dtn.predict.comparing import Comparison

    InView = tuple[napari.layers.Image, Request, warp_tasks.View]


class Comparing(QObject):
    """Does what its controls say.

    Parameters
    ----------
    viewer
        Gets the layers.
    controls
        Those of the panel.
    desk
        Keeps the model.
    in_view
        Says what is chosen, and what of it is in view; raises ValueError where that does not do.
    parent
        Qt's owner.

    Signals
    -------
    shown
        Other layers are there.
    """

    shown = Signal()

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        controls: WarpControls,
        desk: Desk,
        in_view: Callable[[], InView],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._controls, self._desk, self._in_view = viewer, controls, desk, in_view
        self._compared: tuple[napari.layers.Layer, warp_tasks.View, Comparison] | None = None
        self.lane = Lane(self)
        self.lane.stepped.connect(self._on_compared)
        controls.compare.clicked.connect(self._compare)
        controls.shown.currentTextChanged.connect(self._show_opinion)

    def forget(self) -> None:
        """Forget what was compared: another image is looked at."""
        self._compared = None

    @notified
    def _compare(self, checked: bool = False) -> None:
        layer, request, view = self._in_view()
        unet = self._controls.unet.currentData()
        if not unet:
            raise ValueError("No U-Net is chosen to compare with.")
        ids = self._ids(tuple(request.image.levels[0].shape))
        self._comparing = layer, view
        self.lane.start("Comparing", partial(warp_tasks.compare, self._desk, request, unet, view, ids))

    def _ids(self, shape: tuple[int, ...]) -> Any:
        """Return the ids of the truth; None where there is none of this shape."""
        truth = self._controls.truth.layer
        if truth is None:
            return None
        ids = truth.data[0] if truth.multiscale else truth.data
        if tuple(ids.shape) == shape:
            return ids
        show_info(f"“{truth.name}” has another shape than the image, so nothing is scored.")
        return None

    def _on_compared(self, step: Comparison) -> None:
        self._controls.show_progress(step.done, step.total)
        if step.opinions is not None:
            self._compared = *self._comparing, step
            self._controls.status.setText(comparison_words(step.opinions))
            self._show_opinion()

    def _show_opinion(self, name: str = "") -> None:
        if self._compared is None or self._compared[0] not in self._viewer.layers:
            return
        image, view, step = self._compared
        assert step.opinions is not None
        name = self._controls.shown.currentText()
        other = step.opinions[warp_tasks.FROZEN if name == warp_tasks.DTN else name]
        drawing = draw_opinion(view.z, (view.y.start, view.x.start), step.opinions[name], other)
        warp_layers.show(self._viewer, image, drawing)
        self.shown.emit()
