"""What can be asked of a click session: generators of steps, the last of which may be words; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dtn.segment.patches import Patch
    from napari_dtn.session import ClickSession, Grown, Searching
    from napari_dtn.settings import ClickSettings

Point = tuple[int, int, int]
Action = Callable[["ClickSession"], "Iterator[Searching | Grown | str]"]


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


@dataclass(frozen=True)
class Edited:
    """Change committed objects, whatever is in work; the change returns words for people."""

    change: Callable[[ClickSession], str]

    def __call__(self, session: ClickSession) -> Iterator[str]:
        """Do it."""
        yield self.change(session)


def regrown(session: ClickSession, news: str = "") -> Iterator[Any]:
    """Find the object that was in work, as when the session was left; ``news`` go before what was found."""
    yield from session.grow_steps()
    yield f"{news} {_found(session)}".strip()


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
    fresh = session.split(one, other)
    session.drop()
    return f"The part with the orange crosses is object {fresh} now."


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


def renumber(session: ClickSession, number: int, typed: str) -> str:
    """Give an object another id."""
    if not typed.strip().isdecimal():
        raise ValueError(f"“{typed}” is no id; ids are whole numbers from 1 on.")
    new = int(typed)
    merged = bool(session.objects.history.extents(new))
    if session.active.number and session.active.number in (number, new):
        raise ValueError(f"Object {session.active.number} is in work; keep it or drop it first.")
    session.objects.relabel(number, new)
    return f"Object {number} is part of {new} now." if merged else f"Object {number} is {new} now."


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
