"""Predictions as layers on top of an image."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_dtn._napari.layers import BOUNDARIES, BOUNDARY_LOOK, KEY, role_of, same_place
from napari_dtn._napari.stack import SliceStack

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari.layers
    import napari.viewer


def boundary_layer(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, classes: int = 1
) -> napari.layers.Layer:
    """Return the layer ``<image> boundaries``, with a :class:`SliceStack`; made where it is missing.

    A prediction that was opened from a file under this name stays visible, with new previews in its place.
    """
    layer, shape = find(viewer, image, BOUNDARIES), _shape(image, classes)
    if layer is None or tuple(layer.data.shape) != shape:
        if layer is not None:
            viewer.layers.remove(layer)
        return _add_boundaries(viewer, image, SliceStack(shape))
    if not isinstance(layer.data, SliceStack):
        layer.data = SliceStack(shape, layer.data, complete=set(range(shape[-3])))
    return layer


def _add_boundaries(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, stack: SliceStack
) -> napari.layers.Layer:
    from napari.layers import Image

    layer = Image(
        stack, name=f"{image.name} {BOUNDARIES}", metadata={KEY: {"role": BOUNDARIES}}, **BOUNDARY_LOOK
    )
    same_place(layer, image)
    with selection_kept(viewer):
        viewer.layers.insert(viewer.layers.index(image) + 1, layer)
    return layer


def _shape(image: napari.layers.Layer, classes: int) -> tuple[int, ...]:
    finest = image.data[0] if image.multiscale else image.data
    y, x = finest.shape[-2:]
    z = finest.shape[0] if image.ndim > 2 else 1
    return (z, y, x) if classes == 1 else (classes, z, y, x)


def show_source(layer: napari.layers.Layer, source: Any, maker: Any) -> None:
    """Let the overlay show a file that is being filled, and forget the previews of other makers."""
    layer.data = layer.data.over(source, maker)


def shows(layer: napari.layers.Layer, z: int, maker: Hashable) -> bool:
    """Whether the overlay shows, at slice z, what ``maker`` predicted with the whole volume."""
    return isinstance(layer.data, SliceStack) and layer.data.holds(z, maker)


def put(layer: napari.layers.Layer, z: int, plane: Any, maker: Hashable = None) -> None:
    """Show a previewed slice."""
    layer.data.put(z, plane, maker)
    layer.visible = True
    layer.refresh()


def complete(layer: napari.layers.Layer, z: int) -> None:
    """Show slice z of the file, if the overlay still shows that file."""
    if isinstance(layer.data, SliceStack):
        layer.data.add_complete(z)
        layer.refresh()


def find(viewer: napari.viewer.Viewer, image: napari.layers.Layer, what: str) -> napari.layers.Layer | None:
    """Return our layer of this name on top of an image."""
    name = f"{image.name} {what}"
    return next((one for one in viewer.layers if one.name == name and role_of(one) is not None), None)


def follow(viewer: napari.viewer.Viewer, image: napari.layers.Layer) -> None:
    """Move what lies on top of an image to where it lies now."""
    for layer in viewer.layers:
        if role_of(layer) is not None and layer.name.startswith(f"{image.name} "):
            same_place(layer, image)


@contextmanager
def selection_kept(viewer: napari.viewer.Viewer) -> Iterator[None]:
    """A layer that appears by itself must not take the place of the one that the user works on."""
    active = viewer.layers.selection.active
    yield
    if active is not None and active in viewer.layers:
        viewer.layers.selection.active = active
