"""Annotations of a volume on disk, beside its objects and in the same line of edits."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from napari_dtn.annotate.regions import NEVER_TAUGHT, Fold, Region, Taught, find_regions, folds_of
from napari_dtn.annotate.sources import BOUNDARY, INSIDE, LEAVE, from_ids, from_object, reviewed_box
from napari_dtn.segment.history import Edit
from napari_dtn.segment.patches import patch_between
from napari_dtn.session.objects import patches_over, rectangles, widened
from napari_dtn.session.store import ANNOTATIONS, close_store, open_store
from napari_dtn.settings import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dtn.segment.history import History
    from napari_dtn.segment.patches import Patch, Rectangle
    from napari_dtn.session.store import Store
    from napari_dtn.volume.opening import Volume

    Annotation = NDArray[np.uint8]

CLASSES = ("boundary", "inside")
_CLASSES = "annotation classes"


class Annotations:
    """What was said about the pixels of a volume; on disk as soon as it is said.

    Parameters
    ----------
    store
        What the folder holds, and what was done to it; closed with this.
    classes
        Their names: a pixel of class i is i + 1, and 0 where nothing was said.

    Attributes
    ----------
    changed
        Signal, emitted with every :class:`Edit` of annotations, also when it is undone or redone, by whomever
        and in the thread that did it.
    """

    changed: ClassVar[Signal] = Signal(Edit)

    def __init__(self, store: Store, classes: tuple[str, ...]) -> None:
        self.history = store.history
        self.classes = classes
        self._pyramid = store.pyramid(ANNOTATIONS)
        self._edits: Counter[int] = Counter()  # of each slice, since this was opened
        self._found: dict[int, tuple[int, list[Region]]] = {}
        self.history.made.connect(self._on_made)
        self._leaving = ExitStack()
        self._leaving.callback(close_store, store)
        self._leaving.callback(self.history.made.disconnect, self._on_made)

    @property
    def labels(self) -> Any:
        """The annotation, a zarr array (Z, Y, X), uint8."""
        return self.history.arrays[ANNOTATIONS]

    @property
    def levels(self) -> tuple[Any, ...]:
        """The annotation, and its coarser levels as far as they have followed."""
        return self._pyramid.levels

    def follow(self) -> Iterator[int]:
        """Bring the coarser levels up to what was said, slice by slice; yields how many are left."""
        yield from self._pyramid.follow()

    def close(self) -> None:
        """Let go of the folder."""
        self._leaving.close()

    # ---- what is there

    @property
    def pixels(self) -> tuple[int, ...]:
        """How many there are of each class."""
        count: Counter[int] = Counter()
        for extent in self.history.extents(array=ANNOTATIONS):
            count[extent.id] += extent.voxels
        return tuple(count[value] for value in range(1, len(self.classes) + 1))

    def regions(self) -> list[Region]:
        """Return what is annotated, as regions of slices, in the order of z."""
        places = rectangles(self.history.extents(array=ANNOTATIONS))
        return [region for z, place in sorted(places.items()) for region in self._regions_of(z, place)]

    def folds(self, taught: Taught = NEVER_TAUGHT) -> list[Fold]:
        """Return what to hold back; none where too little is annotated to hold anything back.

        Parameters
        ----------
        taught
            What models have learned of this volume before.
        """
        return folds_of(self.regions(), lambda one: np.asarray(self.labels[one.z, one.y, one.x]), taught)

    def _regions_of(self, z: int, place: Rectangle) -> list[Region]:
        edits = self._edits[z]
        known = self._found.get(z)
        if known is None or known[0] != edits:
            y0, y1, x0, x1 = place
            window = np.asarray(self.labels[z, y0:y1, x0:x1])
            known = edits, find_regions(window, z, len(self.classes), (y0, x0))
            self._found[z] = known
        return known[1]

    # ---- what is said

    def paint(self, box: Box, values: Annotation, what: str = "a stroke") -> bool:
        """Say something about the pixels of a box.

        Parameters
        ----------
        box
            Slices with both ends.
        values
            Of the box's shape: 1 + class, 0 to forget what was said, :data:`LEAVE` to leave it as it is.
        what
            In words.

        Returns
        -------
        bool
            Whether anything changes.

        Raises
        ------
        ValueError
            The box leaves the volume, the values are of another shape, or there is no such class.
        """
        self._check_box(box)
        first, sides = box[0].start, tuple(side.stop - side.start for side in box)
        if values.shape != sides:
            raise ValueError(
                f"The values have shape {values.shape}, and the box {sides}; give a value a voxel."
            )

        def painted(z: int, y: slice, x: slice, before: Annotation) -> Annotation:
            return _laid_over(before, values[z - first])

        return self._edited(what, patches_over(self.labels, _places(box), painted))

    def review(self, box: Box) -> bool:
        """Say that all boundary in a box is painted: what is not annotated in it is inside; as :meth:`paint`.

        Raises
        ------
        ValueError
            The box leaves the volume, or no class is called ``inside``.
        """
        self._check_box(box)
        if len(self.classes) > 2 and "inside" not in self.classes:
            raise ValueError(f"The classes are {', '.join(self.classes)}; reviewing needs one called inside.")
        inside = INSIDE if len(self.classes) == 2 else self.classes.index("inside") + 1

        def reviewed(z: int, y: slice, x: slice, before: Annotation) -> Annotation:
            return reviewed_box(before, inside)

        return self._edited("a reviewed box", patches_over(self.labels, _places(box), reviewed))

    def add_ids(self, ids: Any, origin: tuple[int, int, int] = (0, 0, 0)) -> bool:
        """Take a segmentation over, whose id 0 is boundary; as :meth:`paint`.

        Parameters
        ----------
        ids
            (Z, Y, X), anything that slices to integers.
        origin
            Its first voxel in the volume.
        """
        z, y, x = (slice(start, start + side) for start, side in zip(origin, ids.shape, strict=True))
        self._check_box((z, y, x))

        def taken(at: int, y: slice, x: slice, before: Annotation) -> Annotation:
            return self._valued(from_ids(np.asarray(ids[at - z.start])))

        return self._edited("a segmentation", patches_over(self.labels, _places((z, y, x)), taken))

    def add_object(self, number: int) -> bool:
        """Make training data of a committed object: its inside, and its rim; as :meth:`paint`.

        Raises
        ------
        ValueError
            There is no such object.
        """
        extents = self.history.extents(number)
        if not extents:
            raise ValueError(f"There is no object {number}; keep it first.")
        shape = self.labels.shape[1:]
        places = {z: widened(place, 1, shape) for z, place in rectangles(extents).items()}

        def said(z: int, y: slice, x: slice, before: Annotation) -> Annotation:
            known = self._valued(from_object(np.asarray(self.history.labels[z, y, x]), number))
            return _laid_over(before, known)

        return self._edited(f"object {number} as annotation", patches_over(self.labels, places, said))

    def _edge_and_inside(self) -> tuple[int, int]:
        """The values of boundary and of inside: of two classes the first and second, else by their names."""
        if len(self.classes) == 2:
            return BOUNDARY, INSIDE
        if not {"boundary", "inside"} <= {*self.classes}:
            raise ValueError(
                f"The classes are {', '.join(self.classes)}; this needs one called boundary and one called "
                "inside."
            )
        return self.classes.index("boundary") + 1, self.classes.index("inside") + 1

    def _valued(self, known: Annotation) -> Annotation:
        """Return boundary and inside as the values that they have among the classes."""
        values = np.arange(256, dtype=np.uint8)
        values[[BOUNDARY, INSIDE]] = self._edge_and_inside()
        return values[known]

    def record(self, what: str, patches: Iterable[Patch]) -> bool:
        """Make changes that somebody else has thought of, such as a brush; returns whether there are any.

        Raises
        ------
        ValueError
            There is no such class.
        """
        return self._edited(what, filter(None, map(self._upon, map(self._checked, patches))))

    def undo(self) -> str:
        """Take the last edit back, of annotations or objects; returns what it was, or nothing."""
        return edit.what if (edit := self.history.undo()) else ""

    def redo(self) -> str:
        """Make the next edit again; returns what it is, or nothing where there is none."""
        return edit.what if (edit := self.history.redo()) else ""

    # ---- small things

    def _on_made(self, edit: Edit) -> None:
        if edit.array == ANNOTATIONS:
            self._edits.update(edit.z)
            self.changed.emit(edit)

    def _check_box(self, box: Box) -> None:
        shape = self.labels.shape
        if any(one.start < 0 or one.stop > side for one, side in zip(box, shape, strict=True)):
            there = ", ".join(f"{one.start}:{one.stop}" for one in box)
            raise ValueError(f"The box {there} leaves the volume of shape {shape}; draw it inside.")

    def _edited(self, what: str, patches: Iterable[Patch]) -> bool:
        return self.history.edit(what, map(self._checked, patches), ANNOTATIONS) is not None

    def _upon(self, patch: Patch) -> Patch | None:
        """Return what a patch changes by now: what is there may have changed since it was thought of."""
        there = np.asarray(self.labels[patch.place])
        return patch_between(patch.z, (patch.y[0], patch.x[0]), there, patch.on(there))

    def _checked(self, patch: Patch) -> Patch:
        highest = int(patch.new.max())
        if highest > len(self.classes):
            raise ValueError(
                f"The annotation holds {highest}; the classes {', '.join(self.classes)} are "
                f"1 to {len(self.classes)}, and 0 is not annotated."
            )
        return patch


def open_annotations(folder: str | Path, volume: Volume, classes: Sequence[str] | None = None) -> Annotations:
    """Open the annotations in a session's folder, or begin them.

    Parameters
    ----------
    folder
        That of a click session, which may be open in this process; made where it is missing.
    volume
        What is annotated.
    classes
        Names; unless given, those that the folder has, or ``boundary`` and ``inside``. Classes may be added
        to those that are there.

    Raises
    ------
    ValueError
        The folder belongs to another volume or process, or has other classes.
    """
    store = open_store(Path(folder), volume)
    try:
        return Annotations(store, _settled(store.history, classes))
    except ValueError:
        close_store(store)
        raise


def _settled(history: History, classes: Sequence[str] | None) -> tuple[str, ...]:
    there = tuple(history.note(_CLASSES, ()))
    wanted = tuple(classes or there or CLASSES)
    used, shared = {extent.id for extent in history.extents(array=ANNOTATIONS)}, min(len(there), len(wanted))
    if there[:shared] == wanted[:shared] and max(used, default=0) > len(wanted):
        wanted = there  # they were added to those that are asked for
    if wanted[:shared] != there[:shared] and used:
        raise ValueError(
            f"The annotations have the classes {', '.join(there)}, not {', '.join(wanted)}; "
            "keep those, add others after them, or choose another folder."
        )
    history.write_note(_CLASSES, wanted)
    return wanted


def _places(box: Box) -> dict[int, Rectangle]:
    z, y, x = box
    return dict.fromkeys(range(z.start, z.stop), (y.start, y.stop, x.start, x.stop))


def _laid_over(before: Annotation, values: Annotation) -> Annotation:
    return np.where(values == LEAVE, before, values)
