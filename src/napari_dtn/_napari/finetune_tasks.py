"""What the panel asks of the rooms that teach: generators of frozen events for a job; no Qt, no napari."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Union

from napari_dtn._napari.finetune_lesson import Lesson, data_of, remarks_on, settings_of
from napari_dtn.garbage import short_collections

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_dtn._napari.tasks import Desk, Request
    from napari_dtn.annotate import Annotations
    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.teach.comparison import Compared, Seen
    from napari_dtn.teach.events import TeachEvent
    from napari_dtn.teach.finetune import TeachRun
    from napari_dtn.teach.library import Version
    from napari_dtn.teach.preflight import Remark
    from napari_dtn.teach.uncertainty import Suggesting
    from napari_dtn.volume.intensity import Intensity

Wish = Literal["go on", "keep", "discard"]
_EVERY = 4.0  # seconds between two looks at the slice in view,
_SHARE = 5  # of which looking itself may take a fifth


@dataclass(frozen=True, eq=False)
class Remarked:
    """What to know before training."""

    remarks: tuple[Remark, ...]


@dataclass(frozen=True, eq=False)
class Looked:
    """A slice as the parent and as the model in training see it.

    Parameters
    ----------
    z
        The slice.
    before, after
        uint8 (C, Y, X): a map for each class.
    names_before, names_after
        Of the maps.
    """

    z: int
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    names_before: tuple[str, ...]
    names_after: tuple[str, ...]


@dataclass(frozen=True)
class Remembered:
    """The AUC on the phantom, before and after; ``after`` is None while it trains."""

    before: float
    after: float | None = None


@dataclass(frozen=True)
class Kept:
    """The version that is in the library now."""

    version: Version


Step = Union[Remarked, "TeachEvent", Looked, Remembered, Kept]


@dataclass
class TeachDesk:
    """One training at a time: how it is to go on, and which slice is looked at meanwhile.

    The window writes ``wish`` and ``z``; all else belongs to the job.
    """

    wish: Wish = "go on"
    z: int = 0
    _run: TeachRun | None = field(default=None, repr=False)
    _memory: Remembered | None = None

    def train(self, make: Callable[[], Lesson], resume: bool) -> Iterator[Step]:
        """Teach; at the end the best waits for :meth:`keep` or :meth:`discard`, unless the wish says it."""
        with short_collections():  # the import of the optimiser's many modules sets off a full one
            yield from self._taught(make, resume)

    def _taught(self, make: Callable[[], Lesson], resume: bool) -> Iterator[Step]:
        from napari_dtn.nn.checkpoint import load_model
        from napari_dtn.predict import use_threads
        from napari_dtn.teach.finetune import TeachRequest, finetune
        from napari_dtn.teach.forgetting import phantom_auc

        self.wish, self._run, self._memory = "go on", None, None
        lesson = make()
        use_threads(settings_of(lesson))
        parent = load_model(lesson.parent, lesson.settings.device)
        yield Remarked(tuple(remarks_on(lesson, parent)))
        data = data_of(lesson)
        before = phantom_auc(parent)
        yield Remembered(before)
        self._run = finetune(TeachRequest(parent, data, lesson.folder, lesson.settings), resume)
        yield from self._followed(self._run, _Watch(parent, lesson, data.intensity))
        if self.wished() == "discard":
            self.discard()
            return
        self._memory = Remembered(before, phantom_auc(self._run.best()))
        yield self._memory
        if self.wished() == "keep":
            yield from self.keep(lesson.name)
        elif self.wished() == "discard":  # meanwhile
            self.discard()

    def wished(self) -> Wish:
        """Return the wish, which may have changed since it was written last."""
        return self.wish

    def _followed(self, run: TeachRun, watch: _Watch) -> Iterator[TeachEvent | Looked]:
        from napari_dtn.teach.events import Started

        with closing(run.events()) as events:  # type: ignore[type-var]
            for event in events:
                yield event
                if self.wished() != "go on" and not isinstance(event, Started):
                    return  # with something to keep: the parent at least
                yield from watch.look(run, self.z)

    def keep(self, name: str) -> Iterator[Kept]:
        """Put the best into the library."""
        from napari_dtn.teach.forgetting import remembered

        assert self._run is not None
        yield Kept(self._run.keep(name, measured=remembered(**asdict(self._memory)) if self._memory else {}))
        self._run = None

    def discard(self) -> None:
        """Forget what was learned."""
        if self._run is not None:
            self._run.discard()
            self._run = None


class _Watch:
    """Looks at a slice every few seconds.

    Parameters
    ----------
    parent
        Who saw it before.
    lesson, intensity
        What is looked at.
    """

    def __init__(self, parent: Model, lesson: Lesson, intensity: Intensity) -> None:
        self._parent, self._lesson, self._intensity = parent, lesson, intensity
        self._before: tuple[int, NDArray[np.uint8]] | None = None
        self._next = 0.0

    def look(self, run: TeachRun, z: int) -> Iterator[Looked]:
        """Predict slice z by both models, if it is time."""
        began = time.monotonic()
        if began < self._next:
            return
        if self._before is None or self._before[0] != z:
            self._before = z, self._seen(self._parent, z)
        model = run.model()
        names = self._parent.card.class_names, model.card.class_names
        yield Looked(z, self._before[1], self._seen(model, z), *names)
        ended = time.monotonic()
        self._next = ended + max(_EVERY, (_SHARE - 1) * (ended - began))

    def _seen(self, model: Model, z: int) -> NDArray[np.uint8]:
        from napari_dtn.predict import Predictor, as_uint8

        volume, settings = self._lesson.image.volume, settings_of(self._lesson)
        return as_uint8(Predictor.of(model, volume, settings, self._intensity).predict(z))


def suggest(desk: Desk, request: Request, annotations: Annotations) -> Iterator[Suggesting]:
    """Find where to annotate next."""
    from napari_dtn.teach.uncertainty import suggest

    yield from suggest(desk.predictor(request), annotations.regions())


def compare(versions: Sequence[Version], make: Callable[[], Lesson]) -> Iterator[list[Compared] | str | Seen]:
    """Score versions on what is held out of a lesson, then look at it, place by place."""
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.predict import use_threads
    from napari_dtn.teach.comparison import compare, look

    lesson = make()
    use_threads(settings_of(lesson))
    models = {one.id: load_model(one.path, lesson.settings.device) for one in versions}
    data = data_of(lesson)
    yield compare(models, data)
    if lesson.taught and lesson.taught.knows(lesson.held_out):
        yield "What they are compared on was learned from before: annotate a new place for a fair comparison."
    yield from look(models, data)


def share(version: Version, path: Path) -> Iterator[str]:
    """Write a version as one file."""
    from napari_dtn.teach.library import Library

    yield f"Writing {path.name} …"
    Library().share(version, path, overwrite=True)  # the file dialog has asked
    yield f"{version.id} is in {path}."
