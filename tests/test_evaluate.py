"""Evaluation: a predicted box is laid over the truth where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from napari_dtn.evaluate import evaluate
from napari_dtn.metrics import BOUNDARY_RULE, boundary_target
from napari_dtn.settings import Roi
from napari_dtn.volume.opening import Volume, open_volume, volume_from_array
from napari_dtn.volume.writing import write_image

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.phantom import Phantom


@pytest.fixture
def truth(tiny_phantom: Phantom) -> Volume:
    return volume_from_array(tiny_phantom.labels, name="truth")


@pytest.fixture
def noisy(truth: Volume) -> np.ndarray:
    """Return a prediction that is right more often than not, uint8."""
    target = boundary_target(truth.data.compute())
    noise = np.random.default_rng(0).normal(0, 60, target.shape)
    return np.clip(80 + 90 * target + noise, 0, 255).astype(np.uint8)


def test_boundary_scores_are_those_of_scikit_learn(truth: Volume, noisy: np.ndarray) -> None:
    result = evaluate(volume_from_array(noisy), truth, "boundary")
    target = boundary_target(truth.data.compute())
    assert result["kind"] == "boundary"
    assert result["rule"] == BOUNDARY_RULE
    assert result["region"] == {"z": [0, 4], "y": [0, 96], "x": [0, 80]}
    assert result["n_pixels"] == noisy.size
    assert result["roc_auc"] == pytest.approx(roc_auc_score(target.ravel(), noisy.ravel()), abs=1e-12)
    assert result["average_precision"] == pytest.approx(
        average_precision_score(target.ravel(), noisy.ravel())
    )


def test_a_box_is_aligned_by_its_stored_translation(truth: Volume, noisy: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "box.zarr"
    write_image(
        path, noisy[1:3, 20:90, 10:70], voxel_size=(30, 6, 6), translation=(30, 120, 60), attributes={}
    )
    box, whole = open_volume(path), volume_from_array(noisy)
    roi = Roi((1, 3), (30, 80), (10, 70))
    assert evaluate(box, truth, "boundary", roi) == evaluate(whole, truth, "boundary", roi)
    assert evaluate(box, truth, "boundary")["region"] == {"z": [1, 3], "y": [20, 90], "x": [10, 70]}
    with pytest.raises(ValueError, match=r"z 0:3 is not all predicted; the prediction covers z 1:3"):
        evaluate(box, truth, "boundary", Roi(z=(0, 3)))


def test_labels_are_scored_against_ids(truth: Volume) -> None:
    result = evaluate(truth, truth, "labels", Roi(z=(1, 3)))
    assert (result["are"], result["voi_split"], result["voi_merge"]) == pytest.approx((0, 0, 0))
    assert [entry["z"] for entry in result["per_slice"]] == [1, 2]


def test_curves_are_drawn(truth: Volume, noisy: np.ndarray, tmp_path: Path) -> None:
    import imageio.v3 as iio

    evaluate(volume_from_array(noisy), truth, "boundary", plot=tmp_path / "curves.png")
    assert iio.imread(tmp_path / "curves.png").std() > 10


def test_a_plot_of_labels_is_refused(truth: Volume, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plot draws the curves of a boundary"):
        evaluate(truth, truth, "labels", plot=tmp_path / "curves.png")


def test_a_truth_of_another_size_is_named(truth: Volume, noisy: np.ndarray) -> None:
    with pytest.raises(ValueError, match="x range 0:80 does not fit: the volume has x 0:50"):
        evaluate(volume_from_array(noisy), volume_from_array(truth.data[:, :, :50]), "boundary")
