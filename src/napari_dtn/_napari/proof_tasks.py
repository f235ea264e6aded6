"""What proofreading asks of a click session: actions for the click desk; no Qt, no napari."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_dtn._napari.click_actions import Action
    from napari_dtn.session import ClickSession, Doubt, Prompt
    from napari_dtn.session.prompts import Active
    from napari_dtn.settings import Box

Point = tuple[int, int, int]


@dataclass(frozen=True)
class Asked:
    """A doubtful place that is asked about; None where no more are left."""

    doubt: Doubt | None


class Proofreading:
    """Remembers what a proofreader has begun: the first of two objects, and the places that were passed."""

    def __init__(self) -> None:
        self._first = 0
        self._doubt: Doubt | None = None
        self._of: int | tuple[Prompt, ...] = 0  # the object in work that it was asked of
        self._passed: set[Point] = set()

    def crossed(self, points: Sequence[Point]) -> Action:
        """Merge the objects under a line; of one alone, with the next one that is clicked."""

        def action(session: ClickSession) -> Iterator[str]:
            found = {session.objects.at(at) for at in _line(points)} - {0}
            first, self._first = self._first, 0
            if len(found) == 1 and first and session.objects.history.extents(first):
                found |= {first}
            if len(found) > 1:
                yield f"Objects {_listed(found)} are object {session.objects.merge(found)} now."
            elif found:
                (self._first,) = found
                yield f"Object {self._first} merges with the next one that is clicked."
            else:
                yield "There is no kept object to merge."

        return action

    def follow(self, session: ClickSession) -> Iterator[Asked]:
        """Forget what was asked of an object that is no longer the one in work."""
        if self._doubt is not None and self._of != _in_work(session.active):
            self._doubt = None
            self._passed.clear()
            yield Asked(None)

    def next_doubt(self, chosen: Sequence[int]) -> Action:
        """Go to the next doubtful place of the object in work, or of the first chosen one."""

        def action(session: ClickSession) -> Iterator[Any]:
            if session.mask is None and chosen:
                session.activate(chosen[0])
            yield from self.follow(session)
            doubts: list[Doubt] = []
            for step in session.doubts():
                doubts = step if isinstance(step, list) else doubts
            if self._doubt is not None:
                self._passed.add(self._doubt.places[0])
            left = [one for one in doubts if one.places[0] not in self._passed]
            self._doubt, self._of = left[0] if left else None, _in_work(session.active)
            if self._doubt is None:
                self._passed.clear()
            yield Asked(self._doubt)
            yield _question(self._doubt, len(left))

        return action

    def answered(self, together: bool, chosen: Sequence[int]) -> Action:
        """Answer what was asked, and go to the next place."""

        def action(session: ClickSession) -> Iterator[Any]:
            yield from self.follow(session)
            if self._doubt is None:
                raise ValueError("Nothing was asked: go to a doubtful place (D) first.")
            yield from session.answer(self._doubt, together)
            self._doubt = None
            yield from self.next_doubt(chosen)(session)

        return action


def confined(box: Box | None) -> Action:
    """Keep objects within a box, or no longer."""

    def action(session: ClickSession) -> Iterator[Any]:
        from napari_dtn.session.prompts import box_words

        yield from session.confine(box)
        yield "Objects may lie anywhere." if box is None else f"Objects stay within {box_words(box)}."

    return action


def _in_work(active: Active) -> int | tuple[Prompt, ...]:
    """Return what tells the object in work from others: its id, or the first thing that was said about it."""
    return active.number or active.prompts[:1]


def _line(points: Sequence[Point]) -> Iterator[Point]:
    """Yield the voxels of a slice from point to point: a quick mouse leaves some out."""
    yield points[0]
    for (_, y0, x0), (z, y1, x1) in pairwise(points):
        steps = max(abs(y1 - y0), abs(x1 - x0), 1)
        for step in range(1, steps + 1):
            yield z, round(y0 + (y1 - y0) * step / steps), round(x0 + (x1 - x0) * step / steps)


def _question(doubt: Doubt | None, left: int) -> str:
    if doubt is None:
        return "No doubtful place is left."
    state = "They are joined" if doubt.joined else "They are apart"
    return f"One object here? {state}, probability {doubt.probability:.2f}. Y: yes, N: no, D: next of {left}."


def _listed(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
