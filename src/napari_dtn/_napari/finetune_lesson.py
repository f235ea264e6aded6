"""What to teach: taken down from the panel when a button is pressed, and what the core makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dtn.settings import FineTuneSettings, PredictSettings, spare_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dtn._napari.layers import Snapshot
    from napari_dtn.annotate import Annotations
    from napari_dtn.annotate.regions import Taught
    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.teach.data import TeachData
    from napari_dtn.teach.preflight import Remark


@dataclass(frozen=True, eq=False)
class Lesson:
    """What to teach.

    Parameters
    ----------
    image
        The image layer.
    annotation
        What is annotated: uint8 (Z, Y, X), lazy.
    classes
        Their names.
    held_out, regions
        Boxes as :class:`napari_dtn.teach.data.TeachData` takes them.
    parent
        Name or path of the model to start from.
    name
        What the new version is called.
    settings
        What the user decided.
    folder
        Where the training keeps its state.
    taught
        What the models in question have learned of the volume before, where that is known.
    """

    image: Snapshot
    annotation: Any
    classes: tuple[str, ...]
    held_out: tuple[tuple[slice, slice, slice], ...]
    regions: tuple[tuple[slice, slice, slice], ...]
    parent: str
    name: str
    settings: FineTuneSettings
    folder: Path
    taught: Taught | None = None


def lesson_of(
    image: Snapshot,
    annotations: Annotations,
    parent: str,
    name: str,
    settings: FineTuneSettings,
    folder: Path,
    compared: Sequence[str | Path] = (),
) -> Lesson:
    """Take down what is annotated now, and choose what of it is held out.

    Parameters
    ----------
    image, annotations, parent, name, settings, folder
        As of :class:`Lesson`.
    compared
        Models that will be scored on what is held out, instead of the parent.
    """
    from napari_dtn.nn.checkpoint import load_card
    from napari_dtn.teach.past import taught_before
    from napari_dtn.teach.splitting import held_of

    cards = [load_card(one) for one in (compared or [parent])]
    taught = taught_before(cards, image.volume.name, image.volume.shape)
    held, regions = held_of(annotations.folds(taught)), annotations.regions()
    return Lesson(
        image,
        annotations.labels,
        annotations.classes,
        tuple(one.box for one in held),
        tuple(one.box for one in regions),
        parent,
        name,
        settings,
        folder,
        taught,
    )


def settings_of(lesson: Lesson) -> PredictSettings:
    """Return how slices are looked at while a lesson is taught."""
    return PredictSettings(backend="eager", device=lesson.settings.device, threads=spare_cores())


def data_of(lesson: Lesson) -> TeachData:
    """Return a lesson's annotation as something to train on, or to compare models on."""
    from napari_dtn.teach.data import TeachData
    from napari_dtn.volume.intensity import estimate_intensity
    from napari_dtn.volume.lazy import in_memory

    volume = lesson.image.volume
    return TeachData(
        in_memory(volume.data),
        lesson.annotation,
        estimate_intensity(volume),
        lesson.held_out,
        lesson.regions,
        lesson.classes,
        volume.name,
        volume.voxel_size,
    )


def remarks_on(lesson: Lesson, parent: Model) -> list[Remark]:
    """Look at the annotation.

    Raises
    ------
    ValueError
        It would teach nothing.
    """
    from napari_dtn.annotate.regions import NEVER_TAUGHT
    from napari_dtn.teach.preflight import preflight

    volume = lesson.image.volume
    found = preflight(
        volume.shape,
        lesson.annotation,
        lesson.classes,
        voxel_size=volume.voxel_size,
        trained_on=parent.card.voxel_size,
        regions=lesson.regions,
        held_out=lesson.held_out,
        taught=lesson.taught or NEVER_TAUGHT,
    )
    for remark in found:
        if remark.kind == "stop":
            raise ValueError(f"{remark.words} {remark.remedy}")
    return found
