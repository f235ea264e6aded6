"""A model learns from annotations: a training that can be followed, stopped, resumed, kept or discarded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_dtn.nn.checkpoint import Model
from napari_dtn.settings import FineTuneSettings
from napari_dtn.teach.data import TeachData
from napari_dtn.teach.events import TeachEvent
from napari_dtn.teach.library import Library, Version
from napari_dtn.teach.planning import Plan


@dataclass(frozen=True)
class TeachRequest:
    """What is asked for.

    Parameters
    ----------
    parent
        The model to start from.
    data
        Volume, annotation, held-out regions.
    folder
        Where the run keeps its state: it belongs to the run alone, and a crashed run resumes from it.
    settings
        What the user decided.
    """

    parent: Model
    data: TeachData
    folder: Path
    settings: FineTuneSettings = FineTuneSettings()


class TeachRun:
    """One fine-tuning; iterate ``events()`` to make it happen.

    Not iterating is a pause. Closing the generator stops and saves: then ``keep`` the best, go on later
    with a new run of the same request, or ``discard`` it all. All methods belong to the thread that
    iterates, between two events.

    Attributes
    ----------
    plan
        What will be done.
    """

    plan: Plan

    def __init__(self, request: TeachRequest, resume: bool = False) -> None:
        raise NotImplementedError

    def events(self) -> Iterator[TeachEvent]:
        """Train: ``Started``, a ``Scored`` of the parent, ``Stepped`` and ``Scored``, at last ``Ended``."""
        raise NotImplementedError

    def model(self) -> Model:
        """Return the model as it is now (moving average of the weights), for a preview."""
        raise NotImplementedError

    def best(self) -> Model:
        """Return what ``keep`` would keep: the best so far, without held-out regions the latest."""
        raise NotImplementedError

    def keep(self, name: str, library: Library | None = None) -> Version:
        """Put the best so far into the library, as a new version of ``name``; remove the run's folder."""
        raise NotImplementedError

    def discard(self) -> None:
        """Remove the run's folder."""
        raise NotImplementedError


def finetune(request: TeachRequest, resume: bool = False) -> TeachRun:
    """Set up a fine-tuning.

    Parameters
    ----------
    request
        What is asked for.
    resume
        Go on with what the folder holds of an interrupted run of the same request, where there is one.

    Raises
    ------
    FileExistsError
        The folder holds another run, and ``resume`` is not set.
    ValueError
        The parent does not fit the data, or the interrupted run was another.
    """
    return TeachRun(request, resume)
