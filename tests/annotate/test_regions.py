"""Regions hold every annotated pixel once; what is held back is never trained on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from napari_dtn.annotate.regions import JOIN, NEVER_TAUGHT, Region, Taught, cut, find_regions, hold_out
from napari_dtn.annotate.thumbnails import thumbnail
from napari_dtn.colours import CLASSES


def scattered(seed: int, dots: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    annotation = np.zeros((300, 420), np.uint8)
    for y, x in zip(rng.integers(0, 290, dots), rng.integers(0, 410, dots), strict=True):
        annotation[y : y + 6, x : x + 9] = rng.integers(1, 3)
    return annotation


@pytest.mark.parametrize("seed", range(5))
def test_regions_hold_every_pixel_once(seed: int) -> None:
    annotation = scattered(seed)
    found = find_regions(annotation, 4, 2)
    counts = np.sum([region.pixels for region in found], axis=0)
    assert counts.tolist() == [(annotation == value).sum() for value in (1, 2)]
    shifted = find_regions(annotation, 4, 2, origin=(100, 1000))
    assert [one.y.start - 100 for one in shifted] == [one.y.start for one in found]
    assert [one.x.stop - 1000 for one in shifted] == [one.x.stop for one in found]
    assert [one.pixels for one in shifted] == [one.pixels for one in found]


@pytest.mark.parametrize("seed", range(5))
def test_close_strokes_are_together_and_far_ones_apart(seed: int) -> None:
    """Against single linkage: no fewer regions than at three times the distance, no more than at it."""
    annotation = scattered(seed)
    pieces = label(annotation > 0)
    points = [np.argwhere(pieces == number) for number in range(1, pieces.max() + 1)]
    gaps = np.array([[np.abs(a[:, None] - b[None]).max(2).min() for b in points] for a in points])

    def groups(reach: float) -> int:
        near = np.linalg.matrix_power((gaps <= reach).astype(float), len(points)) > 0
        return len({row.tobytes() for row in near})

    assert groups(2 * JOIN) <= len(find_regions(annotation, 0, 2)) <= groups(JOIN)


def test_parts_of_a_region_hold_its_pixels_once() -> None:
    annotation = np.random.default_rng(0).integers(0, 3, (200, 250)).astype(np.uint8)
    (region,) = find_regions(annotation, 3, 2, (10, 20))
    parts = cut(annotation, region, 96)
    assert [(one.y.start, one.x.start) for one in parts[:4]] == [(10, 20), (10, 103), (10, 187), (77, 20)]
    assert np.sum([part.pixels for part in parts], axis=0).tolist() == list(region.pixels)
    assert (parts[-1].y.stop, parts[-1].x.stop) == (210, 270)
    covered = np.zeros((220, 280), int)
    for part in parts:
        covered[part.y, part.x] += 1
    assert covered.max() == 1


REGIONS = st.lists(
    st.builds(
        lambda z, y, x, boundary, inside: Region(
            z, slice(y, y + 20), slice(x, x + 20), (boundary, inside or not boundary)
        ),
        st.integers(0, 20),
        st.integers(0, 400),
        st.integers(0, 400),
        st.integers(0, 50),
        st.integers(0, 50),
    ),
    max_size=30,
    unique_by=lambda one: one.centre,
)


@settings(max_examples=60, deadline=None)
@given(REGIONS)
def test_what_is_held_back_is_not_kept_and_can_be_scored(regions: list[Region]) -> None:
    folds = hold_out(regions)
    total = np.sum([region.pixels for region in regions], axis=0) if regions else np.zeros(2)
    for fold in folds:
        assert fold.held
        assert fold.kept
        together = sorted(one.centre for one in (*fold.held, *fold.kept))
        assert together == sorted(one.centre for one in regions)
        if len(regions) > 1 and total.all():
            assert np.sum([one.pixels for one in fold.held], axis=0).all()
            assert np.sum([one.pixels for one in fold.kept], axis=0).all()
    if len(folds) > 1:
        assert sorted(one.centre for fold in folds for one in fold.held) == sorted(
            one.centre for one in regions
        )


def both(z: int, size: int = 20) -> Region:
    return Region(z, slice(0, 30), slice(0, 30), (size, size))


def test_few_regions_are_held_back_in_turn_and_a_fifth_of_many_at_once() -> None:
    assert hold_out([both(0)]) == []
    assert len(hold_out([both(z) for z in range(4)])) == 4
    (fold,) = hold_out([both(z, 20 if z else 900) for z in range(20)])
    assert len(fold.held) == 4
    assert both(0, 900) not in fold.held


def boxes(zs: range | list[int]) -> tuple:
    return tuple(both(z).box for z in zs)


@given(REGIONS, st.data())
@settings(max_examples=60, deadline=None)
def test_what_was_learned_from_is_held_back_only_where_there_is_nothing_else(regions, data) -> None:
    learned = data.draw(st.lists(st.sampled_from(regions), unique_by=id)) if regions else []
    taught = Taught(learned=tuple(one.box for one in learned))
    folds = hold_out(regions, taught=taught)
    assert bool(folds) == bool(hold_out(regions))
    assert all(fold.held and fold.kept for fold in folds)
    known = [fold for fold in folds if taught.knows(one.box for one in fold.held)]
    if known:  # then no group is without any of it
        assert len(known) == len(folds)
        for fold in hold_out(regions, few=len(regions)):
            assert taught.knows(one.box for one in fold.held)


def test_what_was_held_back_stays_so() -> None:
    """However often strokes are added, nothing that was learned from is held back."""
    zs, taught = list(range(6)), NEVER_TAUGHT
    for more in range(12):
        fold = hold_out([both(z) for z in zs], taught=taught)[0]
        held = tuple(one.box for one in fold.held)
        assert not taught.knows(held)
        assert taught.held_out in ((), held[: len(taught.held_out)]), "as it was, and perhaps more"
        assert 0.1 <= len(held) / len(zs) <= 0.4
        taught = Taught(held, taught.learned + tuple(one.box for one in fold.kept))
        zs.append(10 + more)


def test_where_all_was_learned_from_some_of_it_is_held_back() -> None:
    zs = range(10)
    assert hold_out([both(z) for z in zs], taught=Taught(learned=boxes(zs))) == hold_out(
        [both(z) for z in zs]
    )
    only_held = hold_out([both(0), both(1)], taught=Taught(held_out=boxes([0, 1])))
    assert [len(fold.held) for fold in only_held] == [1, 1], "something is left to learn from"


@pytest.mark.parametrize("size", [4, 40, 300])
def test_a_thumbnail_shows_the_image_and_every_stroke(size: int) -> None:
    y, x = np.indices((300, 420))
    image = np.stack([np.clip(y + x, 0, 255).astype(np.uint8)] * 2)
    labels = np.zeros(image.shape, np.uint8)
    labels[1, 20 : 20 + size, 30] = 1
    labels[1, 20 : 20 + size, 34] = 2
    (region,) = find_regions(labels[1], 1, 2)
    picture = thumbnail(region, image, labels)
    assert picture.dtype == np.uint8
    assert max(picture.shape[:2]) == 64
    colours = [list(bytes.fromhex(colour[1:])) for colour in CLASSES[:2]]
    drawn = [(picture == colour).all(axis=2) for colour in colours]
    side = max(size, 96)
    for one in drawn:
        assert one.sum() >= size * 64 / side * 0.9
    grey = (picture.max(2) == picture.min(2)) & ~drawn[0] & ~drawn[1]
    assert (np.diff(picture[-1, :, 0].astype(int)[grey[-1]]) >= 0).all()
