"""The doubtful place that is asked about, as a layer: its border and a ring around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dtn._napari.layers import KEY, place_of
from napari_dtn._napari.overlays import find, selection_kept
from napari_dtn._napari.view import fly_to
from napari_dtn.colours import ORANGE, SKY

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from napari_dtn.session import Doubt

DOUBT = "doubtful place"
_RING, _BORDER = 40.0, 2.0  # pixels of the image


def show_doubt(viewer: napari.viewer.Viewer, image: napari.layers.Layer, doubt: Doubt | None) -> None:
    """Show a doubtful place and go there; none takes the layer away."""
    layer = find(viewer, image, DOUBT)
    if doubt is None:
        if layer is not None:
            viewer.layers.remove(layer)
        return
    points = np.array([doubt.places[0], *doubt.places], float)
    if layer is not None:
        viewer.layers.remove(layer)
    with selection_kept(viewer):
        layer = viewer.add_points(
            points,
            name=f"{image.name} {DOUBT}",
            ndim=3,
            size=[_RING, *[_BORDER] * len(doubt.places)],
            symbol=["ring", *["square"] * len(doubt.places)],
            face_color=SKY if doubt.joined else ORANGE,
            border_width=0,
            metadata={KEY: {"role": DOUBT}},
            **place_of(image),
        )
    fly_to(viewer, layer, doubt.places[0])
