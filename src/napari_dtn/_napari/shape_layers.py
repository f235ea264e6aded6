"""Meshes and skeletons as layers beside their image."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn._napari.layers import KEY, place_of
from napari_dtn._napari.overlays import find, selection_kept

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer
    from numpy.typing import NDArray

    from napari_dtn.shapes.mesh import Mesh
    from napari_dtn.shapes.skeleton import Skeleton
    from napari_dtn.volume.opening import Volume

_WIDTH = 0.7  # of a skeleton's lines, in heights of a slice


def show_shape(
    viewer: napari.viewer.Viewer,
    image: napari.layers.Layer,
    shape: Mesh | Skeleton,
    volume: Volume,
    colour: tuple[float, ...],
) -> napari.layers.Layer:
    """Show a shape as the layer ``<image> mesh 12`` or ``<image> skeleton 12``, in place of an older one.

    Parameters
    ----------
    viewer, image
        Where it goes.
    shape
        In nm from the centre of the image's first voxel.
    volume
        What the image shows; its voxel size is known.
    colour
        RGBA.
    """
    from napari_dtn.shapes.mesh import Mesh

    what = f"{'mesh' if isinstance(shape, Mesh) else 'skeleton'} {shape.id}"
    old = find(viewer, image, what)
    look = {"name": f"{image.name} {what}", "metadata": {KEY: {"role": what}}, **_place(image)}
    with selection_kept(viewer):
        if old is not None:
            viewer.layers.remove(old)
        if isinstance(shape, Mesh):
            return _surface(viewer, _in_place(shape.vertices, volume), shape.faces, colour, look)
        return _lines(viewer, _in_place(shape.points, volume)[shape.edges.T], colour, look)


def _surface(
    viewer: napari.viewer.Viewer,
    vertices: NDArray[Any],
    faces: NDArray[Any],
    colour: tuple[float, ...],
    look: dict[str, Any],
) -> Any:
    colours = np.tile(np.asarray((*colour[:3], 1.0), np.float32), (len(vertices), 1))
    return viewer.add_surface((vertices, faces), vertex_colors=colours, shading="smooth", **look)


def _lines(
    viewer: napari.viewer.Viewer, ends: NDArray[Any], colour: tuple[float, ...], look: dict[str, Any]
) -> Any:
    child, parent = ends
    lines = np.stack([parent, child - parent], axis=1)
    return viewer.add_vectors(
        lines, ndim=3, edge_color=[colour], edge_width=_WIDTH, vector_style="line", opacity=1.0, **look
    )


# No layer may change the steps of napari's slider, which are the smallest scale of all layers, counted from
# the lowest place of any. So a shape's unit is the height of a slice, along all axes (otherwise its surface
# would be lit wrongly), and it is cut at the centres of the outermost voxels.


def _in_place(points: NDArray[Any], volume: Volume) -> NDArray[Any]:
    """Return points, nm, in heights of a slice, inside of the volume."""
    assert volume.voxel_size is not None
    size = np.array(volume.voxel_size)
    inside: NDArray[Any] = np.clip(points, 0, size * np.subtract(volume.shape, 1)) / size[0]
    return inside


def _place(image: napari.layers.Layer) -> dict[str, Any]:
    place = place_of(image)
    return {**place, "scale": [place["scale"][0]] * 3}


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
