"""The click session: prompts, the object in work, and how to take everything back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from napari_dtn.segment.history import OBJECTS
from napari_dtn.session.boundaries import PredictedBoundaries
from napari_dtn.session.committed import Committed
from napari_dtn.session.doubts import Doubt, doubt_steps, view_around
from napari_dtn.session.evidence import Evidence
from napari_dtn.session.growing import Grown, Searching, grow_steps
from napari_dtn.session.prompts import (
    Active,
    Box,
    Prompt,
    box_from_plain,
    from_plain,
    plain,
    plain_box,
    shared_box,
    voxel_of,
)
from napari_dtn.session.store import close_store, open_store
from napari_dtn.settings import ClickSettings, PredictSettings
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.predict import Predictor
    from napari_dtn.segment.history import Edit
    from napari_dtn.session.boundaries import Boundaries
    from napari_dtn.session.evidence import View
    from napari_dtn.session.mask import Mask
    from napari_dtn.volume.opening import Volume


@dataclass(frozen=True)
class Changed:
    """What a session says after something has changed.

    Parameters
    ----------
    active
        Whether the object in work did.
    ids
        Committed objects that did.
    z
        Slices of the labels that did.
    """

    active: bool = False
    ids: frozenset[int] = frozenset()
    z: frozenset[int] = frozenset()


class ClickSession:
    """Objects of a volume, by clicks.

    Everything is in a folder as soon as it is said; opening the folder again goes on with it.

    Parameters
    ----------
    volume
        From :func:`napari_dtn.open_volume`.
    model
        Predicts boundaries where they are looked at; not needed with ``boundaries``.
    boundaries
        A prediction of the volume, instead of a model.
    folder
        Where objects and journal are; a temporary one, which goes with the session, unless given.
    settings
        How clicks become objects; unless given, what the folder was left with.
    predict
        How the model is run.

    Attributes
    ----------
    changed
        Signal, emitted with :class:`Changed` in the thread that changed something.
    objects
        Committed objects, and what can be done to them.

    Raises
    ------
    ValueError
        There are neither boundaries nor a model, or the folder belongs to another volume or process.
    """

    changed: ClassVar[Signal] = Signal(Changed)

    def __init__(
        self,
        volume: Volume,
        model: Model | None = None,
        *,
        boundaries: Boundaries | None = None,
        folder: str | Path | None = None,
        settings: ClickSettings | None = None,
        predict: PredictSettings | None = None,
    ) -> None:
        if model is None and boundaries is None:
            raise ValueError("A session needs a model, or boundaries that were predicted before.")
        self.volume = volume
        self._leaving, self._stays = ExitStack(), folder is not None
        self.folder = Path(folder or self._leaving.enter_context(TemporaryDirectory(prefix="napari-dtn-")))
        store = open_store(self.folder, volume)
        self._leaving.callback(close_store, store)
        self._history, self._pyramid = store.history, store.pyramid(OBJECTS)
        self.objects = Committed(self._history, volume.voxel_size, self._on_edit)
        self._settings = settings or ClickSettings(**self._history.note("settings", {}))
        memory = self._settings.memory * 2**20
        if boundaries is None:
            assert model is not None
            boundaries = _predicted(model, volume, predict or PredictSettings(), memory)
        self._box = boundaries.box
        self._evidence = Evidence(boundaries, volume.data, memory)
        self._leaving.callback(self._evidence.close)
        self._active = _remembered(self._history.note("active"), self.objects)
        self._undone: tuple[Prompt, ...] = ()
        self._mask = self._active.base
        self._view: View | None = None  # that the object in work was found in

    def close(self) -> None:
        """Let go of the folder; a temporary one is deleted, one that stays has all its levels brought up."""
        if self._stays:
            for _ in self.follow():
                pass
        self.leave()

    def leave(self) -> None:
        """Let go of the folder as it is: its coarser levels are brought up when it is opened again."""
        self._stays = False
        self._leaving.close()

    @property
    def labels(self) -> Any:
        """Committed objects, a zarr array (Z, Y, X), uint32."""
        return self.objects.labels

    @property
    def kept(self) -> Volume:
        """Committed objects as a volume of ids, in the place of the image."""
        labels = volume_from_array(self.labels, self.volume.voxel_size, f"{self.volume.name} objects")
        return replace(labels, translation=self.volume.translation)

    @property
    def levels(self) -> tuple[Any, ...]:
        """:attr:`labels` and its coarser levels, each half as wide; they :meth:`follow` the edits."""
        return self._pyramid.levels

    def follow(self) -> Iterator[int]:
        """Bring the coarser levels up to the labels where they changed; yield how many slices are left."""
        yield from self._pyramid.follow()

    @property
    def mask(self) -> Mask | None:
        """The object in work as far as it is found; None where there is none."""
        return self._mask

    @property
    def active(self) -> Active:
        """What was said about the object in work."""
        return self._active

    @property
    def settings(self) -> ClickSettings:
        """How clicks become objects; the next :meth:`grow_steps` goes by it."""
        return self._settings

    @settings.setter
    def settings(self, settings: ClickSettings) -> None:
        self._settings = settings
        self._history.write_note("settings", asdict(settings))

    @property
    def threshold(self) -> float:
        """Probability of a merge from which a fragment belongs to its neighbour; setting it grows anew."""
        return self._settings.threshold

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        self.settings = replace(self._settings, threshold=threshold)
        self._grow_anew()

    # ---- the object in work

    def click(self, at: tuple[int, int, int], positive: bool = True) -> Mask:
        """Say that a voxel belongs to the object, or does not.

        Parameters
        ----------
        at
            Voxel (z, y, x).
        positive
            Whether it belongs to it.

        Returns
        -------
        Mask
            The object: array-like (Z, Y, X), bool.

        Raises
        ------
        ValueError
            The voxel lies outside, or nothing is included yet; then it was not said.
        """
        for _ in self.steps(Prompt((voxel_of(at),), positive)):
            pass
        assert self._mask is not None
        return self._mask

    def steps(self, prompt: Prompt) -> Iterator[Searching | Grown]:
        """Say something, and find what it means step by step; errors as :meth:`click`."""
        self._undone = ()
        yield from self._said(replace(self._active, prompts=(*self._active.prompts, prompt)))

    def confine(self, box: Box | None) -> Iterator[Searching | Grown]:
        """Keep the object in work, and those after it, within a box, or no longer; it is found step by step.

        Parameters
        ----------
        box
            In voxels of the volume, (Z, Y, X); None for everywhere.

        Raises
        ------
        ValueError
            There are no boundaries in the box, or something was said outside of it; then nothing changes.
        """
        shared_box(self._box, box)
        yield from self._said(replace(self._active, within=box))

    def _said(self, active: Active) -> Iterator[Searching | Grown]:
        before = self._active, self._mask
        self._set_active(active, self._mask)
        try:
            yield from self.grow_steps()
        except ValueError:
            self._set_active(*before)
            raise

    def prompt(self, prompt: Prompt) -> None:
        """Say something; :meth:`grow_steps` finds what it means."""
        self._undone = ()
        self._set_active(replace(self._active, prompts=(*self._active.prompts, prompt)), self._mask)

    def grow_steps(self) -> Iterator[Searching | Grown]:
        """Find the object step by step; :attr:`mask` follows.

        What a later prompt or setting has made out of date is neither kept nor yielded.
        """
        active, settings = self._active, self._settings
        if not active.said:
            return
        for step in grow_steps(self._evidence, active, settings, self._bounds, self.volume.shape):
            if active is not self._active or settings is not self._settings:
                return
            if isinstance(step, Grown):
                self._mask, self._view = step.mask, step.view
                self.changed.emit(Changed(active=True))
            yield step

    def drop(self) -> None:
        """Forget the object in work; a committed one stays as it was."""
        self._undone = ()
        self._set_active(Active(within=self._active.within), None)

    def activate(self, number: int) -> Mask:
        """Take a committed object up again: prompts change it, and :meth:`commit` puts it back.

        Raises
        ------
        ValueError
            There is no such object.
        """
        base = self.objects.mask_of(number)
        self._undone = ()
        prompts = from_plain(self.objects.prompts_of(number))
        within = box_from_plain(self.objects.within_of(number))
        self._set_active(Active(prompts, number, base, len(prompts), within), base)
        return base

    def commit(self) -> int:
        """Write the object in work into the labels, under a fresh id unless it has one.

        Returns
        -------
        int
            Its id.

        Raises
        ------
        ValueError
            There is no object in work, other objects leave nothing of it, or it is locked.
        """
        if self._mask is None or not self._mask.voxels:
            raise ValueError("There is no object to commit: click inside one first.")
        number = self._active.number or self.objects.fresh
        active = self._active
        self.objects.paint(
            self._mask, number, self._settings.overlap, plain(active.prompts), plain_box(active.within)
        )
        self.drop()
        return number

    def split(self, one: Iterable[tuple[int, int, int]], other: Iterable[tuple[int, int, int]]) -> int:
        """Split a committed object between voxels (z, y, x) of two parts, along the evidence.

        Returns
        -------
        int
            The fresh id of the other part.

        Raises
        ------
        ValueError
            The voxels are not all in one object, or it is locked.
        """
        mine, others = tuple(map(voxel_of, one)), tuple(map(voxel_of, other))
        numbers = sorted({self.objects.at(at) for at in (*mine, *others)})
        if len(numbers) != 1 or not numbers[0]:
            raise ValueError(f"The places lie in {numbers}; choose places of one object (0 is background).")
        base = self.objects.mask_of(numbers[0])
        active = Active((Prompt(mine, True), Prompt(others, False)), numbers[0], base)
        settings = replace(self._settings, volume=base.inside.shape[0] > 1)
        steps = grow_steps(self._evidence, active, settings, self._box, self.volume.shape)
        kept = next(step.mask for step in steps if isinstance(step, Grown))
        return self.objects.split(numbers[0], kept)

    def doubts(self) -> Iterator[int | list[Doubt]]:
        """Find the doubtful places of the object in work, those nearest to the threshold first.

        Places that were answered, by :meth:`answer` or by clicks on both sides, are not among them.

        Yields
        ------
        int or list of Doubt
            How many slices were looked at; at last the places.

        Raises
        ------
        ValueError
            There is no object in work.
        """
        if self._mask is None or not self._mask.voxels:
            raise ValueError("There is no object in work: click inside one, or take one up, first.")
        active, mask, view = self._active, self._mask, self._view
        if view is None or not view.holds(mask.box):
            bad = self._evidence.boundaries.bad
            view = view_around(active, mask, self._settings, self._bounds, bad)
        yield from doubt_steps(self._evidence, active, mask, view, self._settings)

    def answer(self, doubt: Doubt, together: bool) -> Iterator[Searching | Grown]:
        """Say whether the two sides of a doubtful place belong together; errors as :meth:`click`."""
        for prompt in doubt.answer(together, bool(self._active.points(True))):
            yield from self.steps(prompt)

    # ---- undo

    def undo(self) -> str:
        """Take back the last prompt about the object in work, else the last edit.

        Returns
        -------
        str
            What was taken back; empty where there is nothing.
        """
        if not self._active.said:
            return self.objects.undo()
        *before, last = self._active.prompts
        undone = (*self._undone, last)
        self._set_active(replace(self._active, prompts=tuple(before)), self._active.base)
        self._undone = undone
        self._grow_anew()
        return last.words

    def redo(self) -> str:
        """Do again what :meth:`undo` took back last; returns what it is."""
        if not self._undone:
            return self.objects.redo()
        *undone, last = self._undone
        self.prompt(last)
        self._undone = tuple(undone)
        self._grow_anew()
        return last.words

    # ---- small things

    @property
    def _bounds(self) -> Box:
        """Where the object in work may lie."""
        return shared_box(self._box, self._active.within)

    def _grow_anew(self) -> None:
        if self._active.points(True) or self._active.base:
            for _ in self.grow_steps():
                pass

    def _set_active(self, active: Active, mask: Mask | None) -> None:
        if active.number != self._active.number or not active.prompts:
            self._view = None
        self._active, self._mask = active, mask
        note = {
            "number": active.number,
            "known": active.known,
            "prompts": plain(active.prompts),
            "within": plain_box(active.within),
        }
        self._history.write_note("active", note)
        self.changed.emit(Changed(active=True))

    def _on_edit(self, edit: Edit) -> None:
        self.changed.emit(Changed(ids=edit.ids - {0}, z=edit.z))


def _predicted(model: Model, volume: Volume, settings: PredictSettings, memory: int) -> PredictedBoundaries:
    def make() -> Predictor:
        from napari_dtn.predict import Predictor

        return Predictor.of(model, volume, settings)

    return PredictedBoundaries(make, volume.shape, memory)


def _remembered(note: dict[str, Any] | None, objects: Committed) -> Active:
    """Return the object that was in work when the folder was left."""
    if not note:
        return Active()
    there = note["number"] and objects.history.extents(note["number"])
    base = objects.mask_of(note["number"]) if there else None
    number = note["number"] if there else 0
    within = box_from_plain(note.get("within"))
    return Active(from_plain(note["prompts"]), number, base, note["known"] if there else 0, within)
