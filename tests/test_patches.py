"""Training patches: pure in their number, aligned with their annotation, and masked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.metrics import boundary_target
from napari_dtn.patches import BOUNDARY, INSIDE, NOT_ANNOTATED, PatchSampler, TrainingVolume, augment_patch
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
    np.testing.assert_array_equal(again[0][1, 0], image)
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
        image, annotation = augment_patch(picture.astype(np.float32), picture, only_flips, random)
        np.testing.assert_array_equal(image, annotation)
        seen.add(annotation.tobytes())
    assert len(seen) == 8


def test_an_elastic_deformation_moves_both_and_masks_what_comes_from_outside() -> None:
    x = np.indices((64, 64))[1]
    halves = np.where(x < 32, BOUNDARY, INSIDE).astype(np.uint8)
    image, annotation = augment_patch(
        halves.astype(np.float32), halves, replace(STILL, elastic=8), np.random.default_rng(1)
    )
    known = annotation != NOT_ANNOTATED
    assert not known.all()
    assert (np.abs(image[known] - annotation[known]) < 0.6).mean() > 0.99
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
    assert image.shape == annotation.shape == (128, 128)
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
