"""What the click panel asks of its session, one after the other: generators for a job; no Qt, no napari."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dtn._napari.layers import Snapshot
    from napari_dtn.predict import Predictor
    from napari_dtn.segment.patches import Patch
    from napari_dtn.session import ClickSession, Grown, Mask, ObjectFacts, Prompt, Searching
    from napari_dtn.session.boundaries import Boundaries
    from napari_dtn.settings import ClickSettings, PredictSettings

Point = tuple[int, int, int]


@dataclass(frozen=True)
class Source:
    """Where boundaries come from.

    Parameters
    ----------
    name
        For people.
    model
        Bundled name or path of a model; empty where there are boundaries already.
    array
        Boundaries, (Z, Y, X).
    origin
        Their first voxel in the image, (Z, Y, X).
    path
        Their file, which may say which slices are bad.
    """

    name: str
    model: str = ""
    array: Any = None
    origin: Point = (0, 0, 0)
    path: str | None = None


@dataclass(frozen=True, eq=False)
class State:
    """What there is after something was done.

    Parameters
    ----------
    session
        The session.
    mask
        The object in work.
    prompts
        What was said about it.
    number
        Its id where it was committed before, else 0.
    objects
        Committed objects; None where they are as they were.
    words
        What was done.
    """

    session: ClickSession
    mask: Mask | None
    prompts: tuple[Prompt, ...]
    number: int
    objects: list[ObjectFacts] | None
    words: str


@dataclass(frozen=True)
class Followed:
    """The coarser levels of the labels are up to them in another slice; so many are left."""

    left: int


Action = Callable[["ClickSession"], "Iterator[Searching | Grown | str]"]


class ClickDesk:
    """Does what is asked, in order; an object that grows gives way to the next click.

    One job at a time may iterate :meth:`run`; anything may :meth:`ask`.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Action, bool]] = deque()
        self.session: ClickSession | None = None
        self._listed = -1
        self._left_behind = -1  # edits after which the coarser levels could not follow

    @property
    def waiting(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._waiting)

    def ask(self, action: Action, outdates: bool = False) -> None:
        """Put something at the end of the queue.

        Parameters
        ----------
        action
            A generator of steps, the last of which may be words for people.
        outdates
            Whether what grows before it need not be finished.
        """
        self._waiting.append((action, outdates))

    def forget(self) -> None:
        """Leave undone what waits."""
        self._waiting.clear()

    def open(self, image: Snapshot, source: Source, folder: Path, predict: PredictSettings) -> Iterator[Any]:
        """Open the session of an image, then do what waits."""
        self.close()
        from napari_dtn.session import ClickSession

        boundaries = _boundaries(image, source, predict)
        self.session = ClickSession(image.volume, boundaries=boundaries, folder=folder)
        yield self._state("", True)
        boundaries.prepare()
        self.ask(regrown)
        yield from self.run()

    def run(self) -> Iterator[Any]:
        """Do what waits, until nothing is left; then let the labels' coarser levels follow."""
        while self._waiting and self.session is not None:
            action, _ = self._waiting.popleft()
            words = ""
            for step in action(self.session):
                if isinstance(step, str):
                    words = step
                else:
                    yield step
                if any(outdates for _, outdates in self._waiting):
                    break
            yield self._state(words)
        if self.session is not None and self.session.objects.changes != self._left_behind:
            yield from self._follow(self.session)

    def _follow(self, session: ClickSession) -> Iterator[Followed]:
        try:
            for left in session.follow():
                yield Followed(left)
                if self._waiting:
                    return
        except Exception:  # a full disk, say: tried again after the next edit, not at once
            self._left_behind = session.objects.changes
            raise

    def close(self) -> None:
        """Leave the session; its folder has everything."""
        if self.session is not None:
            self.session.leave()
            self.session, self._left_behind = None, -1

    def _state(self, words: str, anew: bool = False) -> State:
        assert self.session is not None
        session = self.session
        edits = session.objects.changes
        objects = session.objects.all() if anew or edits != self._listed else None
        self._listed = edits
        return State(session, session.mask, session.active.prompts, session.active.number, objects, words)


def _boundaries(image: Snapshot, source: Source, predict: PredictSettings) -> Boundaries:
    from napari_dtn.session.boundaries import PredictedBoundaries, StoredBoundaries
    from napari_dtn.volume.writing import bad_slices_of

    volume = image.volume
    if not source.model:
        marked = bad_slices_of(source.path) if source.path else frozenset()
        bad = frozenset(z + source.origin[0] for z in marked)
        return StoredBoundaries(source.array, volume.shape, source.origin, bad)

    def make() -> Predictor:
        from napari_dtn.nn.checkpoint import load_model
        from napari_dtn.predict import Predictor, use_threads

        use_threads(predict)
        return Predictor.of(load_model(source.model, predict.device), volume, predict)

    return PredictedBoundaries(make, volume.shape)


# ---- what can be asked


def clicked(at: Point, positive: bool) -> Action:
    """Take up the committed object at a voxel where nothing was said yet, else add a click."""

    def action(session: ClickSession) -> Iterator[Any]:
        from napari_dtn.session import Prompt

        there = session.objects.at(at)
        active = session.active
        if positive and there and not active.said and there != active.number:
            session.activate(there)
            yield f"Object {there} is taken up again: click to change it, Enter to put it back."
            return
        yield from session.steps(Prompt((at,), positive))
        yield _found(session)

    return action


def scribbled(points: tuple[Point, ...], positive: bool) -> Action:
    """Add a scribble."""

    def action(session: ClickSession) -> Iterator[Any]:
        from napari_dtn.session import Prompt

        yield from session.steps(Prompt(points, positive))
        yield _found(session)

    return action


def set_up(settings: ClickSettings) -> Action:
    """Go by other settings from now on; the object in work follows."""

    def action(session: ClickSession) -> Iterator[Any]:
        session.settings = replace(settings, memory=session.settings.memory)
        yield from regrown(session)

    return action


def committed(session: ClickSession) -> Iterator[str]:
    """Write the object in work into the labels."""
    if session.mask is None:
        yield "There is nothing to keep: click inside an object."
    else:
        yield f"Object {session.commit()} is in the labels."


def dropped(session: ClickSession) -> Iterator[str]:
    """Forget the object in work."""
    session.drop()
    yield ""


def undone(session: ClickSession) -> Iterator[str]:
    """Take the last thing back."""
    words = session.undo()
    yield f"Taken back: {words}." if words else "There is nothing to take back."


def redone(session: ClickSession) -> Iterator[str]:
    """Do again what was taken back."""
    words = session.redo()
    yield f"Done again: {words}." if words else "There is nothing to do again."


def edited(change: Callable[[ClickSession], str]) -> Action:
    """Change committed objects; the change returns words for people."""

    def action(session: ClickSession) -> Iterator[str]:
        yield change(session)

    return action


def regrown(session: ClickSession) -> Iterator[Any]:
    """Find the object that was in work when the session was left."""
    yield from session.grow_steps()
    yield _found(session)


def shown(session: ClickSession) -> Iterator[str]:
    """Do nothing: what there is will be shown."""
    yield _found(session)


def _found(session: ClickSession) -> str:
    mask = session.mask
    if mask is None:
        return ""
    slices = len(mask.slices)
    return f"{mask.voxels:,} voxels in {slices} slice{'s' * (slices > 1)}. Enter keeps it."


# ---- tools for chosen objects


def merge(session: ClickSession, chosen: Sequence[int]) -> str:
    """Merge the chosen objects."""
    return f"They are object {session.objects.merge(chosen)} now."


def split(session: ClickSession, chosen: Sequence[int]) -> str:
    """Split the object under the clicks."""
    one, other = (session.active.points(kind) for kind in (True, False))
    session.drop()
    return f"The part with the orange crosses is object {session.split(one, other)} now."


def delete(session: ClickSession, chosen: Sequence[int]) -> str:
    """Delete the chosen objects."""
    return _each(session.objects.delete, chosen, "Deleted")


def fill_holes(session: ClickSession, chosen: Sequence[int]) -> str:
    """Fill the holes of the chosen objects."""
    return _each(session.objects.fill_holes, chosen, "Filled the holes of")


def smooth(session: ClickSession, chosen: Sequence[int]) -> str:
    """Smooth the chosen objects."""
    return _each(session.objects.smooth, chosen, "Smoothed")


def interpolate(session: ClickSession, chosen: Sequence[int]) -> str:
    """Fill the slices that the chosen objects miss."""
    return _each(session.objects.interpolate, chosen, "Interpolated")


def record(session: ClickSession, patches: Sequence[Patch]) -> str:
    """Record the stroke of a brush."""
    session.objects.record("a stroke", patches)
    return "The stroke is in the labels."


def rename(session: ClickSession, number: int, name: str) -> str:
    """Call an object something."""
    session.objects.rename(number, name)
    return ""


def lock(session: ClickSession, number: int, on: bool) -> str:
    """Lock an object, or unlock it."""
    session.objects.lock(number, on)
    return f"Object {number} is {'locked' if on else 'free'}."


def _each(change: Callable[[int], object], chosen: Sequence[int], words: str) -> str:
    if not chosen:
        raise ValueError("No object is chosen: choose rows of the table first.")
    for number in chosen:
        change(number)
    return f"{words} {', '.join(map(str, chosen))}."


def teach(session: ClickSession, chosen: Sequence[int]) -> str:
    """Make training data of the chosen objects."""
    from napari_dtn.annotate import open_annotations

    with closing(open_annotations(session.folder, session.volume)) as annotations:
        return _each(annotations.add_object, chosen, "Training data now: object")


TOOLS: dict[str, Callable[..., str]] = {
    "merge": merge,
    "split": split,
    "delete": delete,
    "fill": fill_holes,
    "smooth": smooth,
    "interpolate": interpolate,
    "teach": teach,
}
