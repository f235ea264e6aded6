"""How much of what its parent knew a model has forgotten: its score on a small phantom."""

from __future__ import annotations

from napari_dtn.nn.checkpoint import Model


def phantom_auc(model: Model) -> float:
    """Return the boundary ROC AUC on a phantom of fixed seed; some seconds of work.

    NaN for a model of several classes without a boundary.
    """
    raise NotImplementedError
