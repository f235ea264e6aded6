"""A labels layer of several scales that a brush may paint: napari itself allows that in one scale only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Labels
from napari.layers._multiscale_data import MultiScaleData
from napari.layers.labels._labels_constants import Mode

if TYPE_CHECKING:
    from napari_dtn._napari.painted import PaintedLabels

# Voxels to each side of the cursor that the fill tool reaches, in slices and in volumes: these may not fit
# into memory.
_REACH = {2: 2048, 3: 128}


class _Editable(MultiScaleData):
    """Levels of a layer; an index of voxels reads and writes the finest, where napari's tools work."""

    def __init__(self, painted: PaintedLabels) -> None:
        super().__init__(painted.levels)
        self._painted = painted

    def __getitem__(self, key: Any) -> Any:
        return self._painted[key] if isinstance(key, tuple) else super().__getitem__(key)

    def __setitem__(self, key: tuple[Any, ...], value: Any) -> None:
        self._painted[key] = value


def _pick(layer: PyramidLabels, event: Any) -> None:
    """Choose the label under the cursor; a layer of several scales tells the scale besides."""
    found = layer.get_value(
        event.position, view_direction=event.view_direction, dims_displayed=event.dims_displayed, world=True
    )
    layer.selected_label = (found and found[1]) or 0


class PyramidLabels(Labels):
    """Labels that are painted in their finest scale, whichever is on screen.

    Parameters
    ----------
    painted
        The labels, and what is painted.
    look
        As of any labels layer.
    """

    _drag_modes: ClassVar[dict[Mode, Any]] = {**Labels._drag_modes, Mode.PICK: _pick}

    def __init__(self, painted: PaintedLabels, **look: Any) -> None:
        super().__init__(painted.levels, multiscale=True, **look)
        self._data = _Editable(painted)

    def show(self, painted: PaintedLabels) -> None:
        """Show other labels of several scales instead."""
        self.data = painted.levels
        self._data = _Editable(painted)
        self.refresh()

    @property
    def _type_string(self) -> str:
        return "labels"  # for whoever saves them

    def _reset_editable(self) -> None:
        self.editable = hasattr(Labels, "_refresh_caches_from_region")  # napari's tools as they are now

    def _refresh_caches_from_region(self, *region: Any) -> None:
        """Leave the pixels on screen alone: they are of another scale, and are read anew below."""

    def _partial_labels_refresh(self) -> None:
        self._updated_slice = None
        self.refresh(extent=False, thumbnail=False)

    def _get_flood_mask_and_bbox(
        self, coord: Any, new_label: int, dims_to_paint: list[int]
    ) -> tuple[Any, ...] | None:
        """Flood around the cursor: napari's own reads all of the slice."""
        at, reach = np.round(coord).astype(int), np.zeros(self.ndim, int)
        reach[dims_to_paint] = _REACH[len(dims_to_paint)]
        first, last = np.maximum(at - reach, 0), at + reach + 1
        whole = self._data
        if not ((at >= 0) & (at < whole.shape)).all():
            return None
        self._data = whole[tuple(map(slice, first, last))]
        try:
            found = super()._get_flood_mask_and_bbox(at - first, new_label, dims_to_paint)
        finally:
            self._data = whole
        if found is None:
            return None
        mask, low, high, region = found
        corner = first[dims_to_paint]
        return mask, low + corner, high + corner, region
