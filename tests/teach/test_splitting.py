"""What is held out where nobody chose: a fifth of much, a part of little, with both classes in it."""

from __future__ import annotations

import numpy as np

from napari_dtn.teach.splitting import split


def painted(*places: tuple[int, int, int]) -> np.ndarray:
    """Paint a square of each class beside each other at places of a volume."""
    found = np.zeros((12, 300, 300), np.uint8)
    for z, y, x in places:
        found[z, y : y + 8, x : x + 8], found[z, y : y + 8, x + 8 : x + 16] = 1, 2
    return found


def test_a_fifth_of_many_regions_is_held_out() -> None:
    regions, held = split(painted(*((z, 20 * z, 10 * z) for z in range(10))), 2)
    assert (len(regions), len(held)) == (10, 2)
    assert set(map(repr, held)) <= set(map(repr, regions))


def test_one_of_few_is_held_out() -> None:
    _, held = split(painted((1, 0, 0), (5, 100, 100), (9, 200, 200)), 2)
    assert len(held) == 1


def test_a_dense_slice_is_held_out_in_part() -> None:
    dense = np.zeros((3, 300, 300), np.uint8)
    dense[1], dense[1, ::3] = 2, 1
    regions, held = split(dense, 2)
    assert len(regions) == 1
    share = sum((y.stop - y.start) * (x.stop - x.start) for _, y, x in held) / 300**2
    assert 0.05 < share < 0.5


def test_nothing_of_a_single_stroke_is_held_out() -> None:
    regions, held = split(painted((0, 50, 50)), 2)
    assert (len(regions), held) == (1, ())
