"""A box with the viewer's layers of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy

from napari_dtn._napari.layers import role_of

if TYPE_CHECKING:
    import napari.viewer


class LayerChoice(QComboBox):
    """Offers the layers of a viewer, save our overlays, and follows what comes, goes and is renamed.

    Parameters
    ----------
    viewer
        Whose layers.
    kind
        Name of the layers' class: ``Image`` or ``Labels``.

    Signals
    -------
    layer_changed
        Another layer is chosen, or none is left.
    """

    layer_changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, kind: str = "Image") -> None:
        super().__init__()
        self._kind = kind
        self._viewer = viewer
        self._layers: list[Any] = []
        self._chosen: Any = None
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self.refresh)
        viewer.layers.events.reordered.connect(self.refresh)
        viewer.layers.events.renamed.connect(self.refresh)
        self.currentIndexChanged.connect(self._choose)
        self.refresh()

    @property
    def layer(self) -> Any:
        """The chosen layer; None where there is none to choose."""
        return self._chosen

    def disconnect_viewer(self) -> None:
        """Stop following the viewer."""
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.disconnect(self.refresh)

    def refresh(self, event: Any = None) -> None:
        """Offer what is there now; the chosen layer stays chosen while it is there."""
        import napari.layers

        kind = getattr(napari.layers, self._kind)
        self._layers = [one for one in self._viewer.layers if isinstance(one, kind) and role_of(one) is None]
        chosen = self._chosen if self._chosen in self._layers else None
        self.blockSignals(True)
        self.clear()
        self.addItems([layer.name for layer in self._layers])
        self.setCurrentIndex(self._layers.index(chosen) if chosen is not None else len(self._layers) - 1)
        self.blockSignals(False)
        self._choose(self.currentIndex())

    def _choose(self, index: int) -> None:
        chosen = self._layers[index] if 0 <= index < len(self._layers) else None
        if chosen is not self._chosen:
            self._chosen = chosen
            self.layer_changed.emit()
