"""The object in work: what was said about it, what was found of it, and how a word is taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_dtn.session.doubts import Doubt, doubt_steps, view_around
from napari_dtn.session.growing import Grown, Searching, grow_steps
from napari_dtn.session.prompts import (
    Active,
    Prompt,
    box_from_plain,
    from_plain,
    plain,
    plain_box,
    shared_box,
    still_true,
)
from napari_dtn.session.view import Look

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from napari_dtn.session.committed import Committed
    from napari_dtn.session.evidence import Evidence
    from napari_dtn.session.mask import Mask
    from napari_dtn.session.prompts import Point
    from napari_dtn.session.view import View
    from napari_dtn.settings import Box, ClickSettings

_NOTE = "active"


class Work:
    """One object at a time; what is said about it is in the journal before it is looked for.

    Parameters
    ----------
    objects
        Committed objects, in whose history the notes are.
    evidence
        What speaks for two places belonging together.
    shape
        Of the volume, (Z, Y, X).
    settings
        How clicks become objects.
    changed
        Called whenever the object is another one.

    Attributes
    ----------
    settings
        May be replaced; the next :meth:`grow_steps` goes by it.
    active
        What was said.
    mask
        The object as far as it is found; None where there is none.
    outdated
        Whether an edit has changed what it was found from.
    late
        Its id where it was committed, and the labels do not have it yet; else 0.
    """

    def __init__(
        self,
        objects: Committed,
        evidence: Evidence,
        shape: tuple[int, int, int],
        settings: ClickSettings,
        changed: Callable[[], None],
    ) -> None:
        self._objects, self._evidence, self._shape, self._changed = objects, evidence, shape, changed
        self.settings = settings
        self.active = _remembered(objects.history.note(_NOTE), objects)
        self.mask = self.active.base
        self.outdated = False
        self.late = 0
        self._undone: tuple[Prompt, ...] = ()
        self._undone_at = 0  # what edits stood when the last of these was taken back
        self._view: View | None = None  # that the object was found in

    @property
    def _box(self) -> Box:
        """Where the boundaries are."""
        return self._evidence.boundaries.box

    @property
    def found(self) -> Mask | None:
        """The object, unless nothing was found of it."""
        return self.mask if self.mask is not None and self.mask.voxels else None

    # ---- what is said

    def steps(self, prompt: Prompt) -> Iterator[Searching | Grown]:
        """Say something, and find what it means; a ValueError says that it cannot be, and it was not said."""
        self._undone = ()
        yield from self._said(replace(self.active, prompts=(*self.active.prompts, prompt)))

    def confine(self, box: Box | None) -> Iterator[Searching | Grown]:
        """Keep this object, and those after it, within a box, or no longer; errors as :meth:`steps`."""
        shared_box(self._box, box)
        yield from self._said(replace(self.active, within=box))

    def _said(self, active: Active) -> Iterator[Searching | Grown]:
        before = self.active, self.mask
        self._set(active, self.mask)
        try:
            yield from self.grow_steps()
        except Exception:
            self._set(*before)
            raise

    def say(self, prompt: Prompt) -> None:
        """Say something; :meth:`grow_steps` finds what it means."""
        self._undone = ()
        self._set(replace(self.active, prompts=(*self.active.prompts, prompt)), self.mask)

    def drop(self) -> None:
        """Forget the object; the box stays."""
        self._undone = ()
        self._set(Active(within=self.active.within), None)

    @property
    def emptied(self) -> dict[str, Any]:
        """The notes of a journal in which this object is no longer the one in work."""
        return {_NOTE: _plain(Active(within=self.active.within))}

    def keep_as(self, number: int) -> None:
        """Be a committed object, as the journal has it; once the labels have it too, it is forgotten."""
        prompts, within = self.active.prompts, self.active.within
        self.active, self.late = Active(prompts, number, self.mask, len(prompts), within), number

    def take_up(self, number: int) -> Mask:
        """Go on with a committed object; a ValueError says that there is none."""
        objects = self._objects
        base = objects.mask_of(number)
        prompts = still_true(from_plain(objects.prompts_of(number)), base)
        self._undone = ()
        within = box_from_plain(objects.within_of(number))
        self._set(Active(prompts, number, base, len(prompts), within), base)
        return base

    def take_back(self) -> str:
        """Take the last prompt back, and find the object without it; return what it was."""
        *before, last = self.active.prompts
        undone, self._undone_at = (*self._undone, last), self._objects.history.position
        self._set(replace(self.active, prompts=tuple(before)), self.active.base)
        self._undone = undone
        self.grow()
        return last.words

    def say_again(self) -> str:
        """Say what was taken back last; return what it is, or nothing where there is none.

        Edits that were undone since come first.
        """
        if not self._undone or self._objects.history.position < self._undone_at:
            return ""
        *undone, last = self._undone
        self.say(last)
        self._undone = tuple(undone)
        self.grow()
        return last.words

    def follow(self, edited: Collection[int]) -> None:
        """Go on from what the object is after an edit of it; what was said since it was taken up holds.

        It is found anew by the next :meth:`grow_steps`: until then it is :attr:`outdated`.
        """
        active, objects = self.active, self._objects
        if not active.number or active.number not in edited:
            return
        if self.late:
            self.drop()
        elif objects.history.extents(active.number):
            base = objects.mask_of(active.number)
            known = still_true(active.prompts[: active.known], base)
            self._set(replace(active, prompts=(*known, *active.since), base=base, known=len(known)), base)
        else:  # deleted, or part of another: what was said may still become an object
            seeded = any(prompt.positive for prompt in active.since)
            self._set(Active(active.since if seeded else (), within=active.within), None)
        self.outdated = self.active.said

    # ---- what is found

    def grow_steps(self) -> Iterator[Searching | Grown]:
        """Find the object; what a later prompt or setting has made out of date is dropped."""
        active, settings = self.active, self.settings
        self.outdated = False
        if not active.said:
            return
        bounds = shared_box(self._box, active.within)
        for step in grow_steps(self._evidence, active, settings, bounds, self._shape):
            if active is not self.active or settings is not self.settings:
                return
            if isinstance(step, Grown):
                self.mask, self._view = step.mask, step.view
                self._changed()
            yield step

    def grow(self) -> None:
        """Find the object anew, where anything is included."""
        if self.active.points(True) or self.active.base:
            for _ in self.grow_steps():
                pass

    def part_of(self, number: int, mine: tuple[Point, ...], others: tuple[Point, ...]) -> Mask:
        """Return the part of a committed object around some voxels, without that around others."""
        base = self._objects.mask_of(number)
        active = Active((Prompt(mine, True), Prompt(others, False)), number, base)
        settings = replace(self.settings, volume=base.inside.shape[0] > 1)
        steps = grow_steps(self._evidence, active, settings, self._box, self._shape)
        return next(step.mask for step in steps if isinstance(step, Grown))

    def doubts(self) -> Iterator[int | list[Doubt]]:
        """Find the doubtful places of the object; a ValueError says that there is none."""
        mask, view = self.found, self._view
        if mask is None:
            raise ValueError("There is no object in work: click inside one, or take one up, first.")
        if view is None or not view.holds(mask):
            bounds = shared_box(self._box, self.active.within)
            view = view_around(self.active, mask, Look(self.settings, bounds, self._evidence.boundaries.bad))
        yield from doubt_steps(self._evidence, self.active, mask, view, self.settings.threshold)

    def _set(self, active: Active, mask: Mask | None) -> None:
        if active.number != self.active.number or not active.prompts:
            self._view = None
        self.active, self.mask, self.outdated, self.late = active, mask, False, 0
        self._objects.history.write_note(_NOTE, _plain(active))
        self._changed()


def _plain(active: Active) -> dict[str, Any]:
    """Return an object in work as plain JSON values."""
    return {
        "number": active.number,
        "known": active.known,
        "prompts": plain(active.prompts),
        "within": plain_box(active.within),
    }


def _remembered(note: dict[str, Any] | None, objects: Committed) -> Active:
    """Return the object that was in work when the folder was left."""
    if not note:
        return Active()
    there = note["number"] and objects.history.extents(note["number"])
    base = objects.mask_of(note["number"]) if there else None
    number = note["number"] if there else 0
    within = box_from_plain(note.get("within"))
    return Active(from_plain(note["prompts"]), number, base, note["known"] if there else 0, within)
