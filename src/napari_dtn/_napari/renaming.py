"""An image that is renamed keeps what lies on it: that is renamed too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_dtn._napari.layers import lies_on, role_of

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

_followed: WeakKeyDictionary[Any, _Names] = WeakKeyDictionary()  # by the events of a viewer's layers


def follow_names(viewer: napari.viewer.Viewer) -> None:
    """Rename what lies on an image along with it, from now on for as long as the viewer is there."""
    events = getattr(viewer, "__wrapped__", viewer).layers.events  # a plugin may be given a proxy
    if events not in _followed:
        _followed[events] = _Names(viewer)


class _Names:
    """The names that a viewer's layers have had up to now; it holds neither."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._names: WeakKeyDictionary[napari.layers.Layer, str] = WeakKeyDictionary()
        for layer in viewer.layers:
            self._names[layer] = layer.name
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.renamed.connect(self._on_renamed)

    def _on_inserted(self, event: Any) -> None:
        self._names[event.value] = event.value.name

    def _on_renamed(self, event: Any) -> None:
        layers = list(event.source)
        layer = layers.pop(event.index)
        if role_of(layer) is not None or layer.name in [one.name for one in layers]:
            return  # of two layers of one name napari renames one again
        old, self._names[layer] = self._names.get(layer, layer.name), layer.name
        images = [old, *(one.name for one in layers if role_of(one) is None)]
        for one in [one for one in layers if lies_on(one, old, images)]:
            one.name = layer.name + one.name.removeprefix(old)
