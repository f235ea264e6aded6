"""Committed objects and all that is done to them: every change is an edit of the history."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.segment import edits
from napari_dtn.segment.history import OBJECTS
from napari_dtn.segment.patches import patch_between
from napari_dtn.session.mask import Mask
from napari_dtn.session.objects import patches_over, rectangles, widened
from napari_dtn.shapes.facts import ObjectFacts, facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from napari_dtn.segment.extents import Extent
    from napari_dtn.segment.history import Edit, History
    from napari_dtn.segment.patches import Patch
    from napari_dtn.settings import Overlap, VoxelSize

_SMOOTHING = 2.0  # pixels
_LARGEST = 2**32 - 2  # id that leaves room for a fresh one
_MARGIN = 8  # pixels around an object that its smoothed outline may reach


class Committed:
    """Committed objects of a volume.

    Parameters
    ----------
    history
        Their labels, and what was done to them.
    voxel_size
        In nm, (Z, Y, X), where it is known.
    tell
        Called with every edit of objects, also when it is undone or redone, by whomever.

    Attributes
    ----------
    changes
        Counts whatever changes them.
    """

    def __init__(self, history: History, voxel_size: VoxelSize | None, tell: Callable[[Edit], None]) -> None:
        self.history = history
        self._voxel_size = voxel_size
        self._tell = tell
        self.changes = 0
        self._facts: dict[int, ObjectFacts] = {}
        self._stale: set[int] | None = None  # ids whose facts have changed; None for all
        history.made.connect(self._on_made)

    def leave(self) -> None:
        """Follow the history no longer."""
        self.history.made.disconnect(self._on_made)

    # ---- what is there

    @property
    def labels(self) -> Any:
        """Their ids, a zarr array (Z, Y, X), uint32, 0 for background."""
        return self.history.labels

    def all(self) -> list[ObjectFacts]:
        """Return what is known about each, by id; only what has changed is looked up again."""
        stale, self._stale = self._stale, set()
        groups = groupby(self.history.extents(), lambda one: one.id) if stale is None else ()
        found = {number: list(there) for number, there in groups}
        for number in stale or found:
            there = found.get(number) or self.history.extents(number)
            self._facts.pop(number, None)
            if there:
                self._facts[number] = facts_of(there, self._note(number), self._voxel_size)
        return sorted(self._facts.values(), key=lambda one: one.id)

    def at(self, point: tuple[int, int, int]) -> int:
        """Return the id at a voxel (z, y, x), 0 for background."""
        return int(self.labels[tuple(point)])

    def mask_of(self, number: int) -> Mask:
        """Return where an object is.

        Raises
        ------
        ValueError
            There is no such object.
        """
        extents = self._extents(number)
        places = rectangles(extents)
        (y0, y1, x0, x1) = next(iter(rectangles([replace(one, z=0) for one in extents]).values()))
        first, last = extents[0].z, extents[-1].z
        inside = np.zeros((last - first + 1, y1 - y0, x1 - x0), bool)
        for z in places:
            inside[z - first] = np.asarray(self.labels[z, y0:y1, x0:x1]) == number
        return Mask.around(self.labels.shape, (first, y0, x0), inside)

    def prompts_of(self, number: int) -> list[Any]:
        """Return what was said about an object when it was committed, as it was given."""
        return list(self._note(number).get("prompts", []))

    def within_of(self, number: int) -> Any:
        """Return the box that an object was confined to when it was committed, as it was given."""
        return self._note(number).get("within")

    @property
    def fresh(self) -> int:
        """An id that no object has had."""
        return int(self.history.note("next id", 1))

    # ---- changes

    def paint(
        self,
        mask: Mask,
        number: int,
        overlap: Overlap,
        prompts: list[Any],
        within: Any = None,
        *,
        notes: Mapping[str, Any] | None = None,
        recorded: Callable[[], object] | None = None,
    ) -> None:
        """Let an object be what a mask shows, and nothing else.

        Parameters
        ----------
        mask
            The object.
        number
            Its id, which may be a fresh one.
        overlap
            What happens to others under the mask.
        prompts
            Plain JSON values, for :meth:`prompts_of`.
        within
            Plain JSON value, for :meth:`within_of`.
        notes, recorded
            As of :meth:`History.edit`.

        Raises
        ------
        ValueError
            It is locked, or others leave nothing of it.
        """
        self._make_ready([number])
        mine, locked = self.history.extents(number), self._locked() - {number}
        replaced = self._under(mask) - locked - {number} if overlap == "replace" else set()
        others = [one for other in sorted(replaced) for one in self.history.extents(other)]

        def painted(z: int, y: slice, x: slice, ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
            freed = edits.relabel(ids, replaced, 0)
            return edits.paint(freed, mask.within(z, y, x), number, overlap, locked)

        known = {
            f"object {number}": {**self._note(number), "prompts": prompts, "within": within},
            "next id": max(number + 1, self.fresh),
            **(notes or {}),
        }
        patches = patches_over(self.labels, rectangles(mask.extents(number), mine, others), painted)
        done = self.history.edit(f"object {number}", patches, notes=known, recorded=recorded)
        if done is None and not mine:
            raise ValueError("Other objects cover all of it; choose the overlap “cut”, or drop it.")
        if done is None:
            self.history.write_notes(known)

    def merge(self, numbers: Iterable[int]) -> int:
        """Make one object of several, under the lowest of their ids.

        Raises
        ------
        ValueError
            They are fewer than two, or one is locked or not there.
        """
        ids = sorted({*numbers})
        if len(ids) < 2:
            raise ValueError(f"There is nothing to merge in {ids}; choose at least two objects.")
        self._make_ready(ids)
        self._relabel(f"merge {', '.join(map(str, ids))}", ids[1:], ids[0])
        return ids[0]

    def delete(self, number: int) -> None:
        """Delete an object; errors as :meth:`merge`."""
        self._make_ready([number])
        self._relabel(f"delete {number}", [number], 0)

    def relabel(self, old: int, new: int) -> None:
        """Give an object another id, and all that is known of it; with an object of that id it becomes one.

        Raises
        ------
        ValueError
            The new id is below 1 or too large; or as :meth:`merge`.
        """
        if not 1 <= new <= _LARGEST:
            raise ValueError(f"The new id is {new}; ids go from 1 to {_LARGEST:,}.")
        self.history.finish()
        there = bool(self.history.extents(new))
        self._make_ready([old, *([new] if there else [])])
        known = {} if there else {f"object {new}": self._note(old)}
        self._relabel(f"relabel {old} as {new}", [old], new, known)

    def split(self, number: int, kept: Mask) -> int:
        """Give what is outside of a mask to a new object, whose id is returned; errors as :meth:`merge`."""
        self._make_ready([number])
        fresh = self.fresh

        def parted(z: int, y: slice, x: slice, ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
            return edits.relabel_part(ids, ~kept.within(z, y, x), number, fresh)

        places = rectangles(self._extents(number))
        patches = patches_over(self.labels, places, parted)
        self.history.edit(f"split {fresh} off {number}", patches, notes={"next id": fresh + 1})
        return fresh

    def fill_holes(self, number: int) -> None:
        """Fill background that an object encloses in a slice; errors as :meth:`merge`."""
        self._reshape(f"fill holes of {number}", number, 0, edits.fill_holes)

    def smooth(self, number: int) -> None:
        """Smooth an object's outline in each slice; errors as :meth:`merge`."""

        def smoothed(ids: NDArray[np.uint32], one: int) -> NDArray[np.uint32]:
            return edits.smooth(ids, one, _SMOOTHING)

        self._reshape(f"smooth {number}", number, _MARGIN, smoothed)

    def interpolate(self, number: int) -> None:
        """Fill the slices that an object misses between two that it is in; errors as :meth:`merge`."""
        self._make_ready([number])
        extents = self._extents(number)
        gaps = [pair for pair in pairwise(extents) if pair[1].z - pair[0].z > 1]
        patches = (patch for gap in gaps for patch in self._bridged(number, *gap))
        self.history.edit(f"interpolate {number}", patches)

    def lock(self, number: int, on: bool = True) -> None:
        """Let every edit leave an object alone, or no longer."""
        self._write(number, locked=on)

    def rename(self, number: int, name: str) -> None:
        """Call an object something."""
        self._write(number, name=name)

    def record(self, what: str, patches: Iterable[Patch]) -> None:
        """Make changes that somebody else has thought of, such as a brush; locked objects are left alone.

        Raises
        ------
        ValueError
            They would change locked objects alone.
        """
        self.history.finish()
        asked, locked = list(patches), list(self._locked())

        def spared(patch: Patch) -> Patch | None:
            ids = np.asarray(self.labels[patch.place])  # who painted may have seen what was not recorded
            after = patch.on(ids)
            left = np.isin(ids, locked) | np.isin(after, locked)
            return patch_between(patch.z, (patch.y[0], patch.x[0]), ids, np.where(left, ids, after))

        kept = [left for patch in asked if (left := spared(patch)) is not None]
        if locked and asked and not kept:
            raise ValueError("All that it would change is locked; unlock it first.")
        highest = max((int(patch.new.max()) for patch in kept), default=0)
        self.history.edit(what, kept, notes={"next id": max(highest + 1, self.fresh)})

    def undo(self) -> str:
        """Take the last edit back, of objects or of what is beside them; returns what it was, or nothing."""
        return edit.what if (edit := self.history.undo()) else ""

    def redo(self) -> str:
        """Make the next edit again; returns what it is, or nothing where there is none."""
        return edit.what if (edit := self.history.redo()) else ""

    def colour(self, number: int, colour: str) -> None:
        """Give an object a colour, ``#rrggbb``, or none of its own with an empty one."""
        self._write(number, colour=colour)

    def hide(self, number: int, on: bool = True) -> None:
        """Leave an object out of the picture, or no longer."""
        self._write(number, hidden=on)

    # ---- small things

    def _on_made(self, edit: Edit) -> None:
        if edit.array == OBJECTS:
            self._outdate(edit.ids - {0})
            self._tell(edit)

    def _outdate(self, ids: Collection[int]) -> None:
        self.changes += 1
        if self._stale is not None:
            self._stale |= {*ids}

    def _relabel(
        self, what: str, old: Collection[int], new: int, known: Mapping[str, Any] | None = None
    ) -> None:
        def relabelled(z: int, y: slice, x: slice, ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
            return edits.relabel(ids, old, new)

        places = rectangles(*(self._extents(number) for number in old))
        notes = {**(known or {}), "next id": max(new + 1, self.fresh)}
        self.history.edit(what, patches_over(self.labels, places, relabelled), notes=notes)

    def _reshape(
        self,
        what: str,
        number: int,
        margin: int,
        change: Callable[[NDArray[np.uint32], int], NDArray[np.uint32]],
    ) -> None:
        def reshaped(z: int, y: slice, x: slice, ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
            return change(ids, number)

        self._make_ready([number])
        places = rectangles(self._extents(number))
        places = {z: widened(place, margin, self.labels.shape[1:]) for z, place in places.items()}
        self.history.edit(what, patches_over(self.labels, places, reshaped))

    def _bridged(self, number: int, low: Extent, high: Extent) -> Iterable[Patch]:
        """Yield the patches that lead from one slice of an object to another."""
        (place,) = rectangles([replace(low, z=0), replace(high, z=0)]).values()
        y0, y1, x0, x1 = place
        below, above = (np.asarray(self.labels[one.z, y0:y1, x0:x1]) == number for one in (low, high))
        masks = edits.between(below, above, high.z - low.z - 1)

        def led(z: int, y: slice, x: slice, ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
            return np.where(masks[z - low.z - 1] & (ids == 0), np.uint32(number), ids)

        return patches_over(self.labels, dict.fromkeys(range(low.z + 1, high.z), place), led)

    def _under(self, mask: Mask) -> set[int]:
        """Return the objects under a mask."""
        found: set[int] = set()
        for z in mask.slices:
            _, y, x = mask.box
            found |= set(np.unique(np.asarray(self.labels[z, y, x])[mask.within(z, y, x)]).tolist())
        return found - {0}

    def _extents(self, number: int) -> list[Extent]:
        extents = self.history.extents(number)
        if not extents:
            raise ValueError(f"There is no object {number}.")
        return extents

    def _locked(self) -> set[int]:
        return {int(one) for one, note in self.history.notes("object ").items() if note.get("locked")}

    def _make_ready(self, numbers: Iterable[int]) -> None:
        """Make what could not be made before, and refuse to go on with locked objects."""
        self.history.finish()
        locked = self._locked() & {*numbers}
        if locked:
            raise ValueError(f"Object {min(locked)} is locked; unlock it first.")

    def _note(self, number: int) -> dict[str, Any]:
        return dict(self.history.note(f"object {number}", {}))

    def _write(self, number: int, **facts: Any) -> None:
        self._extents(number)
        self._outdate([number])
        self.history.write_note(f"object {number}", {**self._note(number), **facts})
