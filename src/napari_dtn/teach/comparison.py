"""Versions of a model side by side on the held-out regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_dtn.nn.checkpoint import Model
from napari_dtn.settings import TrainSettings
from napari_dtn.teach.data import TeachData
from napari_dtn.train.validation import validate


@dataclass(frozen=True)
class Compared:
    """What a model scores on the held-out regions.

    Parameters
    ----------
    name
        Of the model.
    scores
        ``n_pixels``, ``loss``, ``accuracy`` and ``roc_auc`` or ``mean_iou``; of all regions together. No
        ``roc_auc`` where they hold one class only.
    """

    name: str
    scores: Mapping[str, float]


def compare(models: Mapping[str, Model], data: TeachData) -> list[Compared]:
    """Score models on the held-out regions of the same data, in the order given.

    Raises
    ------
    ValueError
        Nothing is held out, or a model tells other classes apart.
    """
    if not data.questions:
        raise ValueError("No region is held out; hold some out to compare models on them.")
    return [Compared(name, _scores(model, data)) for name, model in models.items()]


def _scores(model: Model, data: TeachData) -> Mapping[str, float]:
    data.check(model.card.network)
    settings = TrainSettings(patch_size=model.card.patch_size)
    return validate(model.network, data, settings, model.device).scores
