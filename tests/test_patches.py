"""Training patches: pure in their number, aligned with their annotation, and masked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.augment import NOT_ANNOTATED, augment_patch, random_matrix, resample_ids, resample_image
from napari_dtn.metrics import boundary_target
from napari_dtn.patches import BOUNDARY, INSIDE, PatchSampler, TrainingVolume
from napari_dtn.settings import AugmentSettings
from napari_dtn.volume.intensity import estimate_intensity, normalise

if TYPE_CHECKING:
    from napari_dtn.phantom import Phantom

STILL = AugmentSettings(flips=False, contrast=0, brightness=0, noise=0, defects=0)


@pytest.fixture
def volume(tiny_phantom: Phantom) -> TrainingVolume:
    intensity = estimate_intensity(tiny_phantom.image)
    return TrainingVolume(tiny_phantom.image, tiny_phantom.labels, "ids", intensity)


def test_ids_are_annotated_by_the_boundary_rule(volume: TrainingVolume) -> None:
    """In every window as in the whole slice, at the window's own borders too."""
    whole = np.where(boundary_target(volume.labels[1]), BOUNDARY, INSIDE)
    for y, x in ((slice(0, 96), slice(0, 80)), (slice(17, 50), slice(3, 80)), (slice(95, 96), slice(0, 1))):
        np.testing.assert_array_equal(volume.window(1, y, x)[1], whole[y, x])


def test_masks_and_classes_are_taken_as_they_are(volume: TrainingVolume) -> None:
    mask = replace(volume, labels=(volume.labels == 0), kind="mask")
    np.testing.assert_array_equal(
        mask.window(0, slice(0, 96), slice(0, 80))[1] == BOUNDARY, volume.labels[0] == 0
    )
    classes = np.random.default_rng(0).integers(0, 4, volume.labels.shape)
    painted = replace(volume, labels=classes, kind="classes")
    np.testing.assert_array_equal(painted.window(2, slice(5, 9), slice(1, 80))[1], classes[2, 5:9, 1:80])


def test_a_patch_depends_on_seed_and_number_alone(volume: TrainingVolume) -> None:
    sampler = PatchSampler(volume, range(4), 32, AugmentSettings(elastic=3), seed=5)
    image, annotation = sampler.patch(7)
    again = PatchSampler(volume, range(4), 32, AugmentSettings(elastic=3), seed=5).batch([3, 7])
    np.testing.assert_array_equal(again[0][1], image)
    np.testing.assert_array_equal(again[1][1], annotation)
    assert not np.array_equal(sampler.patch(8)[0], image)
    assert not np.array_equal(replace(sampler, seed=6).patch(7)[0], image)


def test_patches_are_windows_of_the_chosen_slices(volume: TrainingVolume) -> None:
    marked = volume.image.copy()
    marked[2:] = 0
    sampler = PatchSampler(replace(volume, image=marked), range(2), 32, STILL, seed=0)
    empty = normalise(np.zeros(1), volume.intensity)[0]
    assert all((sampler.patch(number)[0] != empty).mean() > 0.5 for number in range(20))


def test_turns_move_image_and_annotation_together(volume: TrainingVolume) -> None:
    """With the annotation as image, each must stay the other's copy through every symmetry."""
    picture = np.random.default_rng(0).integers(0, 3, (32, 32)).astype(np.uint8)
    only_flips = replace(STILL, flips=True)
    seen = set()
    for seed in range(40):
        random = np.random.default_rng(seed)
        image, annotation = augment_patch(picture[None].astype(np.float32), picture, only_flips, random)
        np.testing.assert_array_equal(image[0], annotation)
        seen.add(annotation.tobytes())
    assert len(seen) == 8


def test_an_elastic_deformation_moves_both_and_masks_what_comes_from_outside() -> None:
    x = np.indices((64, 64))[1]
    halves = np.where(x < 32, BOUNDARY, INSIDE).astype(np.uint8)
    image, annotation = augment_patch(
        halves[None].astype(np.float32), halves, replace(STILL, elastic=8), np.random.default_rng(1)
    )
    known = annotation != NOT_ANNOTATED
    assert not known.all()
    assert (np.abs(image[0][known] - annotation[known]) < 0.6).mean() > 0.99
    assert not np.array_equal(annotation, halves)


def test_intensity_changes_leave_the_annotation_alone(volume: TrainingVolume) -> None:
    image, annotation = volume.window(0, slice(0, 64), slice(0, 64))
    changed, same = augment_patch(
        image, annotation, AugmentSettings(flips=False, defects=1), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(same, annotation)
    assert changed.dtype == np.float32
    assert not np.allclose(changed, image)


def test_a_slice_smaller_than_a_patch_is_padded_with_nothing_annotated(volume: TrainingVolume) -> None:
    image, annotation = PatchSampler(volume, range(4), 128, STILL, seed=0).patch(0)
    assert image.shape == (1, 128, 128)
    assert annotation.shape == (128, 128)
    assert (annotation[96:] == NOT_ANNOTATED).all()
    assert (annotation[:, 80:] == NOT_ANNOTATED).all()
    assert (annotation[:96, :80] != NOT_ANNOTATED).all()


def test_one_painted_stroke_is_found(volume: TrainingVolume) -> None:
    classes = np.zeros(volume.labels.shape, np.uint8)
    classes[3, 90, 2:5] = INSIDE
    sampler = PatchSampler(replace(volume, labels=classes, kind="classes"), range(4), 16, STILL, seed=0)
    for number in range(5):
        assert (sampler.patch(number)[1] == INSIDE).any()


def test_no_annotation_at_all_is_named(volume: TrainingVolume) -> None:
    nothing = replace(volume, labels=np.zeros_like(volume.labels), kind="classes")
    with pytest.raises(ValueError, match="Nothing is annotated in the training slices"):
        PatchSampler(nothing, range(4), 32, STILL, seed=0).patch(0)


def test_labels_that_do_not_fit_are_named(volume: TrainingVolume) -> None:
    with pytest.raises(ValueError, match=r"image \(4, 96, 80\) and labels \(3, 96, 80\) differ"):
        replace(volume, labels=volume.labels[:3])
    with pytest.raises(ValueError, match="Is this an image"):
        replace(volume, labels=volume.labels.astype(float))


def test_neighbouring_slices_come_along_and_move_alike(tiny_phantom: Phantom) -> None:
    """With the same slice three times, every change that moves pixels must leave three equal channels."""
    image = np.repeat(tiny_phantom.image[:1], 4, axis=0)
    volume = TrainingVolume(image, tiny_phantom.labels, "ids", estimate_intensity(tiny_phantom.image))
    moving = replace(STILL, flips=True, elastic=4, zoom=1.5, stretch=1.5)
    channels, _ = PatchSampler(volume, range(4), 32, moving, seed=0, context=1).patch(0)
    assert channels.shape == (3, 32, 32)
    np.testing.assert_array_equal(channels[0], channels[1])
    np.testing.assert_array_equal(channels[2], channels[1])


def test_the_slice_itself_is_the_middle_channel(volume: TrainingVolume) -> None:
    y = x = slice(3, 40)
    stack, _ = volume.window(2, y, x, context=1)
    np.testing.assert_array_equal(stack, normalise(volume.image[1:4, 3:40, 3:40], volume.intensity))
    first, _ = volume.window(0, y, x, context=2)
    np.testing.assert_array_equal(
        first, normalise(volume.image[[0, 0, 0, 1, 2], 3:40, 3:40], volume.intensity)
    )


def test_magnified_patches_match_scikit_image() -> None:
    from skimage.transform import AffineTransform, warp

    picture = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    matrix = np.array([[0.5, 0.1], [-0.2, 0.7]])
    ours = resample_image(picture[None], matrix, 20)[0]
    swapped = matrix[::-1, ::-1]  # scikit-image's points are (x, y)
    shift = np.full(2, 31.5) - swapped @ np.full(2, 9.5)
    affine = AffineTransform(np.vstack([np.column_stack([swapped, shift]), [0, 0, 1]]))
    np.testing.assert_allclose(ours, warp(picture, affine, output_shape=(20, 20), order=1), atol=1e-5)


def test_the_matrix_keeps_to_its_limits() -> None:
    settings = AugmentSettings(zoom=2, stretch=1.5)
    drawn = [random_matrix(settings, np.random.default_rng(seed)) for seed in range(300)]
    singular = np.array([np.linalg.svd(matrix, compute_uv=False) for matrix in drawn])
    factor, ratio = np.sqrt(singular.prod(axis=1)), singular[:, 0] / singular[:, 1]
    assert 0.5 <= factor.min() < 0.55
    assert 1.9 < factor.max() <= 2
    assert 1 <= ratio.min() < 1.05
    assert 1.45 < ratio.max() <= 1.5 + 1e-9
    assert random_matrix(AugmentSettings(), np.random.default_rng(0)) is None


def test_a_boundary_keeps_its_width_at_every_magnification(tiny_phantom: Phantom) -> None:
    """Two touching ids have a boundary of two pixels, magnified or reduced; outside nothing is annotated."""
    labels = np.ones((1, 96, 96), np.uint16)
    labels[:, :, 48:] = 2
    image = np.random.default_rng(0).random((1, 96, 96))
    volume = TrainingVolume(image, labels, "ids", estimate_intensity(image))
    for factor in (0.5, 1.0, 1.7):
        _, known = volume.warped_window((0, 48, 48), factor * np.eye(2), 40)
        assert ((known == BOUNDARY).sum(axis=1) == 2).all()
        assert (known != NOT_ANNOTATED).all()
    _, known = volume.warped_window((0, 48, 10), 2 * np.eye(2), 40)
    outside = resample_ids(np.ones((90, 90), int), 2 * np.eye(2), 40, 0)  # all inside its own window
    assert (outside == 1).all()
    np.testing.assert_array_equal(known[:, :14] == NOT_ANNOTATED, True)
    np.testing.assert_array_equal(known[:, 17:] == NOT_ANNOTATED, False)
    assert not (known[:, :30] == BOUNDARY).any()


@pytest.mark.parametrize("base", [0, 1, 864_691_135_000_000_001, 2**64 - 6])
def test_ids_of_64_bits_stay_apart_at_every_magnification(base: int) -> None:
    """Resampling computes in floating point, where ids that are close and huge would be one."""
    labels = np.full((1, 96, 96), base, np.uint64)
    labels[:, :, 48:] = base + 5
    image = np.random.default_rng(0).random((1, 96, 96))
    volume = TrainingVolume(image, labels, "ids", estimate_intensity(image))
    _, known = volume.warped_window((0, 48, 48), 1.1 * np.eye(2), 40)
    assert ((known == BOUNDARY).sum(axis=1) == (21 if base == 0 else 2)).all()
    assert (known != NOT_ANNOTATED).all()


def test_a_mask_of_fractions_is_a_mask_at_every_magnification() -> None:
    image = np.random.default_rng(0).random((1, 96, 96))
    volume = TrainingVolume(image, np.full((1, 96, 96), 0.5), "mask", estimate_intensity(image))
    for known in (
        volume.window(0, slice(0, 9), slice(0, 9))[1],
        volume.warped_window((0, 48, 48), np.eye(2), 9)[1],
    ):
        assert (known == BOUNDARY).all()
