"""The classifier of merges is plain numbers, evaluated as the network that it came from."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_dtn.segment.evidence import FEATURES
from napari_dtn.segment.merging import (
    EdgeClassifier,
    EdgeNetwork,
    bundled_classifier,
    load_classifier,
    save_classifier,
)


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(3, 2, (50, len(FEATURES))).astype(np.float32)


def perceptron(seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(len(FEATURES), 8), torch.nn.SiLU(), torch.nn.Linear(8, 1), torch.nn.Flatten(0)
    )


def network_of(*members: torch.nn.Sequential) -> EdgeNetwork:
    layers = tuple(
        (
            np.stack([member[i].weight.detach().numpy().T for member in members]),
            np.stack([member[i].bias.detach().numpy()[None] for member in members]),
        )
        for i in (0, 2)
    )
    return EdgeNetwork(np.full(len(FEATURES), 3, np.float32), np.full(len(FEATURES), 2, np.float32), layers)


def test_it_computes_the_mean_of_what_torch_computes(features: np.ndarray) -> None:
    members = [perceptron(seed) for seed in range(3)]
    inputs = torch.from_numpy((features - 3) / 2)
    with torch.no_grad():
        expected = torch.sigmoid(torch.stack([member(inputs) for member in members]).mean(dim=0)).numpy()
    assert np.allclose(network_of(*members)(features), expected, atol=1e-6)


def test_unknown_evidence_counts_as_usual(features: np.ndarray) -> None:
    unknown, usual = features.copy(), features.copy()
    unknown[:, 4], usual[:, 4] = np.nan, 3
    network = network_of(perceptron(0))
    assert np.array_equal(network(unknown), network(usual))


def test_it_is_stored_without_code(features: np.ndarray, tmp_path: Path) -> None:
    network = network_of(perceptron(0))
    save_classifier(tmp_path / "edges.npz", EdgeClassifier(network, network, {"seed": 1}))
    again = load_classifier(tmp_path / "edges.npz")
    assert again.card["seed"] == 1
    assert np.array_equal(again.across(features), network(features))


def test_one_that_knows_other_evidence_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(perceptron(0))
    save_classifier(tmp_path / "edges.npz", EdgeClassifier(network, network, {}))
    module = sys.modules["napari_dtn.segment.merging"]
    monkeypatch.setattr(module, "FEATURES", FEATURES[:-1])
    with pytest.raises(ValueError, match="other evidence"):
        load_classifier(tmp_path / "edges.npz")


def test_the_one_that_comes_along_says_what_it_was_trained_on() -> None:
    assert "z 0-79" in bundled_classifier().card["data"]
