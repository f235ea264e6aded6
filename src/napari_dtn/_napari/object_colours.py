"""Colours of committed objects: those of napari, unless somebody chose others or hid them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import napari.layers

    from napari_dtn.session import ObjectFacts

Rgba = tuple[float, float, float, float]
_NEW = "#808080"  # of what has just been painted, until it is known


class ObjectColours:
    """Gives a labels layer the colours of its objects.

    Parameters
    ----------
    layer
        Its own colormap is that of objects without a colour.
    """

    def __init__(self, layer: napari.layers.Labels) -> None:
        self._layer = layer
        self._usual = layer.colormap
        self._wishes: dict[int, tuple[str, bool]] = {}

    def of(self, facts: ObjectFacts) -> Rgba:
        """Return the colour of an object, whether it is hidden or not."""
        from napari.utils.colormaps.standardize_color import transform_color

        if facts.colour:
            red, green, blue, alpha = transform_color(facts.colour)[0]
        else:
            red, green, blue, alpha = self._usual.map(np.asarray([facts.id], np.uint32))[0]
        return float(red), float(green), float(blue), float(alpha)

    def name_of(self, facts: ObjectFacts) -> str:
        """Return the colour of an object as ``#rrggbb``."""
        return "#" + "".join(f"{round(255 * part):02x}" for part in self.of(facts)[:3])

    def show(self, objects: Sequence[ObjectFacts]) -> None:
        """Colour the layer anew where a wish, or what it is about, has changed."""
        wished = any(one.colour or one.hidden for one in objects)
        wishes = {one.id: (one.colour, one.hidden) for one in objects} if wished else {}
        if wishes != self._wishes:
            self._wishes = wishes
            self._layer.colormap = self._direct(wishes) if wished else self._usual

    def _direct(self, wishes: dict[int, tuple[str, bool]]) -> Any:
        from napari.utils.colormaps import DirectLabelColormap

        usual = self._usual.map(np.fromiter(wishes, np.uint32, len(wishes)))
        colours: dict[int | None, Any] = {None: _NEW, 0: "transparent"}
        for (number, (colour, hidden)), other in zip(wishes.items(), usual, strict=True):
            colours[number] = "transparent" if hidden else colour or other
        return DirectLabelColormap(color_dict=colours)
