"""A click session as layers on top of its image: committed objects, the object in work, the clicks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn._napari.layers import KEY, place_of
from napari_dtn._napari.overlays import find, selection_kept
from napari_dtn._napari.painted import PaintedLabels
from napari_dtn._napari.pyramid import Level
from napari_dtn.colours import ORANGE, SKY, YELLOW
from napari_dtn.segment.windows import lay

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari.layers
    import napari.viewer
    from numpy.typing import NDArray

    from napari_dtn.session import ClickSession, Mask, Prompt

OBJECTS, WORK, CLICKS = "objects", "object in work", "clicks"
_POINT = 15.0  # pixels of the image


class MaskStack:
    """A mask as layer data of one scale or several, uint8; it is replaced while it is shown.

    Parameters
    ----------
    shapes
        Of the volume, (Z, Y, X), and of its coarser scales.
    """

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(self, shapes: Sequence[tuple[int, int, int]]) -> None:
        self._shapes = tuple(shapes)
        self.shape = self._shapes[0]
        self.size = int(np.prod(self.shape, dtype=object))
        self.mask: Mask | None = None

    @property
    def levels(self) -> list[Level]:
        """The arrays of a multiscale layer, the finest first."""
        return [Level(self, scale, tuple(map(range, shape))) for scale, shape in enumerate(self._shapes)]

    def read(self, scale: int, z: int, y: slice, x: slice) -> NDArray[np.uint8]:
        """Return a window of slice z at a scale, ``(height, width)``: every so many-th pixel."""
        out = np.zeros((y.stop - y.start, x.stop - x.start), np.uint8)
        if self.mask is not None and z in self.mask.slices:
            step, (first, top, left) = 2**scale, self.mask.origin
            plane = self.mask.inside[z - first, -top % step :: step, -left % step :: step]
            lay(plane, (-(-top // step), -(-left // step)), out, y, x)
        return out

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        if self.mask is None:
            blank = np.broadcast_to(np.zeros((), np.uint8), self.shape)
            return np.array(blank[key])
        return np.asarray(self.mask[key]).astype(np.uint8)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


class ClickLayers:
    """The layers of one session.

    Parameters
    ----------
    viewer, image
        Where they go.
    session
        What they show.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, image: napari.layers.Layer, session: ClickSession
    ) -> None:
        self._viewer, self.image = viewer, image
        self._stack = MaskStack([level.shape for level in session.levels])
        self.painted = PaintedLabels(session.levels)
        place = place_of(image)
        with selection_kept(viewer):
            self.objects = self._put(self._add_objects, self.painted, OBJECTS, opacity=0.45, **place)
            self.work = self._put(self._add_work, self._stack, WORK, opacity=0.6, **place)
            self.clicks = self._put(viewer.add_points, np.empty((0, 3)), CLICKS, ndim=3, size=_POINT, **place)
        self.work.colormap = _one_colour()
        self.clicks.border_color = "black"

    def _put(self, add: Any, data: Any, what: str, **look: Any) -> Any:
        """Make a layer anew: what an earlier session left is out of date."""
        old = find(self._viewer, self.image, what)
        if old is not None:
            self._viewer.layers.remove(old)
        return add(data, name=f"{self.image.name} {what}", metadata={KEY: {"role": what}}, **look)

    def _add_objects(self, painted: PaintedLabels, **look: Any) -> Any:
        from napari_dtn._napari.pyramid_labels import PyramidLabels

        if len(painted.levels) == 1:
            return self._viewer.add_labels(painted, **look)
        return self._viewer.add_layer(PyramidLabels(painted, **look))

    def _add_work(self, stack: MaskStack, **look: Any) -> Any:
        levels = stack.levels
        return self._viewer.add_labels(stack if len(levels) == 1 else levels, **look)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the volume, (Z, Y, X)."""
        return self._stack.shape

    def there(self) -> bool:
        """Whether all of them are in the viewer."""
        return all(one in self._viewer.layers for one in (self.objects, self.work, self.clicks))

    def show_mask(self, mask: Mask | None) -> None:
        """Show the object in work."""
        self._stack.mask = mask
        self.work.refresh()

    def show_prompts(self, prompts: tuple[Prompt, ...]) -> None:
        """Show what was said: blue crosses include, orange ones exclude."""
        points = [(point, prompt.positive) for prompt in prompts for point in prompt.points]
        self.clicks.data = np.array([point for point, _ in points], float).reshape(-1, 3)
        if points:
            self.clicks.face_color = [SKY if positive else ORANGE for _, positive in points]
            self.clicks.symbol = ["cross" if positive else "x" for _, positive in points]

    def show_objects(self) -> None:
        """Show the committed objects anew."""
        self.objects.refresh()

    def settle(self) -> None:
        """Show what was painted from the disk, where all of it is now."""
        if self.painted.settle():
            self.objects.refresh()

    def remove(self) -> None:
        """Take them out of the viewer; the objects stay as a layer of their own, which no brush changes."""
        for layer in (self.work, self.clicks):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self.objects.editable = False  # nobody would record what is painted


def _one_colour() -> Any:
    from napari.utils.colormaps import DirectLabelColormap

    return DirectLabelColormap(color_dict={0: "transparent", 1: YELLOW, None: "transparent"})
