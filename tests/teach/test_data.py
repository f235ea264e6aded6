"""What is held out never teaches, and every pixel of it is scored once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_dtn.settings import AugmentSettings, NetworkSettings, TrainSettings
from napari_dtn.teach.data import MARGIN, Focus, TeachData
from napari_dtn.teach.pieces import read_pieces

NETWORK = NetworkSettings(base_channels=4, levels=3, transformer_levels=(2,))
PLAIN = TrainSettings(
    patch_size=32, augment=AugmentSettings(flips=False, contrast=0, brightness=0, noise=0, defects=0)
)


def test_held_out_annotation_is_never_in_a_patch(data: TeachData) -> None:
    """On a slice that is held out in part, patches that overlap that part know nothing of it."""
    band = (slice(3, 4), slice(40, 55), slice(0, 80))
    split = replace(data, held_out=(band,))
    known = np.zeros(data.annotation.shape, bool)
    known[1, :30], known[3, 55 + MARGIN : 80] = True, True
    assert sum(np.count_nonzero(one.known) for one in split.lessons) == np.count_nonzero(known)
    _, annotations = split.sampler(NETWORK, PLAIN).batch(range(40))
    assert annotations.any(axis=(1, 2)).all()
    coded = replace(split, annotation=np.where(known, data.annotation, 0))
    np.testing.assert_array_equal(annotations, coded.sampler(NETWORK, PLAIN).batch(range(40))[1])


def test_something_has_to_be_left_to_learn_from(data: TeachData) -> None:
    all_held = replace(data, held_out=((slice(0, 4), slice(0, 96), slice(0, 80)),))
    assert all_held.lessons == ()
    with pytest.raises(ValueError, match="Nothing is annotated outside what is held out"):
        all_held.check(NETWORK)


@pytest.mark.parametrize("side", [32, 64])
def test_every_held_out_pixel_is_scored_once(data: TeachData, side: int) -> None:
    settings = replace(PLAIN, patch_size=side)
    batches = list(data.validation_batches(NETWORK, settings))
    annotation = np.concatenate([known for _, known in batches])
    held = data.annotation[1, :30]
    assert annotation.shape[1:] == (side, side)
    assert (np.bincount(annotation.ravel())[1:] == np.bincount(held.ravel())[1:]).all()


def test_scored_windows_show_the_image_around_the_annotation(data: TeachData) -> None:
    """The same as a plain read: normalised, annotation at its place."""
    image, known = next(iter(data.validation_batches(NETWORK, replace(PLAIN, patch_size=64))))
    volume = (data.image.astype(np.float32) - data.intensity.mean) / data.intensity.std
    corners = [
        (y, x)
        for y in range(96 - 64 + 1)
        for x in range(80 - 64 + 1)
        if np.allclose(volume[1, y : y + 64, x : x + 64], image[0, 0], atol=1e-5)
    ]
    assert len(corners) == 1
    (y, x) = corners[0]
    there = known[0] > 0
    np.testing.assert_array_equal(known[0][there], data.annotation[1, y : y + 64, x : x + 64][there])


def test_views_are_spread_over_the_whole_volume(data: TeachData) -> None:
    """Marked by place in a volume of deviation 1: every slice, and all quarters of it, are seen."""
    z, y, x = np.indices(data.image.shape)
    marked = replace(data, image=z * 10_000 + y * 100 + x, intensity=replace(data.intensity, mean=0, std=1))
    views = np.concatenate(list(marked.views(32, context=0))).astype(int)
    assert views.shape[1:] == (1, 32, 32)
    assert set((views // 10_000).ravel()) == {0, 1, 2, 3}
    for axis in (views % 100, views // 100 % 100):
        assert axis.max() > 60 > 20 > axis.min()
    whole = np.concatenate(list(marked.views(128, context=1)))
    assert whole.shape[1:] == (3, 128, 128)


def test_classes_and_regions_are_drawn_evenly() -> None:
    """A thin stroke beside a broad one is drawn as often; a region four times as large, twice as often."""
    painted = np.zeros((2, 40, 40), np.uint8)
    painted[0, 0, :10], painted[0, 1:10, :10] = 1, 2
    painted[1, :20, :20] = 2
    focus, random = Focus(tuple(read_pieces(painted, ()))), np.random.default_rng(0)
    drawn = [focus.pixel(random) for _ in range(3000)]
    assert np.mean([z for z, _, _ in drawn]) == pytest.approx(2 / 3, abs=0.03)
    first = [painted[voxel] for voxel in drawn if voxel[0] == 0]
    assert np.mean(first) == pytest.approx(1.5, abs=0.05)


def test_what_is_painted_later_does_not_count(data: TeachData) -> None:
    before = data.describe()
    data.annotation[:] = 1
    assert data.describe() == before


def test_annotation_of_another_volume_is_refused(data: TeachData) -> None:
    with pytest.raises(ValueError, match="is it the annotation of another volume"):
        replace(data, annotation=data.annotation[:2])
