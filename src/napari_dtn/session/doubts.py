"""Places where it is least certain whether two fragments belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects

from napari_dtn.session.evidence import Stack, View
from napari_dtn.session.growing import first_view, mask_in, mostly, nodes_at, opposing_marks
from napari_dtn.session.prompts import Box, Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dtn.session.evidence import Evidence
    from napari_dtn.session.mask import Mask
    from napari_dtn.session.prompts import Active, Point
    from napari_dtn.settings import ClickSettings

    Plane = NDArray[np.bool_]

_NEAR = 0.3  # of the threshold: what is as far from it is no doubt
_MOST = 20  # doubts that are found at a time; an answer changes the others
_SHOWN = 1000  # voxels of a border, at most


@dataclass(frozen=True)
class Doubt:
    """Two fragments that touch, of which it is not certain whether they belong together.

    Parameters
    ----------
    probability
        That they do, by the classifier.
    joined
        Whether both are in the object in work; otherwise the first one is.
    one, other
        The most interior voxel of each.
    places
        Voxels along their common border, of both; the first is in its middle.
    """

    probability: float
    joined: bool
    one: Point
    other: Point
    places: tuple[Point, ...]

    def answer(self, together: bool, seeded: bool = True) -> tuple[Prompt, ...]:
        """Return what is said about the object with the answer.

        Parameters
        ----------
        together
            Whether the two belong together.
        seeded
            Whether a voxel of the object was included before: a cut needs one on the side that stays.
        """
        if together:
            return (Prompt((self.one, self.other), True, "a confirmed place"),)
        cut = Prompt((self.other,), False, "a cut")
        return (cut,) if seeded or not self.joined else (Prompt((self.one,), True), cut)


def doubt_steps(
    evidence: Evidence, active: Active, mask: Mask, view: View, settings: ClickSettings
) -> Iterator[int | list[Doubt]]:
    """Find the doubtful places in an object and at its rim, of which nothing was said yet.

    Parameters
    ----------
    evidence
        What speaks for two places belonging together.
    active, mask
        The object.
    view
        Where to look.
    settings
        With the threshold that decides.

    Yields
    ------
    int or list of Doubt
        How many slices were looked at; at last the doubts, the least certain first.
    """
    for step in evidence.steps(view, settings.reach, opposing_marks(active)):
        yield _doubts_in(step, active, mask, settings.threshold) if isinstance(step, Stack) else step


def view_around(active: Active, mask: Mask, settings: ClickSettings, box: Box, bad: frozenset[int]) -> View:
    """Return a view of an object and what touches it; of an object of one slice, in that slice."""
    found, flat = replace(active, base=mask), len(mask.slices) == 1
    view = first_view(found, replace(settings, volume=True), box, frozenset() if flat else bad)
    return replace(view, z=tuple(mask.slices), across=False) if flat else view


def _doubts_in(stack: Stack, active: Active, mask: Mask, threshold: float) -> list[Doubt]:
    edges, probability = stack.links.graph.edges, stack.links.probability
    sides = mostly(stack, mask_in(stack.view, mask))[edges]
    told = _told(stack, active)[edges]
    known = np.where(sides.all(axis=1), (told > 0).all(axis=1), (told < 0).any(axis=1))
    far = np.abs(probability - threshold)
    asked = np.flatnonzero(sides.any(axis=1) & ~known & (far < _NEAR))
    boxes = find_objects(stack.fragments)
    doubts = []
    for edge in asked[np.argsort(far[asked], kind="stable")][:_MOST]:
        joined = bool(sides[edge].all())
        swapped = told[edge, 1] > told[edge, 0] if joined else sides[edge, 1]
        pair = edges[edge][::-1] if swapped else edges[edge]
        doubts.append(_doubt(stack, boxes, pair, float(probability[edge]), joined))
    return doubts


def _told(stack: Stack, active: Active) -> NDArray[np.int8]:
    """Return 1 for the fragments that were included, -1 for those that were excluded, else 0."""
    told = np.zeros(stack.links.graph.nodes, np.int8)
    told[nodes_at(stack, active.points(True))] = 1
    told[nodes_at(stack, active.points(False))] = -1
    return told


def _doubt(
    stack: Stack,
    boxes: list[tuple[slice, slice, slice]],
    pair: NDArray[np.int64],
    probability: float,
    joined: bool,
) -> Doubt:
    rows, masks, corner = _planes(stack, boxes, pair)
    one, other = masks
    flat = rows[0] == rows[1]  # side by side in one slice, or over each other in two
    border = (one & binary_dilation(other), other & binary_dilation(one)) if flat else (one & other,) * 2
    view = stack.view

    def voxels(row: int, plane: Plane) -> list[Point]:
        z, y0, x0 = view.z[row], view.y[0] + corner[0], view.x[0] + corner[1]
        return [(z, y0 + y, x0 + x) for y, x in np.argwhere(plane).tolist()]

    places = [place for row, plane in zip(rows, border, strict=True) for place in voxels(row, plane)]
    middles = [voxels(row, _deepest(plane))[0] for row, plane in zip(rows, masks, strict=True)]
    middle = np.mean(places, axis=0)
    places.sort(key=lambda place: float(np.abs(np.subtract(place, middle)).sum()))
    return Doubt(probability, joined, middles[0], middles[1], tuple(places[:_SHOWN]))


def _planes(
    stack: Stack, boxes: list[tuple[slice, slice, slice]], pair: NDArray[np.int64]
) -> tuple[list[int], list[Plane], tuple[int, int]]:
    """Return the rows of two fragments, their masks in a common rectangle, and its corner in the view."""
    found = [boxes[int(fragment) - 1] for fragment in pair]
    y, x = (
        slice(min(box[axis].start for box in found), max(box[axis].stop for box in found)) for axis in (1, 2)
    )
    rows = [box[0].start for box in found]
    planes = [stack.fragments[row, y, x] == fragment for row, fragment in zip(rows, pair, strict=True)]
    return rows, planes, (y.start, x.start)


def _deepest(plane: Plane) -> Plane:
    """Return the mask of the pixel that is farthest from the outside."""
    depth = distance_transform_edt(np.pad(plane, 1))[1:-1, 1:-1]
    out = np.zeros_like(plane)
    out.flat[int(np.argmax(depth))] = True
    return out
