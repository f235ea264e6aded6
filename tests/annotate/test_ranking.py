"""Where to annotate next, on maps that were made so that the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from napari_dtn.annotate.ranking import PANE, Candidate, Look, candidates, entropy, panes, rank
from napari_dtn.annotate.regions import Region


def candidate(number: int, uncertainty: float, kind: float = 0.0) -> Candidate:
    """A patch at a place of its own, which looks like all others of its kind."""
    y, x = 100 * (number // 5), 100 * (number % 5)
    return Candidate(
        10 * number, slice(y, y + 96), slice(x, x + 96), uncertainty, np.array([kind, 1.0], np.float32)
    )


def region(one: Candidate) -> Region:
    return Region(one.z, slice(one.y.start + 90, one.y.start + 120), one.x, (5, 5))


@pytest.mark.parametrize("classes", [1, 4])
def test_entropy_is_scipys(classes: int) -> None:
    probability = np.random.default_rng(0).random((classes, 20, 30)).astype(np.float32)
    probability = probability if classes == 1 else probability / probability.sum(0)
    both = np.concatenate([probability, 1 - probability]) if classes == 1 else probability
    assert entropy(probability) == pytest.approx(scipy_entropy(both, base=2, axis=0), abs=1e-4)


def test_patches_cover_a_slice_and_their_uncertainty_is_that_of_their_pixels() -> None:
    rng = np.random.default_rng(1)
    image, unsure = rng.random((2, 300, 210)).astype(np.float32)
    look = Look(7, slice(512, 812), slice(100, 310), image, unsure[None], unsure)
    found = candidates(look, 96)
    covered = np.zeros((812, 310), int)
    for one in found:
        assert one.z == 7
        assert (one.y.stop - one.y.start, one.x.stop - one.x.start) == (96, 96)
        covered[one.y, one.x] += 1
        inside = unsure[one.y.start - 512 : one.y.stop - 512, one.x.start - 100 : one.x.stop - 100]
        assert one.uncertainty == pytest.approx(inside.mean(), abs=1e-5)
    assert covered[512:, 100:].min() >= 1
    assert covered.sum() == covered[512:, 100:].sum()
    (small,) = candidates(
        Look(0, slice(0, 40), slice(0, 50), image[:40, :50], unsure[None, :40, :50], unsure)
    )
    assert (small.y, small.x) == (slice(0, 40), slice(0, 50))


def test_of_patches_that_look_alike_the_most_uncertain_come_first() -> None:
    patches = [candidate(number, 0.1 + 0.07 * (number * 7 % 10)) for number in range(10)]
    found = rank(patches, count=1)
    assert found[0].uncertainty == max(one.uncertainty for one in patches)
    assert rank([], count=3) == []


def test_another_kind_comes_before_a_twin_that_is_a_little_more_uncertain() -> None:
    patches = [candidate(n, 0.7 if n < 5 else 0.65, kind=n // 5) for n in range(10)]
    first, second = rank(patches, count=2)
    assert (first.z < 50, second.z < 50) == (True, False)
    assert second.unlikeness > 0.5
    assert rank(patches, [region(patches[0])], 1)[0].z >= 50
    assert rank(patches, [region(patches[9])], 1)[0].z < 50


def test_a_lone_oddity_waits_for_its_turn() -> None:
    patches = [candidate(n, 0.6 + 0.01 * n, kind=0.1 * n) for n in range(9)] + [candidate(9, 0.8, kind=9)]
    found = [one.z for one in rank(patches)]
    assert found[0] != 90
    assert 90 in found


def test_what_is_annotated_is_not_suggested_and_nothing_twice() -> None:
    rng = np.random.default_rng(2)
    patches = [candidate(number, *rng.random(2)) for number in range(25)]
    annotated = [region(one) for one in patches[::3]]
    found = rank(patches, annotated, 100)
    free = sorted({one.z for one in patches} - {one.z for one in patches[::3]})
    assert sorted(one.z for one in found) == free
    shuffled = [patches[number] for number in rng.permutation(25)]
    assert [one.z for one in rank(shuffled, annotated, 5)] == [one.z for one in found[:5]]


def test_the_same_place_in_slices_close_by_is_suggested_once() -> None:
    patches = [replace(candidate(0, 0.5 + 0.01 * z, kind=z), z=z) for z in range(12)]
    apart = np.diff(sorted(one.z for one in rank(patches)))
    assert apart.min() > 2
    assert len(rank(patches)) == 4


@pytest.mark.parametrize("shape", [(24, 512, 512), (1, 700, 5000), (300, 3000, 2000), (3, 40, 60)])
def test_panes_are_spread_and_hold_some_annotation(shape: tuple[int, int, int]) -> None:
    annotated = [Region(shape[0] - 1, slice(0, 20), slice(n, n + 20), (1, 1)) for n in range(0, 30, 10)]
    found = panes(shape, annotated)
    assert len({(z.start, y.start, x.start) for z, y, x in found}) == len(found)
    for place in found:
        assert all(0 <= one.start < one.stop <= side for one, side in zip(place, shape, strict=True))
        sides = [(one.stop - one.start, side) for one, side in zip(place, shape, strict=True)][1:]
        assert all(min(PANE / 1.5, whole) <= side <= 1.5 * PANE for side, whole in sides)
    assert any((z.start, y.start, x.start) == (shape[0] - 1, 0, 0) for z, y, x in found)
    whole = panes(shape, count=10_000) if shape[0] < 100 else []
    assert sum((y.stop - y.start) * (x.stop - x.start) for _, y, x in whole) in (0, np.prod(shape))
    thirds = {3 * z.start // shape[0] for z, _, _ in found}
    assert len(thirds) == min(3, shape[0])
