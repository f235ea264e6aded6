"""Predictions as layers on top of an image."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_dtn._napari.layers import (
    BOUNDARIES,
    BOUNDARY_LOOK,
    KEY,
    class_look,
    class_of,
    lies_on,
    role_of,
    same_place,
    title,
)
from napari_dtn._napari.pyramid import ClassPicture, Pyramid
from napari_dtn._napari.stack import SliceStack
from napari_dtn._napari.view import shows_slices, slice_in_view

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari.layers
    import napari.viewer

    from napari_dtn.predict.mosaic import Picture


def boundary_layers(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, names: Sequence[str] = ("boundary",)
) -> list[napari.layers.Layer]:
    """Return the layer ``<image> boundaries``, or for each of several classes one with its name after that.

    Each has a :class:`SliceStack`; those that are missing are made, those of other classes removed. A
    prediction that was opened from a file under these names stays visible, with new previews in its place.
    """
    wanted = [title(BOUNDARIES, names, number) for number in range(len(names))]
    for layer in layers_on(viewer, image):
        if layer.name.removeprefix(f"{image.name} ") not in wanted:
            viewer.layers.remove(layer)
    return [_boundary_layer(viewer, image, names, number) for number in range(len(names))]


def layers_on(viewer: napari.viewer.Viewer, image: napari.layers.Layer) -> list[napari.layers.Layer]:
    """Return the layers that show a prediction of an image."""
    whole = f"{image.name} {BOUNDARIES}"
    ours = [layer for layer in viewer.layers if role_of(layer) == BOUNDARIES]
    return [layer for layer in ours if layer.name in (whole, f"{whole} {class_of(layer)}")]


def _boundary_layer(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, names: Sequence[str], number: int
) -> napari.layers.Layer:
    name, shape = title(BOUNDARIES, names, number), _shape(image)
    layer = find(viewer, image, name)
    if layer is None or tuple(layer.data.shape) != shape:
        if layer is not None:
            viewer.layers.remove(layer)
        metadata = {KEY: {"role": BOUNDARIES, "class": names[number]}}
        look = {"name": f"{image.name} {name}", **class_look(number)}
        return _add(viewer, image, SliceStack(shape), metadata=metadata, **look)
    if stack_of(layer) is None:
        finest = layer.data[0] if layer.multiscale else layer.data
        stack = SliceStack(shape, finest, complete=set(range(shape[0])))
        if layer.multiscale:  # a layer keeps its number of scales
            return _with_data(viewer, image, layer, stack)
        layer.data = stack
    return layer


def live_layers(
    viewer: napari.viewer.Viewer,
    image: napari.layers.Layer,
    names: Sequence[str],
    picture: Picture,
    maker: Hashable,
) -> list[napari.layers.Layer]:
    """Return the layers of a prediction as pyramids that show a live picture, by ``maker``, too."""
    return [
        _live(viewer, image, layer, ClassPicture(picture, number), maker)
        for number, layer in enumerate(boundary_layers(viewer, image, names))
    ]


def _live(
    viewer: napari.viewer.Viewer,
    image: napari.layers.Layer,
    layer: napari.layers.Layer,
    picture: ClassPicture,
    maker: Hashable,
) -> napari.layers.Layer:
    pyramid, stack = pyramid_of(layer), stack_of(layer)
    if pyramid is None:
        assert stack is not None
        return _with_data(viewer, image, layer, Pyramid(stack, picture, maker).levels)
    if (pyramid.picture, pyramid.maker) != (picture, maker):
        pyramid.picture, pyramid.maker = picture, maker
        layer.refresh()
    return layer


def show_only(layers: Sequence[napari.layers.Layer], maker: Hashable) -> None:
    """Beside what Live has found, show what ``maker`` previewed or predicted; None: what anybody did."""
    for layer in layers:
        pyramid = pyramid_of(layer)
        if pyramid is not None and pyramid.maker != maker:
            pyramid.maker = maker
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
    look = {name: getattr(layer, name) for name in (*BOUNDARY_LOOK, "gamma", "visible", "name")}
    facts = {"role": BOUNDARIES, "class": class_of(layer)}
    at = viewer.layers.index(layer)
    with selection_kept(viewer):
        viewer.layers.remove(layer)
    return _add(viewer, image, data, at, metadata={KEY: facts}, **look)


def _add(
    viewer: napari.viewer.Viewer,
    image: napari.layers.Layer,
    data: Any,
    at: int | None = None,
    **options: Any,
) -> napari.layers.Layer:
    from napari.layers import Image

    layer = Image(data, multiscale=isinstance(data, list), **options)
    same_place(layer, image)
    with selection_kept(viewer):
        viewer.layers.insert(viewer.layers.index(image) + 1 if at is None else at, layer)
    return layer


def _shape(image: napari.layers.Layer) -> tuple[int, int, int]:
    finest = image.data[0] if image.multiscale else image.data
    y, x = finest.shape[-2:]
    return finest.shape[0] if image.ndim > 2 else 1, y, x


def show_source(layers: Sequence[napari.layers.Layer], sources: Sequence[Any], maker: Hashable) -> None:
    """Let the overlays show a file that is being filled, and forget the previews of other makers."""
    for layer, source in zip(layers, sources, strict=True):
        stack, pyramid = stack_of(layer), pyramid_of(layer)
        assert stack is not None
        if pyramid is None:
            layer.data = stack.over(source, maker)
        else:
            pyramid.stack = stack.over(source, maker)
            layer.refresh()


def shows(layers: Sequence[napari.layers.Layer], z: int, maker: Hashable) -> bool:
    """Whether overlays show, at slice z, what ``maker`` predicted with the whole volume."""
    stacks = [stack_of(layer) for layer in layers]
    return bool(stacks) and all(stack is not None and stack.holds(z, maker) for stack in stacks)


def have_whole(layers: Sequence[napari.layers.Layer], z: int, y: slice, x: slice, maker: Hashable) -> bool:
    """Whether overlays that Live has used can show a part of slice z as ``maker`` predicted it."""
    pyramids = [pyramid_of(layer) for layer in layers]
    return bool(pyramids) and all(one is not None and one.has_whole(z, y, x, maker) for one in pyramids)


def put(layers: Sequence[napari.layers.Layer], z: int, planes: Any, maker: Hashable = None) -> None:
    """Show a previewed slice, ``(C, Y, X)``."""
    for layer, plane in zip(layers, planes, strict=True):
        stack = stack_of(layer)
        assert stack is not None
        stack.put(z, plane, maker)
    bring_up(layers)
    for layer in layers:
        layer.refresh()


def bring_up(layers: Sequence[napari.layers.Layer]) -> None:
    """Show overlays that are all hidden; which of several classes to see is the user's choice."""
    if not any(layer.visible for layer in layers):
        for layer in layers:
            layer.visible = True


def complete(viewer: napari.viewer.Viewer, layers: Sequence[napari.layers.Layer], z: int) -> None:
    """Show slice z of the file, if the overlays still show that file."""
    for layer in layers:
        stack = stack_of(layer)
        if stack is not None:
            stack.add_complete(z)
            if not shows_slices(viewer) or slice_in_view(viewer, layer) == z:
                layer.refresh()


def find(viewer: napari.viewer.Viewer, image: napari.layers.Layer, what: str) -> napari.layers.Layer | None:
    """Return our layer of this name on top of an image."""
    name = f"{image.name} {what}"
    return next((one for one in viewer.layers if one.name == name and role_of(one) is not None), None)


def follow(viewer: napari.viewer.Viewer, image: napari.layers.Layer) -> None:
    """Move what lies on top of an image to where it lies now."""
    for layer in viewer.layers:
        if is_on(viewer, layer, image):
            same_place(layer, image)


def is_on(viewer: napari.viewer.Viewer, layer: napari.layers.Layer, image: napari.layers.Layer) -> bool:
    """Whether a layer is ours, on top of an image."""
    return lies_on(layer, image.name, [one.name for one in viewer.layers if role_of(one) is None])


@contextmanager
def selection_kept(viewer: napari.viewer.Viewer) -> Iterator[None]:
    """A layer that appears by itself must not take the place of the one that the user works on."""
    active = viewer.layers.selection.active
    yield
    if active is not None and active in viewer.layers:
        viewer.layers.selection.active = active
