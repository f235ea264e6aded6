"""Evaluation: a predicted box is laid over the truth where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, jaccard_score, roc_auc_score

from napari_dtn.evaluate import evaluate, evaluate_classes
from napari_dtn.metrics import BOUNDARY_RULE, MASK_RULE, boundary_target
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.settings import Roi
from napari_dtn.volume.opening import Volume, open_volume, volume_from_array
from napari_dtn.volume.writing import create_image, write_image

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


NAMES = ("boundary", "inside", "outside")


@pytest.fixture
def class_maps() -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of three classes (C, Z, Y, X), and a truth with a void (Z, Y, X)."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, (4, 20, 30)).astype(np.uint8)
    p = rng.dirichlet(np.ones(3), true.shape) + np.eye(3)[true]
    true[:, :3] = 255
    return np.round(255 * (p / 2).transpose(3, 0, 1, 2)).astype(np.uint8), true


def channels(path: Path) -> list[Volume]:
    return [open_volume(path, channel=number) for number in range(3)]


def test_class_maps_are_scored_as_scikit_learn_does(
    class_maps: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    p, true = class_maps
    path = tmp_path / "box.zarr"
    box = (slice(1, 3), slice(0, 15), slice(10, 30))
    place = {"voxel_size": (30, 6, 6), "translation": (30, 0, 60)}
    maps = create_image(path, p[:, *box].shape, np.uint8, axes="czyx", attributes={}, **place)
    maps[...] = p[:, *box]
    result = evaluate_classes(channels(path), NAMES, volume_from_array(true))
    known = true[box] != 255
    expected = jaccard_score(true[box][known], p[:, *box].argmax(axis=0)[known], average=None)
    assert result["kind"] == "classes"
    assert result["region"] == {"z": [1, 3], "y": [0, 15], "x": [10, 30]}
    assert result["n_pixels"] == known.sum()
    assert list(result["iou_per_class"]) == list(NAMES)
    assert list(result["iou_per_class"].values()) == pytest.approx(expected, abs=1e-12)
    assert result["mean_iou"] == pytest.approx(np.mean(expected), abs=1e-12)
    whole = [volume_from_array(one) for one in p]
    assert result == evaluate_classes(whole, NAMES, volume_from_array(true), Roi((1, 3), (0, 15), (10, 30)))


def test_one_map_is_no_class_map(truth: Volume, noisy: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"has one map; classes need a probability for each of them"):
        evaluate_classes([volume_from_array(noisy)], ["boundary"], truth)


def test_a_mask_is_scored_by_its_own_rule(tiny_phantom: Phantom) -> None:
    wall = boundary_target(tiny_phantom.labels)
    result = evaluate(volume_from_array(wall.astype(np.float32)), volume_from_array(wall), "boundary")
    assert (result["roc_auc"], result["rule"]) == (1, MASK_RULE)


@pytest.mark.parametrize("most", [1, 255])
def test_a_mask_of_membranes_in_integers_is_not_taken_for_ids(most: int) -> None:
    membrane = np.zeros((2, 20, 20), bool)
    membrane[:, 8:10] = True
    prediction = volume_from_array(membrane.astype(np.float32))
    with pytest.raises(ValueError, match=f"0 and {most} alone, as a mask of membranes does"):
        evaluate(prediction, volume_from_array((most * membrane).astype(np.uint8)), "boundary")
    assert evaluate(prediction, volume_from_array(membrane), "boundary")["roc_auc"] == 1


def test_what_may_be_an_annotation_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A copy in another format says no more what it is; two neurites look the same."""
    ids = np.ones((2, 20, 20), np.uint8)
    ids[:, 10:], ids[:, 8:10] = 2, 0
    prediction = volume_from_array(boundary_target(ids).astype(np.float32))
    assert evaluate(prediction, volume_from_array(ids), "boundary")["roc_auc"] == 1
    assert "0, 1 and 2 alone, as an annotation does" in caplog.text
    caplog.clear()
    evaluate(prediction, volume_from_array(3 * ids), "boundary")
    evaluate(prediction, volume_from_array(ids.astype(np.uint16)), "boundary")
    assert not caplog.text


def test_volumes_of_other_voxels_are_not_laid_over_each_other() -> None:
    coarse = np.random.default_rng(0).integers(1, 9, (2, 4, 4)).repeat(8, 1).repeat(8, 2)
    fine = coarse.repeat(2, 1).repeat(2, 2)
    truth = volume_from_array(fine, (40, 4, 4), "truth")
    prediction = volume_from_array(coarse.astype(np.float32) / 9, (40, 8, 8), "prediction")
    with pytest.raises(ValueError, match=r"prediction has voxels of 40 x 8 x 8 nm .* truth of 40 x 4 x 4"):
        evaluate(prediction, truth, "boundary")
    with pytest.raises(ValueError, match="voxels of"):
        StoredBoundaries.of(prediction, truth)
    assert evaluate(prediction, truth.with_voxel_size((40, 8, 8)), "boundary")["region"]["y"] == [0, 32]
    given = volume_from_array(fine.astype(np.float32) / 9, (30, 6, 6), "given another size")
    assert evaluate(given, truth, "boundary")["n_pixels"] == fine.size
