"""A volume that is being predicted, and the layer that shows it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from napari_dtn._napari import overlays
from napari_dtn._napari.layers import BOUNDARIES
from napari_dtn.settings import Roi

if TYPE_CHECKING:
    from pathlib import Path

    import napari.layers
    import napari.viewer

    from napari_dtn._napari.tasks import Request


class Run:
    """A volume that is being predicted.

    Parameters
    ----------
    image
        What is predicted.
    output
        Where to.
    roi
        What of it.
    """

    def __init__(self, image: napari.layers.Image, output: Path, roi: Roi) -> None:
        self.image = image
        self.output = output
        self._roi = roi
        self.overlay: napari.layers.Layer | None = None
        self.linked = False  # the overlay shows the file
        self.done = self.total = 0
        self.elapsed = 0.0
        self._added = False

    def maker(self, request: Request) -> Hashable:
        """What decides about the slices shown; a part of a slice is never the answer to a preview."""
        return request.maker if self._roi.y == self._roi.x == (None, None) else (request.maker, self._roi)

    def show(self, viewer: napari.viewer.Viewer, classes: int) -> napari.layers.Layer:
        """Return the overlay; made where it is missing."""
        if self.overlay is None:
            self._added = overlays.find(viewer, self.image, BOUNDARIES) is None
            self.overlay = overlays.boundary_layer(viewer, self.image, classes)
        return self.overlay

    def take_back(self, viewer: napari.viewer.Viewer) -> None:
        """Remove the overlay of a run that came to nothing."""
        if self._added and self.overlay in viewer.layers:
            viewer.layers.remove(self.overlay)
