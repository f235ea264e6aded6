"""Predictions as layers on top of an image."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_dtn._napari.layers import BOUNDARIES, BOUNDARY_LOOK, KEY, role_of, same_place
from napari_dtn._napari.pyramid import Pyramid
from napari_dtn._napari.stack import SliceStack

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari.layers
    import napari.viewer

    from napari_dtn.predict.mosaic import Picture


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
    if stack_of(layer) is None:
        finest = layer.data[0] if layer.multiscale else layer.data
        stack = SliceStack(shape, finest, complete=set(range(shape[-3])))
        if layer.multiscale:  # a layer keeps its number of scales
            return _with_data(viewer, image, layer, stack)
        layer.data = stack
    return layer


def live_layer(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, picture: Picture, maker: Hashable
) -> napari.layers.Layer:
    """Return the layer ``<image> boundaries`` as a pyramid that shows a live picture, by ``maker``, too."""
    layer = boundary_layer(viewer, image, picture.classes)
    pyramid, stack = pyramid_of(layer), stack_of(layer)
    if pyramid is None:
        assert stack is not None
        return _with_data(viewer, image, layer, Pyramid(stack, picture, maker).levels)
    if (pyramid.picture, pyramid.maker) != (picture, maker):
        pyramid.picture, pyramid.maker = picture, maker
        layer.refresh()
    return layer


def end_live(layer: napari.layers.Layer) -> None:
    """Show what was previewed or predicted by whomever again, beside what Live has found."""
    pyramid = pyramid_of(layer)
    if pyramid is not None and pyramid.maker is not None:
        pyramid.maker = None
        layer.refresh()


def pyramid_of(layer: napari.layers.Layer) -> Pyramid | None:
    """Return the pyramid of a layer that Live has used."""
    pyramid = getattr(layer.data[0], "pyramid", None) if layer.multiscale else None
    return pyramid if isinstance(pyramid, Pyramid) else None


def stack_of(layer: napari.layers.Layer) -> SliceStack | None:
    """Return the slices of an overlay that were previewed or predicted as a whole."""
    pyramid = pyramid_of(layer)
    if pyramid is not None:
        return pyramid.stack
    return layer.data if isinstance(layer.data, SliceStack) else None


def _with_data(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, layer: napari.layers.Layer, data: Any
) -> napari.layers.Layer:
    """Put an overlay with other data, of one scale or of several, in the place of a layer."""
    look = {name: getattr(layer, name) for name in (*BOUNDARY_LOOK, "gamma", "visible")}
    at = viewer.layers.index(layer)
    with selection_kept(viewer):
        viewer.layers.remove(layer)
    return _add_boundaries(viewer, image, data, at, **look)


def _add_boundaries(
    viewer: napari.viewer.Viewer,
    image: napari.layers.Layer,
    data: Any,
    at: int | None = None,
    **look: Any,
) -> napari.layers.Layer:
    from napari.layers import Image

    layer = Image(
        data,
        multiscale=isinstance(data, list),
        name=f"{image.name} {BOUNDARIES}",
        metadata={KEY: {"role": BOUNDARIES}},
        **BOUNDARY_LOOK | look,
    )
    same_place(layer, image)
    with selection_kept(viewer):
        viewer.layers.insert(viewer.layers.index(image) + 1 if at is None else at, layer)
    return layer


def _shape(image: napari.layers.Layer, classes: int) -> tuple[int, ...]:
    finest = image.data[0] if image.multiscale else image.data
    y, x = finest.shape[-2:]
    z = finest.shape[0] if image.ndim > 2 else 1
    return (z, y, x) if classes == 1 else (classes, z, y, x)


def show_source(layer: napari.layers.Layer, source: Any, maker: Any) -> None:
    """Let the overlay show a file that is being filled, and forget the previews of other makers."""
    stack, pyramid = stack_of(layer), pyramid_of(layer)
    assert stack is not None
    if pyramid is None:
        layer.data = stack.over(source, maker)
    else:
        pyramid.stack = stack.over(source, maker)
        layer.refresh()


def shows(layer: napari.layers.Layer, z: int, maker: Hashable) -> bool:
    """Whether the overlay shows, at slice z, what ``maker`` predicted with the whole volume."""
    stack = stack_of(layer)
    return stack is not None and stack.holds(z, maker)


def put(layer: napari.layers.Layer, z: int, plane: Any, maker: Hashable = None) -> None:
    """Show a previewed slice."""
    stack = stack_of(layer)
    assert stack is not None
    stack.put(z, plane, maker)
    layer.visible = True
    layer.refresh()


def complete(layer: napari.layers.Layer, z: int) -> None:
    """Show slice z of the file, if the overlay still shows that file."""
    stack = stack_of(layer)
    if stack is not None:
        stack.add_complete(z)
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
