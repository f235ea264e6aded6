"""What the click panel asks of its session, one after the other: generators for a job; no Qt, no napari."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dtn._napari.click_actions import Edited, regrown

if TYPE_CHECKING:
    from napari_dtn._napari.click_actions import Action, Point
    from napari_dtn._napari.layers import Snapshot
    from napari_dtn.predict import Predictor
    from napari_dtn.session import ClickSession, Mask, ObjectFacts, Prompt
    from napari_dtn.session.boundaries import Boundaries
    from napari_dtn.settings import PredictSettings


_AT_ONCE = "Click inside an object. The boundaries have their graph, so objects are found whole at once."


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


class ClickDesk:
    """Does what is asked, in order; an object that grows gives way to the next click.

    One job at a time may iterate :meth:`run`; anything may :meth:`ask`.

    Parameters
    ----------
    after
        What to do after each thing that was asked: steps, which are yielded too.
    """

    def __init__(self, after: Callable[[ClickSession], Iterator[Any]] = lambda _: iter(())) -> None:
        self._after = after
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
        """Leave undone what waits, but for edits: a stroke, say, is on the screen already."""
        self._waiting = deque(one for one in self._waiting if isinstance(one[0], Edited))

    def open(self, image: Snapshot, source: Source, folder: Path, predict: PredictSettings) -> Iterator[Any]:
        """Open the session of an image, then do what waits; edits of the last one go into its own folder."""
        self._make_edits()
        self.close()
        from napari_dtn.session import ClickSession

        boundaries = _boundaries(image, source, predict)
        self.session = ClickSession(image.volume, boundaries=boundaries, folder=folder)
        news = " ".join(_news(self.session, boundaries))
        yield self._state(news, True)
        boundaries.prepare()
        self.ask(partial(regrown, news=news))
        yield from self.run()

    def _make_edits(self) -> None:
        """Make the edits that wait, and forget what else does."""
        self.forget()
        while self._waiting:
            action, _ = self._waiting.popleft()
            for _ in action(self.session) if self.session is not None else ():
                pass

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
                if self._is_outdated():
                    break
            if self.session.outdated:  # by an edit: found anew unless something else comes first
                self._waiting.append((regrown, False))
            yield from self._after(self.session)
            yield self._state(words)
        if self.session is not None and self.session.objects.changes != self._left_behind:
            yield from self._follow(self.session)

    def _is_outdated(self) -> bool:
        """Whether what waits next, edits of kept objects aside, does not need the object in work finished."""
        return next((outdates for action, outdates in self._waiting if not isinstance(action, Edited)), False)

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


def _news(session: ClickSession, boundaries: Boundaries) -> Iterator[str]:
    """What someone who has just opened a folder should know."""
    yield from session.remarks
    if session.active.said:
        yield "An object that was not kept is back with its clicks; Escape drops it."
    elif boundaries.graph is not None:
        yield _AT_ONCE


def _boundaries(image: Snapshot, source: Source, predict: PredictSettings) -> Boundaries:
    from napari_dtn.session.bad_slices import JudgedSlices
    from napari_dtn.session.boundaries import PredictedBoundaries, StoredBoundaries

    volume = image.volume
    if not source.model:
        return StoredBoundaries.at(source.array, source.path, volume.shape, source.origin)

    def make() -> Predictor:
        from napari_dtn.nn.checkpoint import load_model
        from napari_dtn.predict import Predictor, use_threads

        use_threads(predict)
        return Predictor.of(load_model(source.model, predict.device), volume, predict)

    return PredictedBoundaries(make, volume.shape, bad=JudgedSlices(volume))
