"""A slice as a model in training sees it, and as it saw it before: a layer for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dtn._napari.layers import KEY, class_look, role_of, same_place, title
from napari_dtn._napari.overlays import find, is_on, selection_kept

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from napari_dtn._napari.finetune_tasks import Looked

TAUGHT = "taught"


def show_taught(
    viewer: napari.viewer.Viewer, image: napari.layers.Layer, looked: Looked, before: bool
) -> None:
    """Show a slice; what one of the two models has no map for is hidden meanwhile."""
    maps, names = (looked.before, looked.names_before) if before else (looked.after, looked.names_after)
    shown = {title(TAUGHT, names, number): plane for number, plane in enumerate(maps)}
    for number, (name, plane) in enumerate(shown.items()):
        layer = find(viewer, image, name) or _made(image, name, plane, number)
        layer.data = plane[None]
        layer.metadata[KEY]["inset"] = ((looked.z, 0, 0), 1)
        same_place(layer, image)
        if layer.metadata[KEY].pop("left out", False):
            layer.visible = True
        if layer not in viewer.layers:
            with selection_kept(viewer):
                viewer.layers.insert(viewer.layers.index(image) + 1, layer)
    for layer in taught_layers(viewer, image):
        if layer.name.removeprefix(f"{image.name} ") not in shown and layer.visible:
            layer.visible, layer.metadata[KEY]["left out"] = False, True


def taught_layers(viewer: napari.viewer.Viewer, image: napari.layers.Layer) -> list[napari.layers.Layer]:
    """Return those that there are."""
    return [one for one in viewer.layers if role_of(one) == TAUGHT and is_on(viewer, one, image)]


def _made(image: napari.layers.Layer, name: str, plane: Any, number: int) -> napari.layers.Layer:
    from napari.layers import Image

    metadata = {KEY: {"role": TAUGHT}}
    return Image(plane[None], name=f"{image.name} {name}", metadata=metadata, **class_look(number))
