"""How good a network is on slices that it was not trained on, and what its warps do there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dtn.augment import NOT_ANNOTATED
from napari_dtn.metrics import BoundaryHistogram, mean_iou
from napari_dtn.nn.backends import make_runner
from napari_dtn.nn.dtn import DenseTransformerNetwork
from napari_dtn.nn.tps import fiducials_of, fold_over, lattice
from napari_dtn.patches import BOUNDARY
from napari_dtn.settings import TrainSettings
from napari_dtn.train.data import TrainingData

_VALIDATION_SLICES = 4
_VALIDATION_BATCH = 8


@dataclass(frozen=True)
class Validation:
    """Scores of the averaged weights on the validation slices.

    Parameters
    ----------
    iteration
        Steps made before.
    scores
        ``roc_auc``, ``average_precision``, ``accuracy``, ``loss`` for a boundary; ``mean_iou`` for classes.
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
    network: DenseTransformerNetwork, data: TrainingData, settings: TrainSettings, device: torch.device
) -> Validation:
    """Score a network on tiles of some validation slices, each tile by itself.

    Parameters
    ----------
    network
        In evaluation mode.
    data
        ``val_z`` says which slices: up to four of them, evenly spaced.
    settings
        Patch size and precision.
    device
        Where the network is.
    """
    runner = make_runner(network, device, "eager", settings.precision)
    boundary, classes = BoundaryHistogram(np.float32), _ClassCounts()
    warps = _WarpMonitor(network)
    for image, annotation in _tiles(data, settings.patch_size, network.settings.context):
        probability = runner(torch.from_numpy(image)).numpy()
        if probability.shape[1] == 1:
            known = annotation != NOT_ANNOTATED
            boundary.add(probability[:, 0][known], annotation[known] == BOUNDARY)
        else:
            classes.add(probability.argmax(axis=1), annotation)
        warps.add(torch.from_numpy(image).to(device))
    scores = asdict(boundary.scores()) if boundary.n_pixels else {"mean_iou": classes.mean_iou()}
    return Validation(0, scores, warps.summary())


def scored_slices(slices: range) -> list[int]:
    """Return up to four of the slices, evenly spaced."""
    count = min(_VALIDATION_SLICES, len(slices))
    return [slices[round(i * (len(slices) - 1) / max(count - 1, 1))] for i in range(count)]


def _tiles(
    data: TrainingData, size: int, context: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Batches of the disjoint whole tiles of the scored slices; of smaller slices, of all there is."""
    _, height, width = data.volume.image.shape
    side = (min(size, height), min(size, width))
    corners = [
        (z, y, x)
        for z in scored_slices(data.val_z)
        for y in range(0, height - side[0] + 1, side[0])
        for x in range(0, width - side[1] + 1, side[1])
    ]
    for start in range(0, len(corners), _VALIDATION_BATCH):
        windows = [
            data.volume.window(z, slice(y, y + side[0]), slice(x, x + side[1]), context)
            for z, y, x in corners[start : start + _VALIDATION_BATCH]
        ]
        yield (
            np.stack([image for image, _ in windows]),
            np.stack([annotation for _, annotation in windows]),
        )


class _ClassCounts:
    """Pooled predictions and truths of several classes."""

    def __init__(self) -> None:
        self.predicted: list[NDArray[Any]] = []
        self.true: list[NDArray[Any]] = []
        self.n_classes = 0

    def add(self, predicted: NDArray[Any], annotation: NDArray[np.uint8]) -> None:
        known = annotation != NOT_ANNOTATED
        self.predicted.append(predicted[known])
        self.true.append(annotation[known] - 1)

    def mean_iou(self) -> float:
        predicted, true = np.concatenate(self.predicted), np.concatenate(self.true)
        return mean_iou(predicted, true, int(max(predicted.max(), true.max())) + 1)


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
