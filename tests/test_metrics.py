"""Scores against scikit-learn and scikit-image, and the boundary rule against its own words."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label
from skimage.metrics import adapted_rand_error, variation_of_information
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    log_loss,
    roc_auc_score,
    roc_curve,
)

from napari_dtn.metrics import (
    BOUNDARY_RULE,
    LOSS_CLIP,
    BoundaryHistogram,
    ClassCounts,
    boundary_histogram,
    boundary_scores,
    boundary_target,
    label_scores,
    mean_iou,
)

if TYPE_CHECKING:
    from pathlib import Path

IDS = arrays(np.uint16, (2, 6, 7), elements=st.integers(0, 3))


def boundary_by_words(ids: np.ndarray) -> np.ndarray:
    """The rule, pixel by pixel, as it is written."""
    out = np.zeros(ids.shape, bool)
    for y, x in np.ndindex(ids.shape):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [(j, i) for j, i in around if 0 <= j < ids.shape[0] and 0 <= i < ids.shape[1]]
        out[y, x] = ids[y, x] == 0 or any(ids[place] != ids[y, x] for place in inside)
    return out


def noisy_prediction(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.random(shape) < 0.2
    return np.clip(0.25 + 0.4 * target + 0.2 * rng.standard_normal(shape), 0, 1), target


def objects(seed: int = 0, shape: tuple[int, ...] = (3, 40, 50)) -> tuple[np.ndarray, np.ndarray]:
    """True ids with a background, and a segmentation with splits, merges and a background of its own."""
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 9, (shape[0], 4, 5)), np.ones((1, 10, 10), int)).astype(np.uint16)
    segmentation = truth // 2
    segmentation[:, :, 20:] += 7
    segmentation[:, 5:8] = 0
    return segmentation.astype(np.uint32), truth


@given(IDS)
@settings(max_examples=50, deadline=None)
def test_boundary_target_is_the_rule_word_by_word(ids):
    expected = np.stack([boundary_by_words(plane) for plane in ids])
    np.testing.assert_array_equal(boundary_target(ids), expected)
    np.testing.assert_array_equal(boundary_target(ids[1]), expected[1])


def test_boundary_target_takes_slices_alone():
    ids = np.ones((2, 4, 4), np.uint8)
    ids[1] = 2
    assert not boundary_target(ids).any()
    assert "4 neighbours in the slice" in BOUNDARY_RULE


def test_boundary_target_leaves_the_labels_as_they_are():
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    boundary_target(ids)
    np.testing.assert_array_equal(ids, np.arange(12).reshape(3, 4))


def test_boundary_target_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        boundary_target(np.zeros(5, int))


def test_boundary_share_of_real_labels(shared_data: Path):
    ids = tifffile.imread(shared_data / "snemi3d" / "train-labels.tif")
    assert boundary_target(ids).mean() == pytest.approx(0.196, abs=5e-4)


def test_eight_bit_scores_are_those_of_scikit_learn():
    p, target = noisy_prediction((3, 60, 70))
    prediction = np.round(255 * p).astype(np.uint8)
    scores = boundary_scores(prediction, target)
    y, q = target.ravel(), prediction.ravel() / 255
    assert scores.n_pixels == y.size
    assert scores.roc_auc == pytest.approx(roc_auc_score(y, q), abs=1e-12)
    assert scores.average_precision == pytest.approx(average_precision_score(y, q), abs=1e-12)
    assert scores.accuracy == pytest.approx(np.mean((q >= 0.5) == y), abs=1e-12)
    assert scores.loss == pytest.approx(log_loss(y, q.clip(LOSS_CLIP, 1 - LOSS_CLIP)), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_scores_are_those_of_scikit_learn_to_a_bin(dtype):
    p, target = noisy_prediction((2, 60, 70), seed=1)
    prediction = p.astype(dtype)
    scores = boundary_scores(prediction, target)
    y, q = target.ravel(), prediction.ravel()
    assert scores.roc_auc == pytest.approx(roc_auc_score(y, q), abs=2e-5)
    assert scores.average_precision == pytest.approx(average_precision_score(y, q), abs=5e-4)
    assert scores.accuracy == pytest.approx(np.mean((q >= 0.5) == y), abs=1e-12)
    assert scores.loss == pytest.approx(log_loss(y, q.clip(LOSS_CLIP, 1 - LOSS_CLIP)), abs=1e-3)


def test_a_float_just_under_a_half_is_not_boundary():
    p = np.array([[0.5, np.nextafter(np.float32(0.5), np.float32(0))]], np.float32)
    assert boundary_scores(p, np.array([[True, False]])).accuracy == 1.0


def test_ties_count_half():
    scores = boundary_scores(np.full((4, 4), 128, np.uint8), np.eye(4, dtype=bool))
    assert scores.roc_auc == 0.5
    assert scores.average_precision == 0.25


def test_roc_curve_runs_through_the_points_of_scikit_learn():
    p, target = noisy_prediction((40, 50), seed=2)
    prediction = np.round(255 * p).astype(np.uint8)
    false_rate, true_rate = boundary_histogram(prediction, target).roc()
    expected = roc_curve(target.ravel(), prediction.ravel(), drop_intermediate=False)
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)
    points = set(zip(false_rate.round(9), true_rate.round(9), strict=True))
    assert set(zip(expected[0].round(9), expected[1].round(9), strict=True)) <= points


def test_precision_and_recall_at_one_threshold():
    p, target = noisy_prediction((40, 50), seed=3)
    prediction = np.round(255 * p).astype(np.uint8)
    precision, recall = boundary_histogram(prediction, target).precision_recall()
    called = prediction >= 256 - 150
    assert precision[150] == pytest.approx(target[called].mean())
    assert recall[150] == pytest.approx(called[target].mean())
    assert (precision[0], recall[0], recall[-1]) == (1, 0, 1)


def test_ids_give_the_same_scores_as_their_boundary():
    _, truth = objects()
    prediction, _ = noisy_prediction(truth.shape)
    assert boundary_scores(prediction, truth) == boundary_scores(prediction, boundary_target(truth))


def test_streamed_scores_are_those_of_the_whole():
    p, target = noisy_prediction((4, 20, 30))
    prediction = np.round(255 * p).astype(np.uint8)
    whole = BoundaryHistogram(np.uint8)
    whole.add(prediction, target)
    lazy = boundary_scores(da.from_array(prediction, chunks=(1, 7, 30)), da.from_array(target))
    assert lazy == whole.scores()


def test_boundary_errors_say_what_is_wrong():
    target = np.zeros((3, 4), bool)
    with pytest.raises(ValueError, match="no boundary in 12 pixels"):
        boundary_scores(np.zeros((3, 4), np.uint8), target)
    with pytest.raises(ValueError, match=r"\(3, 5\), the truth \(3, 4\)"):
        boundary_scores(np.zeros((3, 5), np.uint8), target)
    with pytest.raises(ValueError, match="int32"):
        BoundaryHistogram(np.int32)
    with pytest.raises(ValueError, match=r"-0\.5 to 2\.0"):
        boundary_scores(np.array([[-0.5, 2.0]]), np.array([[True, False]]))
    with pytest.raises(ValueError, match="nan"):
        boundary_scores(np.array([[np.nan, 0.5]]), np.array([[True, False]]))
    with pytest.raises(ValueError, match="changed to uint8"):
        BoundaryHistogram(np.float32).add(np.zeros((3, 4), np.uint8), target)


def check_against_scikit_image(scores, segmentation: np.ndarray, truth: np.ndarray) -> None:
    are, first, second = adapted_rand_error(truth, segmentation)
    split, merge = variation_of_information(truth, segmentation, ignore_labels=(0,))
    assert scores.are == pytest.approx(are, abs=1e-12)
    assert (scores.voi_split, scores.voi_merge) == pytest.approx((split, merge), abs=1e-9)
    if hasattr(scores, "are_precision"):  # scikit-image returns them the other way round
        assert (scores.are_precision, scores.are_recall) == pytest.approx((second, first), abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_label_scores_are_those_of_scikit_image(seed):
    segmentation, truth = objects(seed)
    scores = label_scores(segmentation, truth, first_z=80)
    check_against_scikit_image(scores, segmentation, truth)
    assert [plane.z for plane in scores.per_slice] == [80, 81, 82]
    for plane, segments, ids in zip(scores.per_slice, segmentation, truth, strict=True):
        sides = (label(side, background=0, connectivity=1) for side in (segments, ids))
        check_against_scikit_image(plane, *sides)


@given(IDS, IDS)
@settings(max_examples=50, deadline=None)
def test_contingency_of_any_ids_is_that_of_scikit_image(segmentation, truth):
    truth[0, 0, :2] = 1  # a pair to compare, so that scikit-image does not divide by zero
    segmentation[0, 0, :2] = 1
    check_against_scikit_image(label_scores(segmentation, truth), segmentation, truth)


def test_a_split_lowers_recall_and_raises_voi_split():
    truth = np.ones((1, 10, 10), int)
    segmentation = truth.copy()
    segmentation[:, 5:] = 2
    split = label_scores(segmentation, truth)
    assert (split.are_precision, split.voi_split, split.voi_merge) == (1, 1, 0)
    assert split.are_recall < 0.5
    merge = label_scores(truth, segmentation)
    assert (merge.are_recall, merge.voi_split, merge.voi_merge) == (1, 0, 1)
    assert merge.are_precision < 0.5


def test_a_perfect_segmentation_with_other_names_scores_zero():
    _, truth = objects()
    renamed = (truth.astype(np.uint64) + 1) * np.uint64(2**62 + 1)
    scores = label_scores(renamed, truth)
    assert (scores.are, scores.are_precision, scores.are_recall) == (0, 1, 1)
    assert (scores.voi_split, scores.voi_merge) == pytest.approx((0, 0), abs=1e-12)


def test_pieces_of_one_object_in_a_slice_count_alone():
    truth = np.zeros((1, 5, 9), int)
    truth[0, :, :4] = truth[0, :, 5:] = 3
    segmentation = np.where(np.arange(9) < 4, 1, 2) * (truth > 0)
    scores = label_scores(segmentation, truth)
    assert scores.are > 0.3
    assert scores.per_slice[0].are == 0


def test_slices_without_true_objects_are_left_out_and_lazy_arrays_do():
    segmentation, truth = objects()
    truth[1] = 0
    lazy = label_scores(da.from_array(segmentation, chunks=(1, 9, 9)), da.from_array(truth))
    assert [plane.z for plane in lazy.per_slice] == [0, 2]
    assert lazy == label_scores(segmentation, truth)


def test_label_scores_become_json():
    found = json.loads(json.dumps(asdict(label_scores(*objects()))))
    assert set(found) == {"are", "are_precision", "are_recall", "voi_split", "voi_merge", "per_slice"}
    assert set(found["per_slice"][0]) == {"z", "are", "voi_split", "voi_merge"}


def test_label_errors_say_what_is_wrong():
    ids = np.ones((2, 3, 3), int)
    with pytest.raises(ValueError, match="every id is 0"):
        label_scores(ids, 0 * ids)
    with pytest.raises(ValueError, match="segmentation is float64"):
        label_scores(ids.astype(float), ids)
    with pytest.raises(ValueError, match="must agree"):
        label_scores(ids[:1], ids)


def test_mean_iou_by_hand():
    truth = np.array([[0, 0, 1, 1], [2, 2, 255, 255]])
    prediction = np.array([[0, 1, 1, 1], [2, 0, 1, 2]])
    assert mean_iou(prediction, truth, n_classes=4) == pytest.approx(np.mean([1 / 3, 2 / 3, 1 / 2]))


@given(
    arrays(np.uint8, (5, 6), elements=st.integers(0, 3)), arrays(np.uint8, (5, 6), elements=st.integers(0, 3))
)
@settings(max_examples=30, deadline=None)
def test_mean_iou_is_the_jaccard_score_of_scikit_learn(prediction, truth):
    from sklearn.metrics import jaccard_score

    expected = jaccard_score(truth.ravel(), prediction.ravel(), average="macro")
    assert mean_iou(prediction, truth, n_classes=6) == pytest.approx(expected, abs=1e-12)


def test_mean_iou_errors_say_what_is_wrong():
    truth = np.array([0, 1])
    with pytest.raises(ValueError, match="prediction has classes 0 to 5; they must be in 0 to 1"):
        mean_iou(np.array([0, 5]), truth, n_classes=2)
    with pytest.raises(ValueError, match="ignored 255"):
        mean_iou(truth, np.array([255, 255]), n_classes=2)


def class_images(dtype: type, count: int = 3, n_classes: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images of several sizes: probabilities (C, Y, X), and truths with a void; class 4 is in neither."""
    rng = np.random.default_rng(2)
    images = []
    for number in range(count):
        size = (6 + number, 9)
        truth = np.where(rng.random(size) < 0.2, 255, rng.integers(0, 4, size)).astype(np.uint8)
        p = rng.dirichlet(np.ones(n_classes - 1), size).transpose(2, 0, 1)
        p = np.concatenate([p, np.zeros((1, *size))])
        images.append((np.round(255 * p).astype(np.uint8) if dtype is np.uint8 else p.astype(dtype), truth))
    return images


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_class_scores_are_those_of_scikit_learn(dtype):
    """Over the pixels of all images together, not image by image; void counts nowhere."""
    images = class_images(dtype)
    counts = ClassCounts(5)
    for image in images:
        counts.add(*image)
    scores = counts.scores()
    truth = np.concatenate([true.ravel() for _, true in images])
    known = truth != 255
    p = np.concatenate([values.reshape(5, -1).T for values, _ in images])[known]
    table = confusion_matrix(truth[known], p.argmax(axis=1), labels=range(5))
    iou = table.diagonal()[:4] / (table.sum(0) + table.sum(1) - table.diagonal())[:4]
    assert scores.n_pixels == known.sum() < truth.size
    assert scores.accuracy == pytest.approx(accuracy_score(truth[known], p.argmax(axis=1)), abs=1e-12)
    assert scores.iou[:4] == pytest.approx(iou, abs=1e-12)
    assert scores.iou[4] is None
    assert scores.mean_iou == pytest.approx(np.mean(iou), abs=1e-12)
    own = p[np.arange(len(p)), truth[known]] / (255 if dtype is np.uint8 else 1)
    expected = -np.mean(np.log(np.maximum(own, LOSS_CLIP) if dtype is np.uint8 else own))
    assert scores.loss == pytest.approx(expected, abs=1e-6)


def test_the_loss_of_floats_is_not_cut_short():
    """A sure answer that is wrong costs what it costs: only bytes cannot say how sure it was."""
    counts = ClassCounts(2)
    counts.add(np.array([[1e-9], [1 - 1e-9]], np.float32), np.array([0]))
    assert counts.scores().loss == pytest.approx(-np.log(1e-9), rel=1e-6)


def test_class_errors_say_what_is_wrong():
    counts = ClassCounts(3)
    with pytest.raises(ValueError, match=r"\(2, 4, 4\), the truth \(3, 4, 4\)"):
        counts.add(np.zeros((2, 4, 4), np.uint8), np.zeros((4, 4), int))
    with pytest.raises(ValueError, match="truth has classes 0 to 3; they must be in 0 to 2"):
        counts.add(np.zeros((3, 2), np.uint8), np.array([0, 3]))
    with pytest.raises(ValueError, match="int64"):
        counts.add(np.zeros((3, 2), int), np.array([0, 1]))
    with pytest.raises(ValueError, match="No pixel to compare"):
        counts.scores()
