"""Where boundaries for clicking may come from: layers that have those of an image, and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dtn._napari.click_desk import Source
from napari_dtn._napari.layers import BOUNDARIES, class_of, path_of, role_of
from napari_dtn._napari.stack import SliceStack
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
    """Whether a layer has the boundaries of every slice of an image."""
    if role_of(layer) != BOUNDARIES or layer.name.split(f" {BOUNDARIES}")[0] != image.name or layer.ndim != 3:
        return False
    if not is_boundary(class_of(layer)):
        return False
    return not isinstance(layer.data, SliceStack) or len(layer.data.complete) == layer.data.shape[0]


def _source_of(layer: napari.layers.Layer, image: napari.layers.Layer) -> Source:
    data = layer.data[0] if layer.multiscale else layer.data
    array = data.source if isinstance(data, SliceStack) else data
    z, y, x = (
        round(float((a - b) / side))
        for a, b, side in zip(layer.translate[-3:], _translation(image), layer.scale[-3:], strict=True)
    )
    return Source(f"the layer “{layer.name}”", array=array, origin=(z, y, x), path=path_of(layer))


def _translation(image: napari.layers.Layer) -> tuple[float, float, float]:
    z, y, x = [0.0] * (3 - image.ndim) + [float(one) for one in image.translate]
    return z, y, x
