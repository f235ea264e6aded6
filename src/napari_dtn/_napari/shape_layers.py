"""Meshes and skeletons as layers beside their image, in nm."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn._napari.layers import KEY, place_of
from napari_dtn._napari.overlays import find, selection_kept

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from napari_dtn.settings import VoxelSize
    from napari_dtn.shapes.mesh import Mesh
    from napari_dtn.shapes.skeleton import Skeleton

_WIDTH = 2.0  # of a skeleton's lines, pixels of the screen


def show_shape(
    viewer: napari.viewer.Viewer,
    image: napari.layers.Layer,
    shape: Mesh | Skeleton,
    voxel_size: VoxelSize,
    colour: tuple[float, ...],
) -> napari.layers.Layer:
    """Show a shape as the layer ``<image> mesh 12`` or ``<image> skeleton 12``, in place of an older one.

    Parameters
    ----------
    viewer, image
        Where it goes.
    shape
        In nm from the centre of the image's first voxel.
    voxel_size
        Of the image, nm, (Z, Y, X).
    colour
        RGBA.
    """
    what = f"{'mesh' if hasattr(shape, 'faces') else 'skeleton'} {shape.id}"
    old = find(viewer, image, what)
    look = {"name": f"{image.name} {what}", "metadata": {KEY: {"role": what}}, **_place(image, voxel_size)}
    with selection_kept(viewer):
        if old is not None:
            viewer.layers.remove(old)
        return (
            _surface(viewer, shape, colour, look)
            if hasattr(shape, "faces")
            else _lines(viewer, shape, colour, look)
        )


def _surface(
    viewer: napari.viewer.Viewer, mesh: Mesh, colour: tuple[float, ...], look: dict[str, Any]
) -> Any:
    colours = np.tile(np.asarray((*colour[:3], 1.0), np.float32), (len(mesh.vertices), 1))
    return viewer.add_surface((mesh.vertices, mesh.faces), vertex_colors=colours, shading="smooth", **look)


def _lines(
    viewer: napari.viewer.Viewer, skeleton: Skeleton, colour: tuple[float, ...], look: dict[str, Any]
) -> Any:
    child, parent = skeleton.points[skeleton.edges.T]
    lines = np.stack([parent, child - parent], axis=1)
    return viewer.add_vectors(
        lines, ndim=3, edge_color=[colour], edge_width=_WIDTH, vector_style="line", opacity=1.0, **look
    )


def _place(image: napari.layers.Layer, voxel_size: VoxelSize) -> dict[str, Any]:
    """Where the image lies, for a layer whose unit is the nm."""
    place = place_of(image)
    return {**place, "scale": [side / size for side, size in zip(place["scale"], voxel_size, strict=True)]}


class Depth:
    """Shows shapes in 3D, and slices again as they were when the user goes back to 2D.

    In 3D napari would read whole volumes to draw them, over the shapes; so they are hidden as long.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self._hidden: list[napari.layers.Layer] = []
        viewer.dims.events.ndisplay.connect(self._on_turned)

    def enter(self) -> None:
        """Go to 3D."""
        if self._viewer.dims.ndisplay == 3:
            return
        self._hidden = [one for one in self._viewer.layers if one.visible and _is_volume(one)]
        for layer in self._hidden:
            layer.visible = False
        self._viewer.dims.ndisplay = 3
        self._viewer.reset_view()

    def leave(self) -> None:
        """Follow the viewer no longer."""
        with suppress(ValueError, TypeError):
            self._viewer.dims.events.ndisplay.disconnect(self._on_turned)

    def _on_turned(self, event: Any = None) -> None:
        if self._viewer.dims.ndisplay == 2:
            for layer in self._hidden:
                layer.visible = True
            self._hidden = []


def _is_volume(layer: napari.layers.Layer) -> bool:
    from napari.layers import Image, Labels

    return isinstance(layer, (Image, Labels))
