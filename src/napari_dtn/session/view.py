"""Where an object is looked for: a window in each of its slices, which follows it and grows with it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.session.prompts import box_words

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from napari_dtn.segment.patches import Rectangle
    from napari_dtn.session.mask import Mask
    from napari_dtn.session.prompts import Active
    from napari_dtn.settings import Box, ClickSettings

    Range = tuple[int, int]
    Windows = dict[int, tuple[Range, Range]]  # by slice

_AHEAD = 4  # slices that are looked at wherever an object has moved to: it goes on there, as a rule
_MARGIN = 8  # parts of a window: an eighth of it is looked at around an object that comes from the next slice
_LATTICE = 16  # parts of a window: what follows objects begins and ends at multiples, so near ones share it


@dataclass(frozen=True)
class Pane:
    """A window of a slice.

    Parameters
    ----------
    z
        The slice.
    y, x
        Half-open ranges.
    """

    z: int
    y: tuple[int, int]
    x: tuple[int, int]

    @property
    def window(self) -> tuple[slice, slice]:
        """Its part of the slice."""
        return slice(*self.y), slice(*self.x)

    def holds(self, place: Rectangle) -> bool:
        """Whether all of a rectangle is in it."""
        y0, y1, x0, x1 = place
        return self.y[0] <= y0 and y1 <= self.y[1] and self.x[0] <= x0 and x1 <= self.x[1]


@dataclass(frozen=True)
class View:
    """Windows of some slices.

    Parameters
    ----------
    panes
        One a slice, in order.
    linked
        For each pane but the last, whether the next one follows it, and fragments may go on there.
    """

    panes: tuple[Pane, ...]
    linked: tuple[bool, ...]

    @property
    def z(self) -> tuple[int, ...]:
        """Its slices."""
        return tuple(pane.z for pane in self.panes)

    def holds(self, mask: Mask) -> bool:
        """Whether all of a mask is in it."""
        panes = {pane.z: pane for pane in self.panes}
        return all(z in panes and panes[z].holds(place) for z, place in mask.rectangles().items())

    def only(self, slices: Container[int]) -> View:
        """Return its panes of some slices, each by itself."""
        panes = tuple(pane for pane in self.panes if pane.z in slices)
        return View(panes, (False,) * (len(panes) - 1))

    def onward(self, number: int, side: int) -> Iterator[Pane]:
        """Yield the panes that follow a pane, one after the other, to one side: -1 or 1."""
        while 0 <= number + side < len(self.panes) and self.linked[min(number, number + side)]:
            number += side
            yield self.panes[number]


@dataclass(frozen=True)
class Look:
    """Where one may look, and how far at a time.

    Parameters
    ----------
    settings
        Of the clicks.
    box
        Where the object may lie.
    bad
        Slices that are passed over.
    """

    settings: ClickSettings
    box: Box
    bad: Container[int] = frozenset()

    def first(self, active: Active, ahead: Mapping[int, Rectangle] | None = None) -> View:
        """Return where to look first: around what was said, and around what the object was.

        Through the slices, these are the slices where something was said or is, and those beside them.

        Parameters
        ----------
        active
            The object.
        ahead
            The rectangles that it will lie in, by slice, as far as that is known.

        Raises
        ------
        ValueError
            Nothing was said yet, or something lies outside of the box, or in a bad slice that is left out, or
            all of the object does.
        """
        self._check(active)
        points = active.points(True) + active.points(False)
        through, said = self.settings.volume, _places(point for point in points if self._holds(point))
        was = dict(ahead or {})
        for z, place in (self.clipped(active.base.rectangles()) if active.base is not None else {}).items():
            was[z] = _hull(place, was.get(z))
        slices = {z for z in {*said, *was} if z not in self.bad} if through else {*said}
        windows: Windows = {}
        for z in slices:
            wide = _hull(said.get(z), was.get(z))
            windows[z] = self._around_clicks(wide) if z in said else self._around(wide)
        if not windows:
            raise ValueError(f"Nothing of the object lies in the good slices of {box_words(self.box)}.")
        beside = ((z, side, self._next(z, side)) for z in windows for side in (-1, 1) if through)
        return self._view({near: windows[z] for z, _, near in beside if near is not None} | windows)

    def clipped(self, places: Mapping[int, Rectangle]) -> dict[int, Rectangle]:
        """Return the parts of rectangles, by slice, that are in the box."""
        z, y, x = self.box
        inside = {
            at: (max(y0, y.start), min(y1, y.stop), max(x0, x.start), min(x1, x.stop))
            for at, (y0, y1, x0, x1) in places.items()
            if z.start <= at < z.stop
        }
        return {at: place for at, place in inside.items() if place[0] < place[1] and place[2] < place[3]}

    def larger(self, view: View, found: Mapping[int, Rectangle]) -> View | None:
        """Return the next view of an object; None where all of it is seen.

        A window grows at the edges that the object reaches, and to where the object is in the next slices.
        Where there is no next slice, the view goes on.

        Parameters
        ----------
        view
            What was seen.
        found
            The rectangle that holds the object in each slice that it is in.
        """
        windows: Windows = {}
        for pane in view.panes:
            windows[pane.z] = self._grown(pane, found[pane.z]) if pane.z in found else (pane.y, pane.x)
        for i, pane in enumerate(view.panes):
            for side in (-1, 1) if pane.z in found else ():
                for other in islice(view.onward(i, side), _AHEAD):
                    if other.holds(found[pane.z]):
                        break
                    windows[other.z] = _both(windows[other.z], self._around(found[pane.z]))
        if self.settings.volume:
            self._go_on(windows, found)
        larger = self._view(windows)
        return None if larger == view else larger

    def _view(self, windows: Windows) -> View:
        through, zs = self.settings.volume, sorted(windows)
        panes = tuple(Pane(z, *windows[z]) for z in zs)
        return View(panes, tuple(through and self._next(z, 1) == after for z, after in pairwise(zs)))

    def _go_on(self, windows: Windows, found: Mapping[int, Rectangle]) -> None:
        """Add the slices that follow where the object leaves those that were seen."""
        for z, place in found.items():
            for side in (-1, 1):
                for near in self._run(z, side):
                    if near in windows:
                        break
                    windows[near] = self._around(place)

    def _run(self, z: int, side: int) -> Iterator[int]:
        """Yield the good slices that follow z to one side, up to the end of the run that the first is in.

        Those that are not reached are not asked about.
        """
        first, reach = self._next(z, side), self.settings.reach
        if first is not None:
            yield first
            end = first // reach * reach + (reach if side > 0 else -1)
            stop = min(end, self.box[0].stop) if side > 0 else max(end, self.box[0].start - 1)
            yield from (one for one in range(first + side, stop, side) if one not in self.bad)

    def _next(self, z: int, side: int) -> int | None:
        beyond = range(z + side, self.box[0].stop if side > 0 else self.box[0].start - 1, side)
        return next((one for one in beyond if one not in self.bad), None)

    def _grown(self, pane: Pane, place: Rectangle) -> tuple[Range, Range]:
        """Return a window half as large again at each side where an object reaches its edge."""
        sides = []
        for axis, ends, low, high in ((1, pane.y, *place[:2]), (2, pane.x, *place[2:])):
            step = max(ends[1] - ends[0], 1) // 2
            start = ends[0] - step * (low == ends[0])
            sides.append(self._clipped(start, ends[1] + step * (high == ends[1]), axis))
        return sides[0], sides[1]

    def _around(self, place: Rectangle) -> tuple[Range, Range]:
        """Return the window of an object that comes from the next slice."""
        margin, step = self.settings.window // _MARGIN, max(self.settings.window // _LATTICE, 1)
        y, x = (
            self._clipped((low - margin) // step * step, -(-(high + margin) // step) * step, axis)
            for axis, low, high in ((1, *place[:2]), (2, *place[2:]))
        )
        return y, x

    def _around_clicks(self, place: Rectangle) -> tuple[Range, Range]:
        """Return a window of at least the side that was set; near clicks share it: it moves in steps."""
        y, x = (
            _window(low, high - 1, self.settings.window, self.box[axis])
            for axis, low, high in ((1, *place[:2]), (2, *place[2:]))
        )
        return y, x

    def _clipped(self, start: int, stop: int, axis: int) -> Range:
        return max(start, self.box[axis].start), min(stop, self.box[axis].stop)

    def _holds(self, point: tuple[int, int, int]) -> bool:
        return all(side.start <= at < side.stop for at, side in zip(point, self.box, strict=True))

    def _check(self, active: Active) -> None:
        """Check what was said since the object was taken up: what led to it before is in what it is."""
        if not active.points(True) and active.base is None:
            raise ValueError("Nothing is included yet: click inside an object first.")
        points = [point for prompt in active.since for point in prompt.points]
        for point in points:
            if not self._holds(point):
                raise ValueError(
                    f"{point} (z, y, x) is outside of {box_words(self.box)}; click inside of it."
                )
        slices = sorted({point[0] for point in points}) if self.settings.volume else []
        spoiled = [z for z in slices if z in self.bad]
        if spoiled:
            raise ValueError(
                f"Slice {spoiled[0]} is bad and is left out; click in another, or find the object in the "
                "slice."
            )


def _places(points: Iterable[tuple[int, int, int]]) -> dict[int, Rectangle]:
    """Return the rectangle that holds the voxels of each slice."""
    found: dict[int, Rectangle] = {}
    for z, y, x in points:
        found[z] = _hull(found.get(z), (y, y + 1, x, x + 1))
    return found


def _hull(*places: Rectangle | None) -> Rectangle:
    y0, y1, x0, x1 = np.array([place for place in places if place is not None]).T.tolist()
    return min(y0), max(y1), min(x0), max(x1)


def _both(one: tuple[Range, Range], other: tuple[Range, Range]) -> tuple[Range, Range]:
    y, x = ((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one, other, strict=True))
    return y, x


def _window(low: int, high: int, side: int, bounds: slice) -> Range:
    """Return a range of at least ``side`` around some places; near clicks share it: it moves in steps."""
    step = side // 4
    side = max(side, high - low + 1 + step)
    size = bounds.stop - bounds.start
    if side >= size:
        return bounds.start, bounds.stop
    start = ((low + high + 1) // 2 - side // 2 + step // 2) // step * step
    start = min(max(start, bounds.start), bounds.stop - side)
    return start, start + side
