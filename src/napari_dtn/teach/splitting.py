"""What of an annotation is held out, where nobody has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_dtn.annotate.regions import NEVER_TAUGHT, Fold, Region, Taught, find_regions, folds_of
from napari_dtn.settings import Box

_SHARE = 0.2


def split(
    annotation: Any, classes: int, taught: Taught = NEVER_TAUGHT
) -> tuple[tuple[Box, ...], tuple[Box, ...]]:
    """Find the regions of an annotation, and choose those that are held out.

    Parameters
    ----------
    annotation
        uint8 ``(Z, Y, X)``, lazy or not; it is read slice by slice.
    classes
        How many there are.
    taught
        What the model to start from has learned of the volume before, from
        :func:`napari_dtn.teach.past.taught_before`.

    Returns
    -------
    regions, held_out
        Boxes ``(z, y, x)``, as :class:`napari_dtn.teach.data.TeachData` takes them. Nothing is held out where
        all is one small region.
    """
    slices = ((z, np.asarray(annotation[z])) for z in range(annotation.shape[0]))
    regions = [region for z, known in slices for region in find_regions(known, z, classes)]
    held = held_of(folds_of(regions, lambda one: np.asarray(annotation[one.z, one.y, one.x]), taught))
    return tuple(one.box for one in regions), tuple(one.box for one in held)


def held_of(folds: Sequence[Fold]) -> tuple[Region, ...]:
    """Return what is held out of one training: of several folds the one nearest to a fifth of all pixels."""
    if not folds:
        return ()
    wanted = _SHARE * sum(one.size for one in (*folds[0].held, *folds[0].kept))
    return min(folds, key=lambda fold: abs(sum(one.size for one in fold.held) - wanted)).held
