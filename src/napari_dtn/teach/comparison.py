"""Versions of a model side by side on the held-out regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_dtn.nn.checkpoint import Model
from napari_dtn.teach.data import TeachData


@dataclass(frozen=True)
class Compared:
    """What a model scores on the held-out regions.

    Parameters
    ----------
    name
        Of the model.
    scores
        ``n_pixels``, ``loss``, ``accuracy`` and ``roc_auc`` or ``mean_iou``; of all regions together.
    """

    name: str
    scores: Mapping[str, float]


def compare(models: Mapping[str, Model], data: TeachData) -> list[Compared]:
    """Score models on the held-out regions of the same data, in the order given."""
    raise NotImplementedError
