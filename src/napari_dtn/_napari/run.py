"""A volume that is being predicted, and the layer that shows it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from napari_dtn._napari import overlays
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
        self.layers: list[napari.layers.Layer] = []
        self.linked = False  # the layers show the file
        self.done = self.total = 0
        self.elapsed = 0.0
        self._added: list[napari.layers.Layer] = []

    def maker(self, request: Request) -> Hashable:
        """What decides about the slices shown; a part of a slice is never the answer to a preview."""
        return request.maker if self._roi.y == self._roi.x == (None, None) else (request.maker, self._roi)

    def show(self, viewer: napari.viewer.Viewer, names: Sequence[str]) -> list[napari.layers.Layer]:
        """Return the layers of its classes; made where they are missing."""
        if not self.layers:
            before = overlays.layers_on(viewer, self.image)
            self.layers = overlays.boundary_layers(viewer, self.image, names)
            self._added = [layer for layer in self.layers if not before]
        return self.layers

    def take_back(self, viewer: napari.viewer.Viewer) -> None:
        """Remove the layers of a run that came to nothing."""
        for layer in self._added:
            if layer in viewer.layers:
                viewer.layers.remove(layer)
