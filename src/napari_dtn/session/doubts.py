"""Places where it is least certain whether two fragments belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects

from napari_dtn.segment.windows import lay
from napari_dtn.session.evidence import Stack
from napari_dtn.session.growing import mask_in, mostly, nodes_at, opposing_marks
from napari_dtn.session.prompts import Active, Prompt
from napari_dtn.session.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dtn.session.evidence import Evidence
    from napari_dtn.session.mask import Mask
    from napari_dtn.session.prompts import Point
    from napari_dtn.session.view import Look

    Plane = NDArray[np.bool_]
    Piece = tuple[int, Plane, tuple[int, int]]  # slice, mask, its first pixel in the slice

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
    evidence: Evidence, active: Active, mask: Mask, view: View, threshold: float
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
    threshold
        Probability that decides.

    Yields
    ------
    int or list of Doubt
        How many slices were looked at; at last the doubts, the least certain first.
    """
    for step in evidence.steps(view, opposing_marks(active)):
        yield _doubts_in(step, active, mask, threshold) if isinstance(step, Stack) else step


def view_around(active: Active, mask: Mask, look: Look) -> View:
    """Return a view of an object and what touches it; of an object of one slice, in that slice."""
    flat = len(mask.slices) == 1
    look = replace(look, settings=replace(look.settings, volume=True), bad=() if flat else look.bad)
    view = look.first(replace(active, base=mask))
    return view.only(mask.slices) if flat else view


def _doubts_in(stack: Stack, active: Active, mask: Mask, threshold: float) -> list[Doubt]:
    edges, probability = stack.links.edges, stack.links.probability
    sides = mostly(stack, mask_in(stack.view, mask))[edges]
    told = _told(stack, active)[edges]
    known = np.where(sides.all(axis=1), (told > 0).all(axis=1), (told < 0).any(axis=1))
    far = np.abs(probability - threshold)
    asked = np.flatnonzero(sides.any(axis=1) & ~known & (far < _NEAR))
    doubts = []
    for edge in asked[np.argsort(far[asked], kind="stable")][:_MOST]:
        joined = bool(sides[edge].all())
        swapped = told[edge, 1] > told[edge, 0] if joined else sides[edge, 1]
        pair = edges[edge][::-1] if swapped else edges[edge]
        doubts.append(_doubt(stack, pair, float(probability[edge]), joined))
    return doubts


def _told(stack: Stack, active: Active) -> NDArray[np.int8]:
    """Return 1 for the fragments that were included, -1 for those that were excluded, else 0."""
    told = np.zeros(stack.links.nodes, np.int8)
    told[nodes_at(stack, active.points(True))] = 1
    told[nodes_at(stack, active.points(False))] = -1
    return told


def _doubt(stack: Stack, pair: NDArray[np.int64], probability: float, joined: bool) -> Doubt:
    (z1, one, corner), (z2, other, _) = _side_by_side(*(_piece(stack, int(node)) for node in pair))
    flat = z1 == z2  # side by side in one slice, or over each other in two
    border = (one & binary_dilation(other), other & binary_dilation(one)) if flat else (one & other,) * 2

    def voxels(z: int, plane: Plane) -> list[Point]:
        return [(z, corner[0] + y, corner[1] + x) for y, x in np.argwhere(plane).tolist()]

    places = voxels(z1, border[0]) + voxels(z2, border[1])
    middles = [voxels(z, _deepest(plane))[0] for z, plane in ((z1, one), (z2, other))]
    middle = np.mean(places, axis=0)
    places.sort(key=lambda place: float(np.abs(np.subtract(place, middle)).sum()))
    return Doubt(probability, joined, middles[0], middles[1], tuple(places[:_SHOWN]))


def _piece(stack: Stack, node: int) -> Piece:
    """Return where a fragment is: its slice, its mask, and the place of the mask's first pixel."""
    number = int(np.searchsorted(stack.starts, node)) - 1
    plane, pane = stack.planes[number] == node - stack.starts[number], stack.view.panes[number]
    y, x = find_objects(plane.astype(np.uint8))[0]
    return pane.z, plane[y, x], (pane.y[0] + y.start, pane.x[0] + x.start)


def _side_by_side(*pieces: Piece) -> list[Piece]:
    """Return pieces with their masks in the rectangle that holds all of them."""
    first = np.min([corner for _, _, corner in pieces], axis=0).tolist()
    last = np.max([np.add(corner, plane.shape) for _, plane, corner in pieces], axis=0).tolist()
    y, x = (slice(start, stop) for start, stop in zip(first, last, strict=True))
    masks = [np.zeros((y.stop - y.start, x.stop - x.start), bool) for _ in pieces]
    for out, (_, plane, corner) in zip(masks, pieces, strict=True):
        lay(plane, corner, out, y, x)
    return [(z, out, (y.start, x.start)) for out, (z, _, _) in zip(masks, pieces, strict=True)]


def _deepest(plane: Plane) -> Plane:
    """Return the mask of the pixel that is farthest from the outside."""
    depth = distance_transform_edt(np.pad(plane, 1))[1:-1, 1:-1]
    out = np.zeros_like(plane)
    out.flat[int(np.argmax(depth))] = True
    return out
