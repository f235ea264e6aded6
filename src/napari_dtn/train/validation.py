"""How good a network is on data that it was not trained on, and what its warps do there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from napari_dtn.augment import NOT_ANNOTATED, Annotation
from napari_dtn.metrics import BoundaryHistogram, ClassCounts
from napari_dtn.metrics.classes import IGNORED
from napari_dtn.nn.dtn import DenseTransformerNetwork
from napari_dtn.nn.torch_runner import torch_runner
from napari_dtn.nn.tps import fiducials_of, fold_over, lattice
from napari_dtn.patches import BOUNDARY
from napari_dtn.settings import TrainSettings
from napari_dtn.train.data import TrainingSource


@dataclass(frozen=True)
class Validation:
    """Scores of the averaged weights on what was held back.

    Parameters
    ----------
    iteration
        Steps made before.
    scores
        ``n_pixels``, ``accuracy``, ``loss``; for a boundary ``roc_auc``, ``average_precision``, for classes
        ``mean_iou``.
    warp
        For each transformer level: ``displacement`` (mean length by which fiducials moved),
        ``deviation`` (their root mean square spread over the tiles; 0 is the same warp everywhere), both in
        half widths of a tile, and ``fold_over`` (share of the map turned inside out).
    """

    iteration: int
    scores: Mapping[str, float]
    warp: Mapping[str, Mapping[str, float]]

    @property
    def score(self) -> float:
        """The one figure to watch."""
        return self.scores.get("roc_auc", self.scores.get("mean_iou", 0.0))


def validate(
    network: DenseTransformerNetwork, data: TrainingSource, settings: TrainSettings, device: torch.device
) -> Validation:
    """Score a network on what the data hold back: tiles, or images, each by itself.

    Parameters
    ----------
    network
        In evaluation mode.
    data
        Their ``scored`` says what is looked at.
    settings
        Patch size and precision.
    device
        Where the network is.
    """
    runner = torch_runner(network, device, settings.precision)
    boundary, classes = BoundaryHistogram(np.float32), ClassCounts(network.settings.n_classes)
    several = network.settings.n_classes > 1
    warps = _WarpMonitor(network)
    for image, annotation in data.validation_batches(network.settings, settings):
        probability = runner(torch.from_numpy(image)).numpy()
        if several:
            classes.add(np.moveaxis(probability, 1, 0), _class_index(annotation))
        else:
            known = annotation != NOT_ANNOTATED
            boundary.add(probability[:, 0][known], annotation[known] == BOUNDARY)
        warps.add(torch.from_numpy(image).to(device))
    scores = asdict(classes.scores()) if several else _boundary_scores(boundary)
    scores.pop("iou", None)  # of each class: for an evaluation of all images
    return Validation(0, scores, warps.summary())


def _boundary_scores(counted: BoundaryHistogram) -> dict[str, Any]:
    """Scores; no ranking where only one of the two was annotated."""
    if counted.positives.any() and counted.negatives.any():
        return asdict(counted.scores())
    return {"n_pixels": counted.n_pixels, "accuracy": counted.accuracy(), "loss": counted.loss()}


def _class_index(annotation: Annotation) -> Annotation:
    """Return class indices of an annotation of several classes; what is not annotated is ignored."""
    return np.where(annotation == NOT_ANNOTATED, IGNORED, annotation - 1).astype(np.uint8)


class _WarpMonitor:
    """Watches whether warps depend on the image: a warp that is the same on every tile is no warp."""

    def __init__(self, network: DenseTransformerNetwork) -> None:
        self.network = network
        self.fiducials: dict[int, list[torch.Tensor]] = {}
        self.folds: dict[int, list[torch.Tensor]] = {}

    @torch.inference_mode()
    def add(self, image: torch.Tensor) -> None:
        for level, grid in self.network.warp(image).items():
            self.fiducials.setdefault(level, []).append(fiducials_of(grid, self.network.settings.fiducials))
            self.folds.setdefault(level, []).append(fold_over(grid))

    def summary(self) -> dict[str, dict[str, float]]:
        rest = lattice(self.network.settings.fiducials).float()
        return {str(level): self._of(level, rest) for level in self.fiducials}

    def _of(self, level: int, rest: torch.Tensor) -> dict[str, float]:
        points = torch.cat(self.fiducials[level]).cpu()
        spread = points - points.mean(dim=0)
        return {
            "displacement": float((points - rest).norm(dim=-1).mean()),
            "deviation": float(spread.square().sum(dim=-1).mean().sqrt()),
            "fold_over": float(torch.cat(self.folds[level]).mean()),
        }
