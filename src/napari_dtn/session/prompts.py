"""What is said about an object: clicks and scribbles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dtn.session.mask import Mask

Point = tuple[int, int, int]


@dataclass(frozen=True)
class Prompt:
    """A click, or a scribble: places that belong to the object, or do not.

    Parameters
    ----------
    points
        Voxels (z, y, x).
    positive
        Whether they belong to it.
    """

    points: tuple[Point, ...]
    positive: bool

    @property
    def words(self) -> str:
        """What it is called."""
        return "a click" if len(self.points) == 1 else "a scribble"


@dataclass(frozen=True, eq=False)
class Active:
    """The object in work.

    Parameters
    ----------
    prompts
        What was said about it.
    number
        Its id where it was committed before; 0 for a new one.
    base
        What it was when it was committed.
    known
        How many of the prompts led to that.
    """

    prompts: tuple[Prompt, ...] = ()
    number: int = 0
    base: Mask | None = None
    known: int = 0

    @property
    def said(self) -> bool:
        """Whether anything was said about it since it was taken up."""
        return len(self.prompts) > self.known

    def points(self, positive: bool) -> list[Point]:
        """Return the voxels of all prompts of one kind; the last prompt about a voxel counts."""
        said = {point: prompt.positive for prompt in self.prompts for point in prompt.points}
        return [point for point, kind in said.items() if kind == positive]


def voxel_of(at: Iterable[int]) -> Point:
    """Return a voxel (z, y, x) as three plain integers."""
    z, y, x = (int(one) for one in at)
    return z, y, x


def plain(prompts: Iterable[Prompt]) -> list[Any]:
    """Return prompts as plain JSON values."""
    return [asdict(prompt) for prompt in prompts]


def from_plain(values: Iterable[Any]) -> tuple[Prompt, ...]:
    """Read prompts from what :func:`plain` returned."""
    return tuple(Prompt(tuple(map(voxel_of, one["points"])), one["positive"]) for one in values)
