"""The phantom: deterministic, consistent through z, and with the contrast of serial-section EM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_dtn.metrics import boundary_target
from napari_dtn.phantom import Phantom, PhantomSettings, make_phantom
from napari_dtn.phantom._anatomy import section_anatomy
from napari_dtn.phantom._noise import SmoothNoise
from napari_dtn.phantom._tracks import lay_tracks

SMALL = PhantomSettings(shape=(6, 200, 240), seed=3)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(SMALL)


def test_shapes_types_and_voxel_size(phantom):
    assert phantom.image.shape == phantom.labels.shape == SMALL.shape
    assert phantom.image.dtype == np.uint8
    assert phantom.labels.dtype == np.uint16
    assert phantom.voxel_size == (30, 6, 6)


def test_the_same_settings_give_the_same_volume(phantom):
    again = make_phantom(SMALL)
    assert np.array_equal(again.image, phantom.image)
    assert np.array_equal(again.labels, phantom.labels)


def test_another_seed_gives_another_volume(phantom):
    other = make_phantom(replace(SMALL, seed=4))
    assert (other.image != phantom.image).mean() > 0.9
    assert (boundary_target(other.labels) != boundary_target(phantom.labels)).mean() > 0.1


def test_the_default_is_the_documented_volume():
    settings = PhantomSettings()
    assert (settings.shape, settings.seed) == ((16, 512, 512), 0)


def test_ids_are_consistent_through_z(phantom):
    for upper, lower in zip(phantom.labels[:-1], phantom.labels[1:], strict=True):
        both = (upper > 0) & (lower > 0)
        assert (upper == lower)[both].mean() > 0.85, "most pixels stay in their neurite"
        sizes = np.bincount(upper.ravel())
        ids = np.flatnonzero(sizes[1:] >= 200) + 1
        carried = [np.any(lower[upper == one] == one) for one in ids]
        assert np.mean(carried) > 0.95, "nearly every neurite overlaps itself in the next section"


def test_a_neurite_is_one_piece_or_few(phantom):
    for ids in phantom.labels:
        _, count = ndimage.label(ids)
        assert count < 1.4 * len(np.unique(ids))


def test_neurites_of_different_ids_do_not_touch(phantom):
    for ids in phantom.labels:
        for first, second in ((ids[1:], ids[:-1]), (ids[:, 1:], ids[:, :-1])):
            assert not np.any((first > 0) & (second > 0) & (first != second))


def test_sections_differ_but_neurites_move_little(phantom):
    moved = [(a != b).mean() for a, b in zip(phantom.labels[:-1], phantom.labels[1:], strict=True)]
    assert min(moved) > 0.02
    assert max(moved) < 0.4


def test_membranes_are_darker_than_cytoplasm(phantom):
    for image, ids in zip(phantom.image, phantom.labels, strict=True):
        depth = ndimage.distance_transform_edt(ids > 0)
        membrane, cytoplasm = image[ids == 0], image[depth > 5]
        assert membrane.mean() < cytoplasm.mean() - 30
        order = np.argsort(np.concatenate([membrane, cytoplasm]), kind="stable")
        ranks = np.argsort(order)[: len(membrane)]
        auc = 1 - (ranks.mean() - (len(membrane) - 1) / 2) / len(cytoplasm)
        assert auc > 0.8, "grey value alone tells a membrane from cytoplasm, most of the time"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_statistics_are_like_those_of_a_real_volume(seed):
    made = make_phantom(PhantomSettings(shape=(4, 320, 320), seed=seed))
    assert 0.14 < boundary_target(made.labels).mean() < 0.27
    assert 110 < made.image.mean() < 165
    assert 28 < made.image.std() < 50
    radii = np.sqrt(np.bincount(made.labels[0].ravel())[1:] / np.pi)
    assert 10 < np.median(radii[radii > 0]) < 30
    assert radii.max() > 40


def test_zero_chances_leave_organelles_out():
    plain = replace(SMALL, mitochondria=0.0, boutons=0.0)
    full = replace(SMALL, mitochondria=1.0, boutons=1.0)
    dark = [(made.image[made.labels > 0] < 80).mean() for made in (make_phantom(plain), make_phantom(full))]
    assert dark[0] < 0.6 * dark[1]


def test_a_still_quiet_phantom_has_even_sections():
    still = make_phantom(replace(SMALL, jitter=0, brightness=0.0, noise=0.0))
    shaken = make_phantom(replace(SMALL, jitter=8, brightness=30.0, noise=0.0))
    assert still.image.mean((1, 2)).std() < 8 < shaken.image.mean((1, 2)).std()
    assert still.image.shape == shaken.image.shape


def test_jitter_shifts_image_and_labels_together():
    shaken = make_phantom(replace(SMALL, jitter=12))
    for image, ids in zip(shaken.image, shaken.labels, strict=True):
        assert image[ids == 0].mean() < image[ids > 0].mean() - 25


def test_owners_fill_the_tissue_and_glia_has_its_own_ids():
    rng = np.random.default_rng(5)
    shape = (3, 160, 160)
    tracks = lay_tracks(shape, 19.0, rng)
    anatomy = section_anatomy(shape, tracks, rng)
    assert anatomy.owners.min() > 0
    inside = anatomy.labels > 0
    assert np.array_equal(anatomy.labels[inside], anatomy.owners[inside])
    assert np.all(anatomy.distance[inside] > 0)
    for one in np.unique(anatomy.labels[anatomy.labels > tracks.neurites]):
        _, pieces = ndimage.label(anatomy.labels == one)
        assert pieces == 1, "each piece of glia has an id of its own"


def test_membranes_lie_where_owners_change():
    rng = np.random.default_rng(6)
    shape = (2, 128, 128)
    anatomy = section_anatomy(shape, lay_tracks(shape, 19.0, rng), rng)
    for owners, distance in zip(anatomy.owners, anatomy.distance, strict=True):
        change = boundary_target(owners)
        expected = ndimage.distance_transform_edt(~change)
        near = (expected > 1) & (expected < 8)
        assert np.median(np.abs(distance - expected)[near]) < 1.5, "the distance agrees with SciPy's"


def test_smooth_noise_has_unit_variance_and_is_smooth():
    rng = np.random.default_rng(0)
    noise = SmoothNoise.draw(rng, (40, 300, 300), 4.0, 12.0)
    sections = np.array([noise.at(z) for z in range(40)])
    assert sections.std() == pytest.approx(1, abs=0.15)
    assert abs(sections.mean()) < 0.1
    assert np.abs(np.diff(sections, axis=1)).mean() < 0.15
    assert np.abs(noise.at(7.5) - (sections[7] + sections[8]) / 2).mean() < 0.1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shape": (0, 512, 512)}, "shape is"),
        ({"shape": (16, 512)}, "shape is"),
        ({"shape": (16, 512, 8)}, "at least"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"neurite_radius": 2.0}, "neurite_radius is 2.0; it must be at least 8"),
        ({"mitochondria": 1.5}, "mitochondria is 1.5; it must be at most 1"),
        ({"noise": -3.0}, "noise is -3.0; it must be at least 0"),
        ({"jitter": 99}, "jitter is 99; it must be at most 16"),
    ],
)
def test_bad_settings_name_the_value_and_the_limit(wrong, message):
    with pytest.raises(ValueError, match=message):
        PhantomSettings(**wrong)


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 33, 90)])
def test_the_smallest_shapes_work(shape):
    made = make_phantom(PhantomSettings(shape=shape))
    assert made.image.shape == made.labels.shape == shape
