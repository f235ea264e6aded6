"""Evidence becomes the probability that two fragments belong together: small networks, plain numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from napari_dtn.segment.evidence import FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_dtn.segment.graph import RegionGraph

_FARTHEST = 5.0  # standard deviations from the mean: beyond, evidence counts as no stranger


@dataclass(frozen=True, eq=False)
class EdgeNetwork:
    """Some perceptrons of one shape that tell, on average, how probable a merge is.

    Parameters
    ----------
    mean, deviation
        Of each column of the evidence where it was trained, shape (F,).
    layers
        Weights (M, inputs, outputs) and offsets (M, 1, outputs) of each layer of the M perceptrons; the last
        has one output, a logit.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

    def inputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standardise evidence (E, F); what is not known becomes the mean."""
        standard = (features - self.mean) / self.deviation
        return np.asarray(np.nan_to_num(standard).clip(-_FARTHEST, _FARTHEST))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of a merge, (E, F) -> (E,)."""
        values = self.inputs(features)
        *hidden, (weights, offsets) = self.layers
        for inner, shift in hidden:
            values = values @ inner + shift
            values = values * expit(values)  # SiLU
        logits = (values @ weights + offsets)[..., 0]
        return np.asarray(expit(logits.mean(axis=0)), np.float32)


@dataclass(frozen=True, eq=False)
class EdgeClassifier:
    """The networks for edges within slices and across slices, and what they come from.

    Parameters
    ----------
    within, across
        The networks.
    card
        Plain JSON values: data, settings, scores.
    """

    within: EdgeNetwork
    across: EdgeNetwork
    card: Mapping[str, Any]

    def __call__(self, graph: RegionGraph) -> NDArray[np.float32]:
        """Return the probability of a merge for each edge, (E,)."""
        probability = np.empty(len(graph.edges), np.float32)
        for network, part in ((self.within, ~graph.across), (self.across, graph.across)):
            probability[part] = network(graph.features[part])
        return probability


def merge_probabilities(graph: RegionGraph) -> NDArray[np.float32]:
    """Return how probable it is that the two fragments of each edge belong to one object, shape (E,).

    By the classifier that comes along, trained on SNEMI3D z 0-79.
    """
    return bundled_classifier()(graph)


@cache
def bundled_classifier() -> EdgeClassifier:
    """Return the classifier that comes along."""
    return load_classifier(Path(str(files("napari_dtn").joinpath("weights", "edges-snemi3d.npz"))))


def save_classifier(path: Path, classifier: EdgeClassifier) -> None:
    """Write a classifier as plain arrays."""
    card = {**classifier.card, "features": FEATURES}
    arrays = {
        f"{kind}.{name}": array
        for kind, network in (("within", classifier.within), ("across", classifier.across))
        for name, array in _arrays(network).items()
    }
    np.savez_compressed(path, card=np.array(json.dumps(card)), **arrays)  # type: ignore[arg-type]


def load_classifier(path: Path) -> EdgeClassifier:
    """Read a classifier; nothing of the file is executed.

    Raises
    ------
    ValueError
        It was trained on other evidence than this version gathers.
    """
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    card = json.loads(str(arrays.pop("card")))
    if tuple(card["features"]) != FEATURES:
        raise ValueError(
            f"{path} was trained on other evidence; make it anew with benchmarks/train_edges.py."
        )
    return EdgeClassifier(_network("within.", arrays), _network("across.", arrays), card)


def _arrays(network: EdgeNetwork) -> dict[str, NDArray[np.float32]]:
    layers = {f"w{i}": weights for i, (weights, _) in enumerate(network.layers)}
    layers |= {f"b{i}": offsets for i, (_, offsets) in enumerate(network.layers)}
    return {"mean": network.mean, "deviation": network.deviation, **layers}


def _network(prefix: str, arrays: Mapping[str, NDArray[np.float32]]) -> EdgeNetwork:
    mine = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    count = sum(name.startswith("w") for name in mine)
    layers = tuple((mine[f"w{i}"], mine[f"b{i}"]) for i in range(count))
    return EdgeNetwork(mine["mean"], mine["deviation"], layers)
