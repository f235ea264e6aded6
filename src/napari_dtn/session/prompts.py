"""What is said about an object: clicks and scribbles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_dtn.settings import Box

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
    what
        What it is called; unless given, a click or a scribble.
    """

    points: tuple[Point, ...]
    positive: bool
    what: str = ""

    @property
    def words(self) -> str:
        """What it is called."""
        return self.what or ("a click" if len(self.points) == 1 else "a scribble")


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
    within
        The box that it may not leave, in voxels of the volume; None where there is none.
    """

    prompts: tuple[Prompt, ...] = ()
    number: int = 0
    base: Mask | None = None
    known: int = 0
    within: Box | None = None

    @property
    def since(self) -> tuple[Prompt, ...]:
        """What was said about it since it was taken up."""
        return self.prompts[self.known :]

    @property
    def said(self) -> bool:
        """Whether anything was said about it since it was taken up."""
        return bool(self.since)

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
    return tuple(
        Prompt(tuple(map(voxel_of, one["points"])), one["positive"], one.get("what", "")) for one in values
    )


def still_true(prompts: Iterable[Prompt], mask: Mask) -> tuple[Prompt, ...]:
    """Return what prompts say that is so in a mask: later edits may have made it otherwise."""
    kept = (
        replace(one, points=tuple(point for point in one.points if mask.holds(point) == one.positive))
        for one in prompts
    )
    return tuple(one for one in kept if one.points)


def plain_box(box: Box | None) -> list[list[int]] | None:
    """Return a box as plain JSON values: its first voxel and the one behind its last, for each axis."""
    return None if box is None else [[side.start, side.stop] for side in box]


def box_from_plain(values: list[list[int]] | None) -> Box | None:
    """Read a box from what :func:`plain_box` returned."""
    if values is None:
        return None
    z, y, x = (slice(*ends) for ends in values)
    return z, y, x


def shared_box(one: Box, other: Box | None) -> Box:
    """Return what two boxes share.

    Raises
    ------
    ValueError
        They share nothing.
    """
    if other is None:
        return one
    z, y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    if any(side.start >= side.stop for side in (z, y, x)):
        raise ValueError(f"Nothing of {box_words(one)} lies within {box_words(other)}; choose another box.")
    return z, y, x


def box_words(box: Box) -> str:
    """``z 80:100, y 0:512, x 256:768``."""
    return ", ".join(f"{axis} {side.start}:{side.stop}" for axis, side in zip("zyx", box, strict=True))
