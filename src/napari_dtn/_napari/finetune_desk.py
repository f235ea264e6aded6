"""What the panel asks of annotations, one after the other: generators for a job; no Qt, no napari."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_dtn._napari.layers import Snapshot
    from napari_dtn.annotate import Annotations, Region
    from napari_dtn.segment.patches import Patch
    from napari_dtn.volume.opening import Volume

    Box = tuple[slice, slice, slice]

Action = Callable[["Annotations"], str]
_SIDE = 40  # pixels of a thumbnail
_PICTURES = 200  # regions that are drawn, not only named


@dataclass(frozen=True, eq=False)
class Pictured:
    """A region, and how it looks, ``(height, width, 3)``, uint8; None where there are very many."""

    region: Region
    picture: NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False)
class Annotated:
    """What there is after something was said.

    Parameters
    ----------
    annotations
        What is open.
    pixels
        Of each class.
    regions
        What is annotated.
    words
        What was done.
    """

    annotations: Annotations
    pixels: tuple[int, ...]
    regions: tuple[Pictured, ...]
    words: str


class AnnotationDesk:
    """Does what is asked of the annotations of one image, in order.

    One job at a time may iterate :meth:`open` or :meth:`run`; anything may :meth:`ask`.
    """

    def __init__(self) -> None:
        self._waiting: deque[Action] = deque()
        self.annotations: Annotations | None = None
        self._volume: Volume | None = None
        self._pictures: dict[str, Pictured] = {}
        self.acting = False  # whether an edit that is being made is ours

    @property
    def waiting(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._waiting)

    def ask(self, action: Action) -> None:
        """Put something at the end of the queue; it returns words for people."""
        self._waiting.append(action)

    def open(self, image: Snapshot, folder: Path, classes: Sequence[str]) -> Iterator[Annotated]:
        """Open the annotations of an image, or begin them; no classes stand for those that are there."""
        from napari_dtn.annotate import open_annotations

        while self._waiting and self.annotations is not None:
            self._waiting.popleft()(self.annotations)  # strokes that waited when the last ones were left
        self.close()
        self._volume = image.volume
        self.annotations = open_annotations(folder, image.volume, classes or None)
        yield self._state("")

    def run(self) -> Iterator[Annotated]:
        """Do what waits, until nothing is left; then let the annotation's coarser levels follow."""
        while self._waiting and self.annotations is not None:
            self.acting = True
            try:
                words = self._waiting.popleft()(self.annotations)
            finally:
                self.acting = False
            if not self._waiting:  # a fast hand paints faster than lists are drawn
                yield self._state(words)
        for _ in self.annotations.follow() if self.annotations is not None else ():
            if self._waiting:
                return

    def close(self) -> None:
        """Let go of the annotations; their folder has everything."""
        if self.annotations is not None:
            self.annotations.close()
            self.annotations = None
        self._pictures = {}
        self._waiting.clear()

    def _state(self, words: str) -> Annotated:
        assert self.annotations is not None
        regions = self.annotations.regions()
        known = self._pictures
        self._pictures = {repr(one): known.get(repr(one)) or self._drawn(one) for one in regions[:_PICTURES]}
        rest = tuple(Pictured(one, None) for one in regions[_PICTURES:])
        return Annotated(self.annotations, self.annotations.pixels, (*self._pictures.values(), *rest), words)

    def _drawn(self, region: Region) -> Pictured:
        from napari_dtn.annotate import thumbnail

        assert self.annotations is not None
        assert self._volume is not None
        return Pictured(region, thumbnail(region, self._volume.data, self.annotations.labels, _SIDE))


# ---- what can be asked


def painted(patches: Sequence[Patch]) -> Action:
    """Record a stroke."""

    def action(annotations: Annotations) -> str:
        return "Saved." if annotations.record("a stroke", patches) else ""

    return action


def reviewed(box: Box) -> Action:
    """Say that all boundary in a box is painted."""

    def action(annotations: Annotations) -> str:
        return "The box is reviewed." if annotations.review(box) else "All of the box was annotated already."

    return action


def took_ids(ids: Any, corner: tuple[int, int, int]) -> Action:
    """Take a segmentation over, whose first voxel is there in the volume."""

    def action(annotations: Annotations) -> str:
        taken = annotations.add_ids(ids, corner)
        return "The segmentation is annotation now." if taken else "It was there already."

    return action


def took_objects(annotations: Annotations) -> str:
    """Make training data of all objects that were kept while clicking."""
    numbers = sorted({extent.id for extent in annotations.history.extents()})
    if not numbers:
        raise ValueError("No object is kept in this folder: click some first, and keep them.")
    changed = sum(annotations.add_object(number) for number in numbers)
    return f"{changed} object{'s' * (changed != 1)} became training data."


def undone(annotations: Annotations) -> str:
    """Take the last thing back."""
    words = annotations.undo()
    return f"Taken back: {words}." if words else "There is nothing to take back."


def redone(annotations: Annotations) -> str:
    """Do again what was taken back."""
    words = annotations.redo()
    return f"Done again: {words}." if words else "There is nothing to do again."


def listed(annotations: Annotations) -> str:
    """Do nothing: what there is will be shown."""
    return ""
