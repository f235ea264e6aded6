"""Where boundaries for clicking may come from: layers that have those of an image, and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dtn._napari.click_desk import Source
from napari_dtn._napari.layers import BOUNDARIES, class_of, corner_in, path_of, role_of
from napari_dtn._napari.overlays import stack_of
from napari_dtn._napari.stack import Placed
from napari_dtn.nn.bundled import known_models
from napari_dtn.words import is_boundary

if TYPE_CHECKING:
    from collections.abc import Iterable

    import napari.layers


def sources_of(layers: Iterable[napari.layers.Layer], image: napari.layers.Layer | None) -> list[Source]:
    """Return the boundary layers of an image, then the models."""
    whole = [layer for layer in layers if image is not None and _is_whole(layer, image)]
    models = [Source(f"predict with {name}", model=name) for name in known_models()]
    return [*(_source_of(layer, image) for layer in whole), *models]


def _is_whole(layer: napari.layers.Layer, image: napari.layers.Layer) -> bool:
    """Whether a layer has all the boundaries of an image, or of the region that was predicted of it."""
    if role_of(layer) != BOUNDARIES or layer.name.split(f" {BOUNDARIES}")[0] != image.name or layer.ndim != 3:
        return False
    if not is_boundary(class_of(layer)):
        return False
    stack = stack_of(layer)
    if stack is None:
        return True
    slices = stack.source.box[0] if isinstance(stack.source, Placed) else slice(0, stack.shape[0])
    return stack.complete.issuperset(range(slices.start, slices.stop))


def _source_of(layer: napari.layers.Layer, image: napari.layers.Layer) -> Source:
    stack = stack_of(layer)
    array = (layer.data[0] if layer.multiscale else layer.data) if stack is None else stack.source
    corner = (0, 0, 0)
    if isinstance(array, Placed):  # around its box nothing is known, which is not the same as no boundary
        corner, array = tuple(side.start for side in array.box), array.array
    z, y, x = (at + start for at, start in zip(corner_in(layer, image), corner, strict=True))
    return Source(f"the layer “{layer.name}”", array=array, origin=(z, y, x), path=path_of(layer))
