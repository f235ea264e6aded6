"""The click session: a folder of objects, the one in work, and how to take everything back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from napari_dtn.session.boundaries import PredictedBoundaries, StoredBoundaries
from napari_dtn.session.committed import Committed
from napari_dtn.session.doubts import Doubt
from napari_dtn.session.growing import Grown, Searching
from napari_dtn.session.keeping import KeptFolder
from napari_dtn.session.kept_evidence import evidence_of
from napari_dtn.session.prompts import Active, Prompt, plain, plain_box, voxel_of
from napari_dtn.session.work import Work
from napari_dtn.settings import Box, ClickSettings, PredictSettings
from napari_dtn.volume.opening import Volume

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.segment.history import Edit
    from napari_dtn.session.boundaries import Boundaries
    from napari_dtn.session.mask import Mask


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
        A prediction of the volume, instead of a model: as it was opened, or laid over the volume.
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
        boundaries: Boundaries | Volume | None = None,
        folder: str | Path | None = None,
        settings: ClickSettings | None = None,
        predict: PredictSettings | None = None,
    ) -> None:
        if model is None and boundaries is None:
            raise ValueError("A session needs a model, or boundaries that were predicted before.")
        self.volume = volume
        self._kept = KeptFolder(folder, volume)
        try:
            self._open(model, boundaries, settings, predict)
        except BaseException:
            self._kept.leave()
            raise

    def _open(
        self,
        model: Model | None,
        boundaries: Boundaries | Volume | None,
        settings: ClickSettings | None,
        predict: PredictSettings | None,
    ) -> None:
        volume = self.volume
        self.folder, self._history = self._kept.path, self._kept.history
        self.objects = Committed(self._history, volume.voxel_size, self._on_edit)
        self._kept.on_leaving(self.objects.leave)
        settings = settings or ClickSettings(**self._history.note("settings", {}))
        memory = settings.memory * 2**20
        if boundaries is None:
            assert model is not None
            boundaries = PredictedBoundaries.of(model, volume, predict or PredictSettings(), memory)
        elif isinstance(boundaries, Volume):
            boundaries = StoredBoundaries.of(boundaries, volume)
        self._evidence = evidence_of(boundaries, volume.data, memory)
        self._kept.on_leaving(self._evidence.close)
        self._work = Work(self.objects, self._evidence, volume.shape, settings, self._on_work)

    def close(self) -> None:
        """Let go of the folder; a temporary one is deleted, one that stays has all its levels brought up."""
        self._kept.close()

    def leave(self) -> None:
        """Let go of the folder as it is: its coarser levels are brought up when it is opened again."""
        self._kept.leave()

    @property
    def labels(self) -> Any:
        """Committed objects, a zarr array (Z, Y, X), uint32."""
        return self.objects.labels

    @property
    def kept(self) -> Volume:
        """Committed objects as a volume of ids, in the place of the image."""
        return self._kept.volume_beside(self.volume)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of the volume is not as it was when the folder was begun, in words."""
        return self._kept.remarks

    @property
    def levels(self) -> tuple[Any, ...]:
        """:attr:`labels` and its coarser levels, each half as wide; they :meth:`follow` the edits."""
        return self._kept.levels

    def follow(self) -> Iterator[int]:
        """Bring the coarser levels up to the labels where they changed; yield how many slices are left."""
        yield from self._kept.follow()

    @property
    def mask(self) -> Mask | None:
        """The object in work as far as it is found; None where there is none."""
        return self._work.mask

    @property
    def active(self) -> Active:
        """What was said about the object in work."""
        return self._work.active

    @property
    def outdated(self) -> bool:
        """Whether an edit has changed what the object in work was found from; :meth:`grow_steps` finds it."""
        return self._work.outdated

    @property
    def settings(self) -> ClickSettings:
        """How clicks become objects; the next :meth:`grow_steps` goes by it."""
        return self._work.settings

    @settings.setter
    def settings(self, settings: ClickSettings) -> None:
        self._work.settings = settings
        self._history.write_note("settings", asdict(settings))

    @property
    def threshold(self) -> float:
        """Probability of a merge from which a fragment belongs to its neighbour; setting it grows anew."""
        return self.settings.threshold

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        self.settings = replace(self.settings, threshold=threshold)
        self._work.grow()

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
        assert self.mask is not None
        return self.mask

    def steps(self, prompt: Prompt) -> Iterator[Searching | Grown]:
        """Say something, and find what it means step by step; errors as :meth:`click`."""
        yield from self._work.steps(prompt)

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
        yield from self._work.confine(box)

    def prompt(self, prompt: Prompt) -> None:
        """Say something; :meth:`grow_steps` finds what it means."""
        self._work.say(prompt)

    def grow_steps(self) -> Iterator[Searching | Grown]:
        """Find the object step by step; :attr:`mask` follows.

        What a later prompt or setting has made out of date is neither kept nor yielded.
        """
        yield from self._work.grow_steps()

    def drop(self) -> None:
        """Forget the object in work; a committed one stays as it was."""
        self._work.drop()

    def activate(self, number: int) -> Mask:
        """Take a committed object up again: prompts change it, and :meth:`commit` puts it back.

        Raises
        ------
        ValueError
            There is no such object.
        """
        return self._work.take_up(number)

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
        OSError
            It could not be written, as to a full disk: it is once there is room, by this or by the next edit.
        """
        late = self._work.late
        if self._history.finish() is not None and late:
            return late
        if self.outdated or (self.active.said and self.mask is None):  # as after a crash
            self._work.grow()
        mask, active = self._work.found, self.active
        if mask is None:
            raise ValueError("There is no object to commit: click inside one first.")
        number = active.number or self.objects.fresh
        self.objects.paint(
            mask,
            number,
            self.settings.overlap,
            plain(active.prompts),
            plain_box(active.within),
            notes=self._work.emptied,
            recorded=partial(self._work.keep_as, number),
        )
        if self.mask is not None:  # which it is unless the labels have changed
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
            The voxels are not all in one object, there are none of a part, or it is locked.
        """
        mine, others = tuple(map(voxel_of, one)), tuple(map(voxel_of, other))
        numbers = sorted({self.objects.at(at) for at in (*mine, *others)})
        if len(numbers) != 1 or not numbers[0]:
            raise ValueError(f"The places lie in {numbers}; choose places of one object (0 is background).")
        if not mine or not others or {*mine} & {*others}:
            raise ValueError("A split needs places of both parts, none of them in both.")
        return self.objects.split(numbers[0], self._work.part_of(numbers[0], mine, others))

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
        yield from self._work.doubts()

    def answer(self, doubt: Doubt, together: bool) -> Iterator[Searching | Grown]:
        """Say whether the two sides of a doubtful place belong together; errors as :meth:`click`."""
        for prompt in doubt.answer(together, bool(self.active.points(True))):
            yield from self.steps(prompt)

    # ---- undo

    def undo(self) -> str:
        """Take back the last prompt about the object in work, else the last edit.

        Returns
        -------
        str
            What was taken back; empty where there is nothing.
        """
        return self._work.take_back() if self.active.said else self.objects.undo()

    def redo(self) -> str:
        """Do again what :meth:`undo` took back last; returns what it is."""
        return self._work.say_again() or self.objects.redo()

    # ---- small things

    def _on_work(self) -> None:
        self.changed.emit(Changed(active=True))

    def _on_edit(self, edit: Edit) -> None:
        self._work.follow(edit.ids)
        self.changed.emit(Changed(ids=edit.ids - {0}, z=edit.z))
